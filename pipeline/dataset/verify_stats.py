# SPDX-License-Identifier: Apache-2.0
"""A shard's stats file against what it counts."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from stages.columns import SCHEMA_VERSION
from stages.parse import parse_json
from stages.shard.place import Place

Row = dict[str, Any]


def read_stats(path: Place) -> dict[str, Any]:
    """A stats file that is written down the way all are.

    Raises:
        ValueError: if it is not, or is no JSON object.
    """
    text = path.read_text(encoding="utf-8")
    stats = parse_json(text)
    if (
        not isinstance(stats, dict)
        or json.dumps(stats, sort_keys=True, indent=1, ensure_ascii=False) + "\n" != text
    ):
        raise ValueError("it is not in the form in which stats are written")
    return stats


def check_file(stats: dict[str, Any], extension: str, path: Place) -> Iterator[str]:
    """What is wrong with a file that the stats vouch for."""
    entry = stats.get("files", {}).get(extension)
    if not isinstance(entry, dict) or set(entry) != {"bytes", "sha256"}:
        yield f"the stats do not say what {path.name} should be"
    elif path.is_dir():
        yield f"{path.name} is a folder, no file; move it away and run the build again"
    elif not path.is_file():
        yield f"{path.name} is missing"
    elif path.stat().st_size != entry["bytes"]:
        yield f"{path.name} has {path.stat().st_size} bytes, the stats say {entry['bytes']}"
    else:
        with path.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
        if found != entry["sha256"]:
            yield f"{path.name} has the sha256 {found}, the stats say {entry['sha256']}"


def check_counts(stats: dict[str, Any], number: int, rows: list[Row]) -> Iterator[str]:
    """Which entries of the stats do not go with the shard's rows."""
    expected = _recount(number, rows)
    for name in sorted({*stats, *expected} - {"files"}):
        # As text, because to Python 1 is True.
        if _text(stats.get(name)) != _text(expected.get(name)):
            yield f"the stats say {name} is {stats.get(name)!r}, the rows say {expected.get(name)!r}"


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _recount(number: int, rows: list[Row]) -> dict[str, Any]:
    ok = [row for row in rows if row["status"] == "ok"]
    others = Counter((row["stage"] or "", row["reason"] or "") for row in rows if row["status"] != "ok")
    labels = Counter(entity["lemma"] or "" for row in ok for entity in row["entities"] or [])
    ranked = sorted(labels, key=lambda label: (-labels[label], label))[:100]
    return {
        "schema_version": SCHEMA_VERSION,
        "shard": number,
        "count": len(rows),
        "successes": len(ok),
        "failed_to_download": 0,
        "failed_to_resize": 0,
        "status_dict": {"success": len(ok)}
        | {f"{stage}: {reason}": n for (stage, reason), n in others.items()},
        "statuses": {s: sum(row["status"] == s for row in rows) for s in ("ok", "rejected", "error")},
        "reasons": {
            stage: {reason: n for (other, reason), n in others.items() if other == stage}
            for stage, _ in others
        },
        "instances": labels.total(),
        "labels": {label: labels[label] for label in ranked},
    }

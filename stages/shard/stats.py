# SPDX-License-Identifier: Apache-2.0
"""What a shard's stats file says: counts of what became of its rows, and its files' sizes and hashes."""

import hashlib
import json
from collections import Counter
from io import BufferedRandom
from typing import Any

import pyarrow as pa

from stages.columns import ERROR, OK, REJECTED, SCHEMA_VERSION

_LABELS = 100


def shard_stats(number: int, table: pa.Table, files: dict[str, BufferedRandom]) -> dict[str, Any]:
    """Count a shard.

    `count`, `successes`, `failed_to_download`, `failed_to_resize` and `status_dict` mean what they
    mean to img2dataset's tools; `labels` are the most frequent lemmas of accepted entities.

    Args:
        number: the shard's.
        table: its rows, with the columns of `stages.columns.SAMPLE`.
        files: the files that the stats vouch for, by extension, open for reading.
    """
    statuses = Counter(table["status"].to_pylist())
    reasons = _reasons(table)
    entities = [entity for row in _ok(table)["entities"].to_pylist() for entity in row or []]
    failures = {f"{stage}: {reason}": n for stage, counts in reasons.items() for reason, n in counts.items()}
    return {
        "schema_version": SCHEMA_VERSION,
        "shard": number,
        "count": table.num_rows,
        "successes": statuses[OK],
        "failed_to_download": 0,
        "failed_to_resize": 0,
        "status_dict": {"success": statuses[OK], **failures},
        "statuses": {status: statuses[status] for status in (OK, REJECTED, ERROR)},
        "reasons": reasons,
        "instances": len(entities),
        "labels": _most_frequent(Counter(entity["lemma"] or "" for entity in entities)),
        "files": {extension: _fingerprint(stream) for extension, stream in files.items()},
    }


def stats_text(stats: dict[str, Any]) -> str:
    """The one way to write down these stats."""
    return json.dumps(stats, sort_keys=True, indent=1, ensure_ascii=False) + "\n"


def _ok(table: pa.Table) -> pa.Table:
    return table.filter(pa.array([status == OK for status in table["status"].to_pylist()], pa.bool_()))


def _reasons(table: pa.Table) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for status, stage, reason in zip(
        *(table[c].to_pylist() for c in ("status", "stage", "reason")), strict=True
    ):
        if status != OK:
            counts = found.setdefault(stage or "", {})
            counts[reason or ""] = counts.get(reason or "", 0) + 1
    return found


def _most_frequent(labels: Counter[str]) -> dict[str, int]:
    return dict(sorted(labels.items(), key=lambda item: (-item[1], item[0]))[:_LABELS])


def _fingerprint(stream: BufferedRandom) -> dict[str, Any]:
    stream.seek(0)
    digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return {"bytes": stream.tell(), "sha256": digest}

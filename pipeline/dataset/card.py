# SPDX-License-Identifier: Apache-2.0
"""The dataset card: what is in the dataset, how it was made, and what to be careful about.

The front matter names the tars, so that hubs and `datasets` read them and nothing else.
"""

from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from pipeline.dataset.layout import EVALUATION, meta_folder
from pipeline.dataset.meanings import ADDED, EVALUATED, MEANINGS
from pipeline.dataset.totals import Totals
from stages.columns import ENTITY, SAMPLE, SCHEMA_VERSION
from stages.extra_columns import is_any_list
from stages.parse import parse_json
from stages.shard.place import Place

_TEXTS = {EVALUATION: "evaluation.template"}
"""By split, where it is another than that of builds."""


def card(root: Place, split: str, totals: Totals, extra: pa.Schema) -> str:
    """The text of `README.md`, Markdown with YAML front matter.

    Args:
        root: of the dataset.
        split: which one the card is about.
        totals: what its shards add up to.
        extra: columns that its shards have after those of `stages.columns.SAMPLE`.
    """
    manifest = _read(meta_folder(root) / "manifest.json")
    sections = {
        "front_matter": yaml.safe_dump(
            _front_matter(split, totals), sort_keys=False, allow_unicode=True
        ).strip(),
        "title": root.resolve().name,
        "split": split,
        "schema_version": str(SCHEMA_VERSION),
        "counts": _counts(totals),
        "funnel": _funnel(totals),
        "labels": ", ".join(f"{label} {count}" for label, count in totals.labels.most_common(30)) or "none",
        "columns": _columns(split, extra),
        "entity": _fields(ENTITY),
        "made": _made(manifest),
        "config": _config(meta_folder(root) / "config.yaml"),
    }
    text = Path(__file__).with_name(_TEXTS.get(split, "card.template")).read_text(encoding="utf-8")
    for name, value in sections.items():
        text = text.replace(f"<<{name}>>", value)
    return text


def _front_matter(split: str, totals: Totals) -> dict[str, Any]:
    sizes = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
    return {
        "license": "other",
        "language": ["en"],
        "tags": ["webdataset", "image", "subject-driven-generation", "grounding", "segmentation"],
        "size_categories": [next((name for limit, name in sizes if totals.samples < limit), "n>1M")],
        "configs": [
            {"config_name": "default", "data_files": [{"split": split, "path": f"data/{split}/*.tar"}]},
        ],
    }


def _counts(totals: Totals) -> str:
    values = {
        "images attempted": totals.rows,
        "samples": totals.samples,
        "instances": totals.instances,
        "rejected": totals.rejected,
        "errors": totals.errors,
        "shards": totals.shards,
        "megabytes": round(totals.bytes / 1e6, 1),
    }
    return _table(("", ""), [(name, str(value)) for name, value in values.items()])


def _funnel(totals: Totals) -> str:
    rows = [
        (stage, reason, str(count))
        for stage, reasons in sorted(totals.reasons.items())
        for reason, count in reasons.most_common()
    ]
    return _table(("stage", "reason", "images"), rows) if rows else "Every image became a sample."


def _columns(split: str, extra: pa.Schema) -> str:
    added = [
        (
            f"`{field.name}`",
            _kind(field.type),
            (EVALUATED if split == EVALUATION else {}).get(field.name, ADDED),
        )
        for field in extra
    ]
    return _table(("column", "type", ""), [*(_field(field) for field in SAMPLE), *added])


def _fields(struct: pa.StructType) -> str:
    fields = [struct.field(index) for index in range(struct.num_fields)]
    return _table(("field", "type", ""), [_field(field) for field in fields])


def _field(field: pa.Field) -> tuple[str, str, str]:
    return f"`{field.name}`", _kind(field.type), MEANINGS.get(field.name, "")


def _kind(kind: pa.DataType) -> str:
    if is_any_list(kind):
        return f"list of {_kind(kind.value_type)}"
    return "struct" if pa.types.is_struct(kind) else str(kind)


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _made(manifest: dict[str, Any]) -> str:
    identity = manifest.get("identity", {})
    facts = {
        **{key: value for key, value in manifest.items() if key not in ("identity", "packages")},
        "source listing": identity.get("source"),
        **{f"weights of {name}": value for name, value in identity.get("weights", {}).items()},
        **manifest.get("packages", {}),
    }
    return "\n".join(f"- {name}: `{value}`" for name, value in facts.items() if value) or "Not recorded."


def _config(path: Place) -> str:
    return path.read_text(encoding="utf-8").strip() if path.is_file() else "# not recorded"


def _read(path: Place) -> dict[str, Any]:
    try:
        found = parse_json(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}

# SPDX-License-Identifier: Apache-2.0
"""The dataset card: what is in the dataset, how it was made, and what to be careful about.

The front matter names the tars, so that hubs and `datasets` read them and nothing else.
"""

from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from pipeline.dataset.layout import meta_folder
from pipeline.dataset.totals import Totals
from stages.columns import ENTITY, SAMPLE, SCHEMA_VERSION
from stages.extra_columns import is_any_list
from stages.parse import parse_json
from stages.shard.place import Place
from stages.shard.record import MEMBERS

_TEXT = Path(__file__).with_name("card.template")
_MEANINGS = {
    "key": "unique in the dataset: shard, `-`, place in the shard",
    "source_key": "path below the input",
    "source_uri": "where the image was read from",
    "replaces": "key of the older row of the same image that this one takes the place of",
    "status": "`ok`, `rejected` by a rule, or `error`",
    "stage": "where a row was rejected or failed",
    "reason": "why, in one word",
    "detail": "the same for people",
    "alt_text": "text that came with the image",
    "url": "where the image came from, if that is known",
    "source_meta": "what else came with the image, JSON",
    "reencoded": "whether the JPEG differs from the source's bytes",
    "width": "of the stored picture, pixels",
    "height": "of the stored picture, pixels",
    "original_width": "of the source, pixels",
    "original_height": "of the source, pixels",
    "sha256": "of the source's bytes",
    "white_fraction": "share of nearly white pixels",
    "caption": "by the captioner",
    "nouns": "noun phrases of the caption with character spans",
    "entities": "subjects, best first",
    "id": "counts from 1; value in the label map",
    "text": "the caption's words",
    "span": "their place in the caption, characters, half-open",
    "box": "xyxy pixels of the stored image, half-open",
    "det_score": "of the detector, (0, 1]",
    "contained_in": "id of an entity whose box holds most of this one, or -1",
    "mask_score": "IoU that the segmenter expects",
    "stability": "IoU of the mask under a stricter and a looser threshold",
    "area": "pixels of the mask",
    "mask_box": "the mask's own box, xyxy, half-open",
    "fill": "mask area over box area",
    "clip_sim": "likeness of crop and label; null if no CLIP was configured",
    **{f"{member}_offset": f"where the {member} is in the tar, bytes" for member in MEMBERS},
    **{f"{member}_size": "its length, bytes" for member in MEMBERS},
    "lemma": "dictionary form of the noun; the label",
    "rle": "the mask, COCO compressed run lengths; the truth where masks overlap",
}


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
        "columns": _columns(extra),
        "entity": _fields(ENTITY),
        "made": _made(manifest),
        "config": _config(meta_folder(root) / "config.yaml"),
    }
    text = _TEXT.read_text(encoding="utf-8")
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


def _columns(extra: pa.Schema) -> str:
    added = [(f"`{field.name}`", _kind(field.type), "added by a stage of another package") for field in extra]
    return _table(("column", "type", ""), [*(_field(field) for field in SAMPLE), *added])


def _fields(struct: pa.StructType) -> str:
    fields = [struct.field(index) for index in range(struct.num_fields)]
    return _table(("field", "type", ""), [_field(field) for field in fields])


def _field(field: pa.Field) -> tuple[str, str, str]:
    return f"`{field.name}`", _kind(field.type), _MEANINGS.get(field.name, "")


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

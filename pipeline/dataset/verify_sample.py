# SPDX-License-Identifier: Apache-2.0
"""A sample's members against its row in the parquet: what says otherwise, and where."""

import hashlib
import io
import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from PIL import Image, UnidentifiedImageError

from pipeline.dataset.verify_json import differences
from pipeline.dataset.verify_masks import check_entities, check_label_map
from pipeline.dataset.verify_png import check_chunks
from stages.columns import OFFSETS, SAMPLE, SCHEMA_VERSION

Finding = tuple[str, int, str]
"""A member's extension, the byte in the member (0 if it is about all of it), and what is wrong."""

_NOT_IN_JSON = {"source_uri", "replaces", "stage", "reason", "detail", "white_fraction", *OFFSETS.names}
_COPIED = [field for field in SAMPLE if field.name not in _NOT_IN_JSON]


def check_sample(
    row: dict[str, Any], extra: pa.Schema, members: dict[str, bytes], deep: bool
) -> Iterator[Finding]:
    """Everything about one sample that is not as its row says.

    Args:
        row: of the parquet.
        extra: columns of the row that the json has under `extra`.
        members: the four members' contents by extension.
        deep: decode all of the JPEG instead of its header.
    """
    yield from check_entities(row)
    yield from _check_json(row, extra, members["json"])
    yield from _check_jpeg(row, members["jpg"], deep)
    yield from _check_png(row, members["png"])
    if members["txt"] != (row["alt_text"] or row["caption"] or "").encode():
        yield "txt", 0, "the text is neither the row's alt text nor its caption"


def check_ledger(row: dict[str, Any]) -> str | None:
    """What is wrong with a row's status and what goes with it, if anything."""
    stored = [row[name] is not None for name in OFFSETS.names]
    explained = row["stage"] is not None and row["reason"] is not None
    if row["status"] == "ok":
        return None if all(stored) and not explained else "an ok row has no place in the tar, or a reason"
    if row["status"] not in ("rejected", "error"):
        return f"the status {row['status']!r} does not exist"
    return (
        None if explained and not any(stored) else "a row that is not ok has no reason, or a place in the tar"
    )


def _check_json(row: dict[str, Any], extra: pa.Schema, content: bytes) -> Iterator[Finding]:
    try:
        record = json.loads(content, parse_constant=_refuse)
    except ValueError as error:
        yield "json", getattr(error, "pos", 0), f"the json is unreadable: {error}"
        return
    expected = {field.name for field in _COPIED} | {"mask", "filters", "extra", "schema_version"}
    if not isinstance(record, dict) or set(record) != expected:
        yield "json", 0, "the json has other fields than a sample's"
        return
    for field in _COPIED:
        for difference in differences(field.name, record[field.name], row[field.name], field.type):
            yield "json", 0, difference
    further = (*_check_derived(row, record), *_check_extra(row, extra, record["extra"]))
    yield from (("json", 0, what) for what in further)


def _check_derived(row: dict[str, Any], record: dict[str, Any]) -> Iterator[str]:
    if record["schema_version"] != SCHEMA_VERSION:
        yield f"schema_version is {record['schema_version']!r}, not {SCHEMA_VERSION}"
    names = {"value": "id", "label": "lemma", "logit": "det_score", "box": "box"}
    entries = [{ours: entity.get(theirs) for ours, theirs in names.items()} for entity in record["entities"]]
    if record["mask"] != [{"value": 0, "label": "background"}, *entries]:
        yield "mask is not the list that goes with the entities"
    counts = {name: len(row[name] or []) for name in ("nouns", "entities")}
    filters = record["filters"]
    if not isinstance(filters, dict) or filters != {
        "white_fraction": filters.get("white_fraction"),
        **counts,
    }:
        yield "filters do not go with the row"
        return
    kind = SAMPLE.field("white_fraction").type
    yield from differences("white_fraction", filters["white_fraction"], row["white_fraction"], kind)


def _check_extra(row: dict[str, Any], extra: pa.Schema, found: Any) -> Iterator[str]:
    if len(extra):
        yield from differences("extra", found, row, pa.struct(list(extra)))
    elif found is not None:
        yield "the json has extra values that no column of the parquet has"


def _check_jpeg(row: dict[str, Any], content: bytes, deep: bool) -> Iterator[Finding]:
    if not row["reencoded"] and hashlib.sha256(content).hexdigest() != row["sha256"]:
        yield "jpg", 0, "the JPEG is not the source's, though it was to be kept as it is"
    try:
        with Image.open(io.BytesIO(content), formats=["JPEG"]) as image:
            if image.size != (row["width"], row["height"]) or image.mode != "RGB":
                yield "jpg", 0, f"the JPEG is {image.mode}, {image.width} x {image.height} pixels"
            if deep:
                image.load()
    except UnidentifiedImageError:
        yield "jpg", 0, "the JPEG is none"
    except Exception as error:
        yield "jpg", 0, f"the JPEG is unreadable: {error}"


def _check_png(row: dict[str, Any], content: bytes) -> Iterator[Finding]:
    for offset, what in check_chunks(content):
        yield "png", offset, what
        return
    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
            yield from (("png", 0, what) for what in check_label_map(row, image))
    except Exception as error:
        yield "png", 0, f"the label map is unreadable: {error}"


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")

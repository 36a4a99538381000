# SPDX-License-Identifier: Apache-2.0
"""A row of a shard's table as what one card of the gallery needs."""

import math
from itertools import pairwise
from typing import Any

import numpy as np
from PIL import Image

from pipeline.dataset.run_lengths import decode_run_lengths
from pipeline.report.collect import label_of
from pipeline.report.picture import data_uri

Row = dict[str, Any]
Card = dict[str, Any]

_MAX_TEXT = 2000
_MAX_ENTITIES = 50


def build_card(
    row: Row, shard: str, sets: list[str], picture: Image.Image | None, absence: str | None
) -> Card:
    """All the page shows of a sample, as JSON values.

    Boxes are xyxy in pixels of the stored image; masks are COCO run lengths at the picture's size.

    Args:
        row: a row of the shard's table, as Python values.
        shard: its name.
        sets: names of the sets of the gallery that the sample is in.
        picture: a small copy of the image.
        absence: why there is no picture, if there is none.
    """
    entities = (row["entities"] or [])[:_MAX_ENTITIES]
    return {
        **{name: row[name] for name in ("key", "status", "stage", "reason", "width", "height")},
        **{name: _cut(row[name]) for name in ("source_key", "source_uri", "detail")},
        "sets": sets,
        "shard": shard,
        "caption": caption_pieces(row["caption"], row["nouns"] or [], entities),
        "entities": [_entity(entity, row) for entity in entities],
        "picture": picture and {"uri": data_uri(picture), "width": picture.width, "height": picture.height},
        "absence": absence,
        "masks": [_small_mask(entity, row, picture) for entity in entities] if picture else [],
    }


def caption_pieces(caption: str | None, nouns: list[Row], entities: list[Row]) -> list[list[Any]]:
    """The caption cut at the borders of its noun phrases: `[text, ids]`.

    `ids` are the entities that the piece names, empty for a phrase that nothing was found for, null
    for all other text. Cutting here spares the page from counting characters its own way.
    """
    caption = _cut(caption) or ""
    spans = [(noun["span"], None) for noun in nouns] + [(entity["span"], entity["id"]) for entity in entities]
    marks = [(max(0, span[0]), min(len(caption), span[1]), id) for span, id in spans if span]
    marks = [mark for mark in marks if mark[0] < mark[1]]
    cuts = sorted({0, len(caption), *(edge for mark in marks for edge in mark[:2])})
    pieces = []
    for start, end in pairwise(cuts):
        over = [id for first, last, id in marks if first <= start and end <= last]
        pieces.append([caption[start:end], sorted({id for id in over if id is not None}) if over else None])
    return pieces


def _entity(entity: Row, row: Row) -> Row:
    numbers = ("det_score", "mask_score", "stability", "fill", "clip_sim")
    pixels = (row["width"] or 0) * (row["height"] or 0)
    share = entity["area"] / pixels if entity["area"] is not None and pixels else None
    return {
        "id": entity["id"],
        "label": label_of(entity["lemma"], entity["text"]),
        "text": entity["text"] or "",
        "box": [round(edge, 2) for edge in entity["box"] or [] if math.isfinite(edge)],
        "share": _rounded(share),
        **{name: _rounded(entity[name]) for name in numbers},
    }


def _small_mask(entity: Row, row: Row, picture: Image.Image) -> Row | None:
    from pycocotools import mask as coco_mask

    rle = entity["rle"]
    if not rle or not rle["counts"] or rle["size"] != [row["height"], row["width"]]:
        return None
    try:
        full = decode_run_lengths(rle["counts"], *rle["size"])
    except ValueError:
        return None
    small = Image.fromarray(full).convert("L").resize(picture.size, Image.Resampling.BOX)
    counts = coco_mask.encode(np.asfortranarray(np.asarray(small) >= 128).astype(np.uint8, order="F"))[
        "counts"
    ]
    return {"id": entity["id"], "counts": counts.decode() if isinstance(counts, bytes) else counts}


def _rounded(number: float | None) -> float | None:
    return round(number, 4) if number is not None and math.isfinite(number) else None


def _cut(text: str | None) -> str | None:
    return text if text is None or len(text) <= _MAX_TEXT else text[: _MAX_TEXT - 1] + "…"

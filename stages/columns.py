# SPDX-License-Identifier: Apache-2.0
"""The columns that move between stages, and their types. A row is a sample; rows are never dropped.

`status` says what became of a sample: `ok` so far, `rejected` by a rule (`stage`, `reason`), or
`error` when something broke (`stage`, `reason`, and the message in `detail`).
"""

import pyarrow as pa

SCHEMA_VERSION = 2

OK, REJECTED, ERROR = "ok", "rejected", "error"

LEDGER = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("source_key", pa.string(), nullable=False),
        pa.field("source_uri", pa.string(), nullable=False),
        pa.field("replaces", pa.string()),
        pa.field("status", pa.string(), nullable=False),
        pa.field("stage", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("detail", pa.string()),
    ]
)
"""Every row has these from beginning to end.

`key` is unique in the dataset, made of shard and place in the shard, and has no dot. `source_key` is
the path below the input folder (or the tar's path, `/`, and the sample's own key). `replaces` is the key of
an older row of the same source item, which this one takes the place of; null for an item's first row.
"""

RAW = pa.schema(
    [
        *LEDGER,
        pa.field("source_bytes", pa.large_binary()),
        pa.field("alt_text", pa.string()),
        pa.field("url", pa.string()),
        pa.field("source_meta", pa.string()),
    ]
)
"""What a source hands to the first stage: the undecoded file, and what was known about it (JSON)."""

IMAGE = pa.schema(
    [
        pa.field("image", pa.large_binary()),
        pa.field("reencoded", pa.bool_()),
        pa.field("width", pa.int32()),
        pa.field("height", pa.int32()),
        pa.field("original_width", pa.int32()),
        pa.field("original_height", pa.int32()),
        pa.field("sha256", pa.string()),
    ]
)
"""`image` is the JPEG as it will be stored, upright RGB; sizes in pixels; `sha256` of the source bytes."""

NOUN = pa.struct(
    [
        pa.field("text", pa.string()),
        pa.field("lemma", pa.string()),
        pa.field("span", pa.list_(pa.int32())),
        pa.field("head", pa.string()),
        pa.field("head_span", pa.list_(pa.int32())),
        pa.field("prompt", pa.string()),
    ]
)
"""A noun phrase of the caption: `text` is `caption[span[0]:span[1]]`, `head` its noun, `prompt` what
the detector is asked for. Spans count characters, half-open."""

DETECTION = pa.struct(
    [
        pa.field("noun", pa.int32()),
        pa.field("box", pa.list_(pa.float32())),
        pa.field("score", pa.float32()),
    ]
)
"""`noun` is the place in the row's `nouns`; `box` is xyxy pixels of the stored image, half-open."""

RLE = pa.struct([pa.field("size", pa.list_(pa.int32())), pa.field("counts", pa.string())])
"""COCO compressed run lengths; `size` is height, width."""

ENTITY = pa.struct(
    [
        pa.field("id", pa.int32()),
        pa.field("text", pa.string()),
        pa.field("lemma", pa.string()),
        pa.field("span", pa.list_(pa.int32())),
        pa.field("box", pa.list_(pa.float32())),
        pa.field("det_score", pa.float32()),
        pa.field("contained_in", pa.int32()),
        pa.field("mask_score", pa.float32()),
        pa.field("stability", pa.float32()),
        pa.field("area", pa.int32()),
        pa.field("mask_box", pa.list_(pa.int32())),
        pa.field("fill", pa.float32()),
        pa.field("clip_sim", pa.float32()),
        pa.field("rle", RLE),
    ]
)
"""One subject. `id` counts from 1 in falling `det_score` and is its value in the label map;
`contained_in` is the id of an entity whose box holds most of this one, or -1; `fill` is mask area over
box area; what a stage has not found out yet is null."""

OFFSETS = pa.schema(
    [
        pa.field(f"{member}_{what}", pa.int64())
        for member in ("jpg", "json", "png", "txt")
        for what in ("offset", "size")
    ]
)
"""Where each member's bytes lie in the tar."""

SAMPLE = pa.schema(
    [
        *LEDGER,
        pa.field("alt_text", pa.string()),
        pa.field("url", pa.string()),
        pa.field("source_meta", pa.string()),
        *(field for field in IMAGE if field.name != "image"),
        pa.field("white_fraction", pa.float32()),
        pa.field("caption", pa.string()),
        pa.field("nouns", pa.list_(NOUN)),
        pa.field("entities", pa.list_(ENTITY)),
        *OFFSETS,
    ]
)
"""A shard's parquet: one row for every attempted sample, in source order. What stages of other packages
add comes after these columns."""

SECONDS = "seconds_"
"""Prefix of the columns that carry how long a stage took, per row; they end in the run's log."""

BACKOFF = "backoff_"
"""Prefix of the columns that say to how many rows at a time a stage had to go back, where memory ran out in
this table; the same in every row. They end in the run's log."""

DEATHS = "deaths_"
"""Prefix of the columns that say how many workers of an operator died over the shard."""

LOGGED = (SECONDS, BACKOFF, DEATHS)
"""Columns about the run and not about the data: they are in no file of the dataset."""

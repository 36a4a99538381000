# SPDX-License-Identifier: Apache-2.0
"""Real datasets for tests: rendered scenes with exact masks, put on disk by the write stage."""

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageFilter
from pycocotools import mask as coco_mask

from models.miniature.world import Rendered, RenderedSubject, render_scene, sample_scene
from pipeline.manifest import claim
from stages.columns import ENTITY, IMAGE, LEDGER, OFFSETS, OK, RAW, SAMPLE
from stages.write import Write

SIZE = 96

SHARD = pa.schema(
    [
        *(field for field in SAMPLE if field.name not in OFFSETS.names),
        IMAGE.field("image"),
        RAW.field("source_bytes"),
        pa.field("seconds_read", pa.float64()),
        pa.field("seconds_caption", pa.float64()),
    ]
)
"""What reaches the write stage: a sample's columns, what no stage dropped, and the stages' seconds."""


def shard_table(shard: int, rows: int = 6, seed: int = 0, size: int = SIZE, **changes: Any) -> pa.Table:
    """A whole shard's rows: every fourth rejected, every fifth broken, all others samples.

    Args:
        shard: its number.
        rows: how many.
        seed: of the scenes.
        size: side of the pictures in pixels.
        changes: column values that every sample gets instead of its own.
    """
    table = [_row(shard, index, seed, size, changes) for index in range(rows)]
    return pa.Table.from_pylist(table, SHARD)


def write_dataset(root: Path, shards: int = 2, rows: int = 6, seed: int = 0, **changes: Any) -> Path:
    """A dataset as a build leaves it before the end: claimed, with its shards and their listing."""
    return write_tables(root, [shard_table(shard, rows, seed, **changes) for shard in range(shards)])


def write_tables(root: Path, tables: list[pa.Table]) -> Path:
    """The same from one table a shard."""
    claim(root, {"config": {}, "weights": {}}, {})
    write_source(root, tables)
    write = Write(folder=str(root)).setup()
    for table in tables:
        write(table)
    return root


def write_source(root: Path, tables: list[pa.Table]) -> Path:
    """The listing of a build, one row group a shard; returns its place."""
    folder = root / "_meta" / "source"
    folder.mkdir(parents=True, exist_ok=True)
    schema = pa.schema([LEDGER.field("source_key"), LEDGER.field("replaces")])
    with pq.ParquetWriter(folder / "00000.parquet", schema) as writer:
        for table in tables:
            writer.write_table(table.select(schema.names))
    return folder / "00000.parquet"


def _row(shard: int, index: int, seed: int, size: int, changes: dict[str, Any]) -> dict[str, Any]:
    source_key = f"bilder/ä b.{shard:03d}.{index:03d}.jpg"
    row = {"key": f"{shard:05d}-{index:05d}", "source_key": source_key, "source_uri": f"file:///{source_key}"}
    row |= {"status": OK, "seconds_read": 0.25, "seconds_caption": 0.5}
    if index % 4 == 3:
        return row | {"status": "rejected", "stage": "filter_image", "reason": "too_small", "detail": "8 x 8"}
    if index % 5 == 4:
        return row | {"status": "error", "stage": "read", "reason": "OSError", "detail": "truncated"}
    rendered = render_scene(sample_scene(seed, shard * 1000 + index), size)
    return row | _sample(rendered, index, np.random.default_rng((seed, shard, index))) | changes


def _sample(rendered: Rendered, index: int, rng: np.random.Generator) -> dict[str, Any]:
    image = _jpeg(rendered.image)
    reencoded = index % 2 == 1
    source = image + b" " if reencoded else image
    scores = np.sort(rng.uniform(0.3, 0.99, len(rendered.subjects)))[::-1]
    entities = [
        _entity(number, subject, rendered.caption, float(score))
        for number, (subject, score) in enumerate(zip(rendered.subjects, scores, strict=True), 1)
    ]
    return {
        "image": image,
        "source_bytes": source,
        "sha256": hashlib.sha256(source).hexdigest(),
        "reencoded": reencoded,
        **_sizes(rendered.image),
        "alt_text": "Schöne Aussicht ☀" if index % 2 else None,
        "url": f"https://example.org/{index}.jpg" if index % 2 else None,
        "source_meta": json.dumps({"similarity": 0.3}) if index % 2 else None,
        "white_fraction": float(rng.uniform(0, 0.1)),
        "caption": rendered.caption,
        "nouns": [_noun(subject, rendered.caption) for subject in rendered.subjects],
        "entities": entities,
    }


def _sizes(image: Image.Image) -> dict[str, int]:
    sizes = {"width": image.width, "height": image.height}
    return sizes | {f"original_{name}": value for name, value in sizes.items()}


def _jpeg(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format="JPEG", quality=92, subsampling=0)
    return stream.getvalue()


def _phrase(subject: RenderedSubject, caption: str) -> dict[str, Any]:
    text = f"{subject.identity.body} {subject.identity.noun}"
    start = caption.index(text)
    return {"text": text, "lemma": subject.identity.noun, "span": [start, start + len(text)]}


def _noun(subject: RenderedSubject, caption: str) -> dict[str, Any]:
    phrase, noun = _phrase(subject, caption), subject.identity.noun
    end = phrase["span"][1]
    return phrase | {"head": noun, "head_span": [end - len(noun), end], "prompt": phrase["text"]}


def _entity(number: int, subject: RenderedSubject, caption: str, score: float) -> dict[str, Any]:
    # Swollen, so that neighbours overlap as real masks do.
    swollen = Image.fromarray(subject.mask).convert("L").filter(ImageFilter.MaxFilter(9))
    mask = RenderedSubject(subject.identity, np.asarray(swollen) > 0)
    rle = coco_mask.encode(np.asfortranarray(mask.mask.astype(np.uint8)))
    counts = rle["counts"]
    area, box = int(mask.mask.sum()), mask.box
    found = [value + 0.125 if place < 2 else value - 0.3 for place, value in enumerate(box)]
    values = {
        "id": number,
        **_phrase(subject, caption),
        "box": found,
        "det_score": score,
        "contained_in": -1,
        "mask_score": 0.93,
        "stability": 0.97,
        "area": area,
        "mask_box": list(box),
        "fill": min(area / ((found[2] - found[0]) * (found[3] - found[1])), 1.0),
        "clip_sim": None,
        "rle": {
            "size": list(mask.mask.shape),
            "counts": counts.decode() if isinstance(counts, bytes) else counts,
        },
    }
    assert list(values) == [field.name for field in ENTITY.fields], "an entity's fields have changed"
    return values

# SPDX-License-Identifier: Apache-2.0
"""A dataset with everything a report has to cope with: odd captions, overlaps, many kinds of failure."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import yaml
from pycocotools import mask as coco_mask

from pipeline.config import BuildConfig, resolved
from pipeline.dataset.new_part import write_part
from pipeline.dataset.run_lengths import decode_run_lengths
from pipeline.sources import open_source
from stages import STAGES, stage_class
from stages.write import Write
from tests.shards import SHARD, shard_table

Row = dict[str, Any]

HOSTILE = """</script><script>document.title='owned'</script><img src=x onerror="alert()"> a <b>cat</b>"""
UNICODE = "ein Bär 🐻 und eine sehr lange Überschrift über 猫 und собака " + "und noch ein Wort " * 40
NO_OUTPUT = dict.fromkeys(("entities", "nouns", "caption"))


def write_world(root: Path, samples: int = 12) -> Path:
    """Two shards: one of at least 3 samples, one of 36 rows that failed; the source lies beside `root`."""
    source = root.with_name(f"{root.name}-source")
    good = [row for shard in range(1000, 1000 + samples) for row in rows_of(shard, 1, size=192)]
    good[0] |= {"entities": _with_overlap(good[0]["entities"], good[0]["width"])}
    good[1] |= {"caption": HOSTILE, "nouns": [], "source_key": "a<b>&\"'</script>.jpg"}
    good[1]["entities"][0] |= {"text": "<i>cat</i>", "lemma": "</script><b>cat", "span": [-5, 9999]}
    start = UNICODE.index("Bär")
    good[2] |= {"caption": UNICODE, "nouns": []}
    good[2]["entities"][0] |= {"text": "Bär 🐻", "lemma": "Bär", "span": [start, start + 5]}
    write_rows(root, 0, good)
    write_rows(root, 1, _failed(source))
    _write_record(root, source)
    return root


def rows_of(shard: int, count: int, **options: Any) -> list[Row]:
    """Rows of a shard before they are written."""
    return shard_table(shard, count, **options).to_pylist()


def write_rows(root: Path, shard: int, rows: list[Row]) -> None:
    """Write rows as a shard, with the keys that they have to have."""
    keyed = [row | {"key": f"{shard:05d}-{place:05d}"} for place, row in enumerate(rows)]
    Write(folder=str(root)).setup()(pa.Table.from_pylist(keyed, SHARD))


def _with_overlap(entities: list[Row], width: int) -> list[Row]:
    """The first entity found twice under the same phrase, the second time shifted to the right."""
    first = entities[0]
    pixels = np.roll(decode_run_lengths(first["rle"]["counts"], *first["rle"]["size"]), 20, axis=1)
    counts = coco_mask.encode(np.asfortranarray(pixels.astype(np.uint8)))["counts"]
    box = [min(edge + shift, width) for edge, shift in zip(first["box"], (20, 0, 20, 0), strict=True)]
    rle = first["rle"] | {"counts": counts.decode() if isinstance(counts, bytes) else counts}
    return [*entities, first | {"id": len(entities) + 1, "box": box, "det_score": 0.11, "rle": rle}]


def _failed(source: Path) -> list[Row]:
    """24 too small, 6 with too many nouns, 3 with all columns but an empty mask, 3 broken files."""
    source.mkdir(parents=True)
    rows = [row for shard in range(2000, 2033) for row in rows_of(shard, 1)]
    for place, row in enumerate(rows):
        path = source / f"ä {place:03d}#.jpg"
        path.write_bytes(row.pop("source_bytes"))
        row |= {"source_key": path.name, "source_uri": path.as_uri(), "status": "rejected", "image": None}
        if place < 24:
            row |= {
                **NO_OUTPUT,
                "stage": "filter_image",
                "reason": "too_small",
                "detail": f"{place} x 80 pixels",
            }
        elif place < 30:
            row |= {"entities": None, "stage": "nouns", "reason": "too_many_nouns", "detail": "9 > 8"}
        else:
            row |= {"stage": "score", "reason": "empty_mask", "detail": "<b>mask</b> of 0 pixels"}
    (source / "broken.jpg").write_bytes(b"<html>not a picture</html>")
    uris = ((source / "broken.jpg").as_uri(), "s3://bucket/a.jpg", (source / "gone.jpg").as_uri())
    reasons = ("UnidentifiedImageError", "unreadable", "unreadable")
    for uri, reason in zip(uris, reasons, strict=True):
        error = {"status": "error", "stage": "read", "reason": reason, "detail": "<script>alert(1)</script>"}
        rows.append({"source_key": uri.rpartition("/")[2], "source_uri": uri, **error})
    return rows


def _write_record(root: Path, source: Path) -> None:
    stages = {name: stage_class(name)() for name in STAGES}
    config = resolved(BuildConfig(shard_size=64, stages=stages))
    manifest = {
        "fingerprint": "3f9a1c07d2b4" * 5,
        "created": "2026-11-03T10:00:00Z",
        "packages": {"ray": "2.60.0"},
    }
    (root / "_meta" / "manifest.json").write_text(json.dumps({**manifest, "identity": {"config": config}}))
    (root / "_meta" / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    listing = open_source(str(source)).listing()
    write_part(root, 0, pa.concat_tables([listing, listing]), listing.num_rows, {"kind": "build"})


def data_of(page: str) -> dict[str, Any]:
    """What a report's page holds."""
    found = re.findall(r'<script id="data" type="application/json">(.*?)</script>', page, re.DOTALL)
    assert len(found) == 1
    return json.loads(found[0])


def card_of(data: dict[str, Any], key: str) -> Row:
    """The card of a sample."""
    return next(card for card in data["cards"] if card["key"] == key)


def table_of(root: Path) -> pd.DataFrame:
    """All rows of a dataset."""
    tables = sorted((root / "data" / "train").glob("*.parquet"))
    return pd.concat(map(pd.read_parquet, tables), ignore_index=True)


def entities_of(root: Path) -> pd.DataFrame:
    """All entities of a dataset's samples, each with its sample's key and size."""
    samples = table_of(root).query("status == 'ok'")[["key", "width", "height", "entities"]]
    each = samples.explode("entities").dropna(subset="entities").reset_index(drop=True)
    return pd.concat([each, pd.json_normalize(list(each["entities"]))], axis=1)

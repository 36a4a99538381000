# SPDX-License-Identifier: Apache-2.0
"""A contact sheet of a dataset: pictures with boxes and masks, captions with the nouns in their colours.

COMMAND  python -m benchmarks.picture [DATASET=runs/demo/dataset] [PICTURE=docs/demo.png]
"""

import argparse
from pathlib import Path

import pyarrow.parquet as pq
from PIL import Image, ImageDraw, ImageFont

from pipeline.dataset.draw import entity_colour, overlay
from pipeline.dataset.layout import index_path
from pipeline.dataset.read_sample import Sample, find_sample

COLUMNS, ROWS, SIDE, TEXT = 4, 2, 256, 58


def main() -> None:
    """Save the sheet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", type=Path, nargs="?", default=Path("runs/demo/dataset"))
    parser.add_argument("picture", type=Path, nargs="?", default=Path("docs/demo.png"))
    arguments = parser.parse_args()
    rows = pq.read_table(index_path(arguments.dataset), columns=["key", "status", "entities"]).to_pylist()
    keys = [row["key"] for row in rows if row["status"] == "ok" and len(row["entities"]) >= 2]
    sheet = Image.new("RGB", (COLUMNS * (SIDE + 8) - 8, ROWS * (SIDE + TEXT)), "white")
    for place, key in enumerate(keys[: COLUMNS * ROWS]):
        sample = find_sample(arguments.dataset, key)
        corner = (place % COLUMNS * (SIDE + 8), place // COLUMNS * (SIDE + TEXT))
        sheet.paste(overlay(sample).resize((SIDE, SIDE)), corner)
        _write_caption(ImageDraw.Draw(sheet), sample, (corner[0] + 2, corner[1] + SIDE + 4))
    arguments.picture.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(arguments.picture)


def _write_caption(draw: ImageDraw.ImageDraw, sample: Sample, corner: tuple[int, int]) -> None:
    font = ImageFont.load_default(14)
    caption = sample.row["caption"]
    colours = {
        place: tuple(value * 2 // 3 for value in entity_colour(entity["id"]))
        for entity in sample.row["entities"]
        for place in range(*entity["span"])
    }
    x, y = corner
    start = 0
    for word in caption.split(" "):
        width = draw.textlength(word + " ", font)
        if x + width > corner[0] + SIDE:
            x, y = corner[0], y + 20
        draw.text((x, y), word, colours.get(start, (40, 40, 40)), font)
        x += width
        start += len(word) + 1


if __name__ == "__main__":
    main()

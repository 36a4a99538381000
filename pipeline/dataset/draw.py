# SPDX-License-Identifier: Apache-2.0
"""A sample's picture with its masks, boxes and labels drawn on it. Shapes: H and W of the picture."""

import colorsys
import io
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from pycocotools import mask as coco_mask

from pipeline.dataset.read_sample import Sample
from pipeline.errors import UserError

Colour = tuple[int, int, int]
_GOLDEN = 0.381966
"""Share of the colour circle from one entity to the next: no two of the first dozen come close."""


def entity_colour(number: int) -> Colour:
    """The colour of entity `number`, 8-bit sRGB; the same wherever the entity is drawn."""
    lightness = (0.58, 0.48, 0.68)[number % 3]
    red, green, blue = colorsys.hls_to_rgb((0.56 + number * _GOLDEN) % 1, lightness, 0.9)
    return round(red * 255), round(green * 255), round(blue * 255)


def overlay(sample: Sample, min_side: int = 512) -> Image.Image:
    """The picture with translucent masks, boxes, and labels with ids and scores.

    Args:
        sample: an `ok` one.
        min_side: smaller pictures are enlarged by a whole factor until no side is shorter, in pixels.

    Returns:
        RGB.

    Raises:
        UserError: if the sample was rejected, so that there is no picture of it.
    """
    row = sample.row
    if sample.jpg is None:
        raise UserError(
            f"{row['key']} was {row['status']} in {row['stage']} ({row['reason']}): it has no picture"
        )
    with Image.open(io.BytesIO(sample.jpg)) as stored:
        image = stored.convert("RGB")
    factor = max(1, -(-min_side // min(image.size)))
    image = image.resize((image.width * factor, image.height * factor), Image.Resampling.LANCZOS)
    entities = row["entities"] or []
    for entity in reversed(entities):
        _draw_mask(image, entity)
    for entity in reversed(entities):
        _draw_box(image, entity, factor)
    taken: list[tuple[float, ...]] = []
    for entity in entities:
        _draw_label(image, entity, factor, taken)
    return image


def _draw_mask(image: Image.Image, entity: dict[str, Any]) -> None:
    stored = Image.fromarray(np.ascontiguousarray(coco_mask.decode(entity["rle"])) * 255)
    mask_HW = np.asarray(stored.resize(image.size, Image.Resampling.BILINEAR)) > 127
    inner_HW = np.asarray(Image.fromarray(mask_HW).convert("L").filter(ImageFilter.MinFilter(5))) > 0
    opacity_HW = np.where(mask_HW & ~inner_HW, 255, mask_HW * 76).astype(np.uint8)
    image.paste(Image.new("RGB", image.size, entity_colour(entity["id"])), mask=Image.fromarray(opacity_HW))


def _draw_box(image: Image.Image, entity: dict[str, Any], factor: int) -> None:
    draw, width = ImageDraw.Draw(image), max(2, min(image.size) // 200)
    left, top, right, bottom = (round(value * factor) for value in entity["box"])
    # Black on both sides, so that the line shows on a ground of its own colour.
    draw.rectangle((left - 1, top - 1, right, bottom), outline="black", width=width + 2)
    draw.rectangle((left, top, right - 1, bottom - 1), outline=entity_colour(entity["id"]), width=width)


def _draw_label(
    image: Image.Image, entity: dict[str, Any], factor: int, taken: list[tuple[float, ...]]
) -> None:
    draw, colour = ImageDraw.Draw(image), entity_colour(entity["id"])
    font = ImageFont.load_default(max(14, min(image.size) // 28))
    text = f"{entity['id']} {entity['text']} {entity['det_score']:.2f}"
    _, _, width, height = draw.textbbox((0, 0), text, font=font)
    width, height = width + 8, height + 6
    left = min(max(entity["box"][0] * factor, 0), max(image.width - width, 0))
    top = entity["box"][1] * factor - height
    top = top if top >= 0 else entity["box"][1] * factor
    while any(_overlap((left, top, left + width, top + height), other) for other in taken):
        top += height
    chip = (left, top, left + width, top + height)
    taken.append(chip)
    draw.rectangle(chip, fill=colour, outline="black")
    draw.text((left + 4, top + 2), text, fill=_ink(colour), font=font)


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _ink(ground: Colour) -> str:
    red, green, blue = ground
    return "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 110 else "white"

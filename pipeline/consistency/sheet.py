# SPDX-License-Identifier: Apache-2.0
"""Pictures of a set on one sheet: a row a seed, a column a prompt, with the prompts above."""

from collections.abc import Mapping, Sequence
from textwrap import wrap

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

_SIDE = 192
_LINE = 14
_EDGE = 4


def contact_sheet(
    rows: Sequence[Sequence[Image.Image]], columns: Sequence[str], names: Sequence[str]
) -> Image.Image:
    """One picture of many.

    Args:
        rows: of pictures.
        columns: what is above each column.
        names: what is left of each row.
    """
    font = ImageFont.load_default(_LINE - 3)
    told = [wrap(column, 30) or [""] for column in columns]
    top = _EDGE + _LINE * max(map(len, told))
    left = _EDGE + max(int(font.getlength(name)) for name in names) + _EDGE
    sheet = Image.new(
        "RGB", (left + len(columns) * (_SIDE + _EDGE), top + len(rows) * (_SIDE + _EDGE)), "white"
    )
    pen = ImageDraw.Draw(sheet)
    for place, lines in enumerate(told):
        for number, line in enumerate(lines):
            pen.text((left + place * (_SIDE + _EDGE), number * _LINE), line, "black", font)
    for row, (name, pictures) in enumerate(zip(names, rows, strict=True)):
        y = top + row * (_SIDE + _EDGE)
        pen.text((_EDGE, y), name, "black", font)
        for place, picture in enumerate(pictures):
            sheet.paste(picture.convert("RGB").resize((_SIDE, _SIDE)), (left + place * (_SIDE + _EDGE), y))
    return sheet


def shown_masks(
    pictures: Sequence[Image.Image], masks: Mapping[tuple[int, int], Tensor]
) -> list[list[Image.Image]]:
    """The pictures for each grid, the coarsest first, dark where no subject was found.

    Args:
        pictures: B of them.
        masks: by rows and columns of a grid, bool (B, P).
    """
    return [
        [_darkened(picture, mask_P, grid) for picture, mask_P in zip(pictures, mask_BP, strict=True)]
        for grid, mask_BP in sorted(masks.items(), key=lambda each: each[0])
    ]


def _darkened(picture: Image.Image, mask_P: Tensor, grid: tuple[int, int]) -> Image.Image:
    cells = Image.fromarray(mask_P.view(grid).cpu().numpy().astype(np.uint8) * 255)
    dark = Image.blend(picture.convert("RGB"), Image.new("RGB", picture.size), 0.8)
    return Image.composite(picture.convert("RGB"), dark, cells.resize(picture.size, Image.Resampling.NEAREST))

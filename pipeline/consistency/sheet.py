# SPDX-License-Identifier: Apache-2.0
"""Pictures of a set on one sheet: a row a seed, a column a prompt, with the prompts above."""

from collections.abc import Sequence
from textwrap import wrap

from PIL import Image, ImageDraw, ImageFont

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

# SPDX-License-Identifier: Apache-2.0
"""An evaluation's Markdown tables as HTML."""

from __future__ import annotations

import html
import re

_BOLD = re.compile(r"\*\*(.+?)\*\*")


def as_html(markdown: str) -> str:
    """Paragraphs, lists and tables, which is all that `pipeline.evaluate.tables` writes."""
    parts = []
    for block in markdown.strip().split("\n\n"):
        lines = block.split("\n")
        if lines[0].startswith("|"):
            parts.append(_table(lines))
        elif lines[0].startswith("- "):
            parts.append(f"<ul>{''.join(f'<li>{_inline(line[2:])}</li>' for line in lines)}</ul>")
        else:
            parts.append(f'<p class="quiet">{_inline(" ".join(lines))}</p>')
    return "".join(parts)


def _table(lines: list[str]) -> str:
    head, _, *body = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    rows = "".join(
        f"<tr><th>{_inline(row[0])}</th>{''.join(f'<td>{_value(cell)}</td>' for cell in row[1:])}</tr>"
        for row in body
    )
    names = "".join(f"<th>{_name(cell)}</th>" for cell in head)
    return f'<div class="panel scroll"><table class="values"><tr>{names}</tr>{rows}</table></div>'


def _name(cell: str) -> str:
    """How well the judge reads a column on a line of its own."""
    return re.sub(r" \[(judge [\d.]+)\]", r"<small>\1</small>", _inline(cell))


def _value(cell: str) -> str:
    """The interval on a line of its own."""
    shown = _inline(cell)
    return re.sub(r" (\([-+\d.]+ to [-+\d.]+\))", r"<small>\1</small>", shown)


def _inline(text: str) -> str:
    return _BOLD.sub(r"<b>\1</b>", html.escape(text.replace("\\|", "|")))

# SPDX-License-Identifier: Apache-2.0
"""Cells and rows of tables in Markdown."""

from __future__ import annotations

from pipeline.evaluate.statistics import Estimate


def told(value: Estimate | None) -> str:
    """`0.812 (0.790 to 0.834)`."""
    return "-" if value is None else f"{value.mean:.3f} ({value.low:.3f} to {value.high:.3f})"


def apart(value: Estimate | None) -> str:
    """The same with signs, bold where it is no chance."""
    if value is None:
        return "-"
    text = f"{value.mean:+.3f} ({value.low:+.3f} to {value.high:+.3f})"
    return f"**{text}**" if value.apart else text


def line(*cells: str) -> str:
    """A row; what would break it is escaped."""
    return f"| {' | '.join(map(_escaped, cells))} |"


def _escaped(text: str) -> str:
    return " ".join(text.split()).replace("|", r"\|")


def rule(columns: int) -> str:
    """What is below the heads of so many columns."""
    return f"|{'---|' * columns}"

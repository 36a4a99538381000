# SPDX-License-Identifier: Apache-2.0
"""How figures of several runs are told."""

from collections.abc import Sequence
from statistics import median


def spread(values: Sequence[float], digits: int = 2) -> str:
    """`0.98 (0.95 to 1.02)`: the median, the least and the most; of one alone the value."""
    middle, least, most = (f"{value:,.{digits}f}" for value in (median(values), min(values), max(values)))
    return f"{middle} ({least} to {most})" if len(values) > 1 else middle


def table_head(*heads: str) -> str:
    """The first two lines of a table in Markdown."""
    return f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}"

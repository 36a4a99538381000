# SPDX-License-Identifier: Apache-2.0
"""Which samples of a batch are trained without which conditions; guidance needs all of these cases.

Shapes: B samples.
"""

from typing import NamedTuple

from torch import Tensor

from models.subject_diffusion.options import Drop


class Dropped(NamedTuple):
    """What each sample goes without, bool (B,) each."""

    text: Tensor
    location: Tensor
    subjects: Tensor


def dropped(uniform_B: Tensor, drop: Drop) -> Dropped:
    """One draw in [0, 1) a sample decides: text alone, then both, then location alone, else nothing.

    Each part of [0, 1) begins with its lower end (spec section 2.6).
    """
    # Sums of shares, without what binary fractions add to them.
    both = round(drop.text + drop.both, 9)
    last = round(drop.text + drop.both + drop.location, 9)
    text = uniform_B < both
    location = (uniform_B >= drop.text) & (uniform_B < last)
    return Dropped(text, location, location if drop.subjects else location & False)

# SPDX-License-Identifier: Apache-2.0
"""Which subjects scenes may show; `world/split.py` says who is held out."""

from enum import StrEnum


class Who(StrEnum):
    """A choice of subjects."""

    anyone = "anyone"
    trained = "trained"
    """None that is held out from training."""
    held_out = "held_out"
    """None that training may see."""

# SPDX-License-Identifier: Apache-2.0
"""Types of configuration fields that say which values they take; the loader of configurations checks them."""

from typing import Annotated, Literal

from annotated_types import Ge, Interval

Count = Annotated[int, Interval(ge=1, le=2**31 - 1)]
"""1 or more."""
Tally = Annotated[int, Ge(0)]
"""0 or more."""
Share = Annotated[float, Interval(ge=0, le=1)]
"""From 0 to 1."""
Ratio = Annotated[float, Interval(ge=1, le=1e9)]
"""A longer side over a shorter one."""
Holding = Annotated[float, Interval(ge=0, le=1e6)]
"""So much of a machine, fractions included."""
Precision = Literal["auto", "float32", "bfloat16", "float16"]
"""`auto` is `bfloat16` on a GPU, `float32` on a CPU."""

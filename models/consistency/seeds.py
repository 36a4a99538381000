# SPDX-License-Identifier: Apache-2.0
"""Seeds of pictures by those of their sets."""

_SET = 10_000
"""Seeds of a set: its own, and as many more as it has pictures."""


def picture_seeds(seed: int, pictures: int, first: int = 0) -> list[int]:
    """Seeds of the pictures of a set: each has noise of its own, and sets have none in common.

    Args:
        seed: of the set.
        pictures: in it.
        first: pictures of it that are there already, as anchors.
    """
    return [seed * _SET + place for place in range(first, first + pictures)]

# SPDX-License-Identifier: Apache-2.0
"""Words for people."""


def counted(number: int, noun: str) -> str:
    """`1 shard`, `2 shards`; nouns with a regular plural."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def lasted(seconds: float) -> str:
    """`12 s`, `5.0 min`."""
    return f"{seconds:.0f} s" if seconds < 60 else f"{seconds / 60:.1f} min"

# SPDX-License-Identifier: Apache-2.0
"""How this process gives memory back to the system: late."""

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Of glibc's `mallopt`."""
_BYTES = 2**30


def keep_freed_memory() -> bool:
    """Keep up to a gigabyte of freed memory for the next batch.

    A forward pass on a CPU allocates and frees the same large tensors again and again; by default each of
    them is new pages from the kernel, every one to be cleared: up to a sixth of all time.

    Returns:
        Whether this C library can be told so (glibc can).
    """
    try:
        tell = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    return bool(tell(_TRIM_THRESHOLD, _BYTES) and tell(_MMAP_THRESHOLD, _BYTES))

# SPDX-License-Identifier: Apache-2.0
"""Memory that ran out: how to tell, and how to get back what nobody uses. Torch is never imported for it."""

import gc
import re
import sys

_ALLOCATORS = re.compile(
    # "CUDA out of memory. Tried ...", "CUDA error: out of memory", "MPS backend out of memory (...)"
    r"out of memory"
    # c10's DefaultCPUAllocator, on POSIX and on Windows
    r"|can't allocate memory: you tried to allocate|not enough memory: you tried to allocate"
    # CUBLAS_STATUS_ALLOC_FAILED and cuDNN's, cuSOLVER's, cuSPARSE's and cuFFT's like it
    r"|\bCU[A-Z]+_(?:STATUS_)?(?:\w+_)?ALLOC(?:ATION)?_FAILED\b"
    # what torch makes of C++'s own
    r"|std::bad_alloc",
    re.IGNORECASE,
)
"""What torch's allocators, and the libraries below it, say in a plain RuntimeError."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether less work at a time might have gone well: Python's, NumPy's and torch's ways to say so."""
    if isinstance(error, MemoryError) or "OutOfMemoryError" in (
        kind.__name__ for kind in type(error).__mro__
    ):
        return True
    return isinstance(error, RuntimeError) and _ALLOCATORS.search(str(error)) is not None


def free_memory() -> None:
    """Collect cycles, and give what torch holds in reserve on GPUs back to the driver."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()

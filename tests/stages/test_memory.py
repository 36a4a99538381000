# SPDX-License-Identifier: Apache-2.0
import gc
import subprocess
import sys
import weakref

import numpy as np
import pytest
import torch

from stages.memory import free_memory, is_out_of_memory

HUGE = 1 << 50  # bytes; more than any machine's address space lets a process have


@pytest.mark.parametrize(
    "attempt",
    [
        lambda: torch.empty(HUGE, dtype=torch.uint8),
        lambda: np.empty(HUGE, np.uint8),
        lambda: bytearray(HUGE),
    ],
    ids=["torch on the CPU", "NumPy", "Python"],
)
def test_an_allocation_that_fails_is_told_as_such(attempt):
    with pytest.raises((RuntimeError, MemoryError)) as caught:
        attempt()
    assert is_out_of_memory(caught.value)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError(
            "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of ..."
        ),
        torch.cuda.OutOfMemoryError(""),
        RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB"),
        RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"),
        RuntimeError("MPS backend out of memory (MPS allocated: 5 GB)"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
        RuntimeError("cuFFT error: CUFFT_ALLOC_FAILED"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 4096 bytes."),
        RuntimeError("std::bad_alloc"),
    ],
    ids=lambda error: str(error)[:40],
)
def test_what_allocators_of_devices_say_is_out_of_memory(error):
    assert is_out_of_memory(error)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("CUDA out of memory"),
        RuntimeError("CUDA error: device-side assert triggered"),
        RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
        RuntimeError("The size of tensor a (3) must match the size of tensor b (4)"),
        RuntimeError(),
        OSError("No space left on device"),
    ],
    ids=repr,
)
def test_other_errors_are_not(error):
    assert not is_out_of_memory(error)


def test_cycles_are_collected():
    class Node:
        pass

    gc.disable()
    try:
        node = Node()
        node.itself = node
        gone = weakref.ref(node)
        del node
        assert gone() is not None
        free_memory()
        assert gone() is None
    finally:
        gc.enable()


def test_nothing_is_loaded_to_free_memory():
    code = "import sys; from stages.memory import free_memory; free_memory(); print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"

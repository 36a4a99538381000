# SPDX-License-Identifier: Apache-2.0
"""How much memory a piece of work needed at most: of the GPU, or of this process where there is none."""

from contextlib import suppress
from pathlib import Path

_CLEAR, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


class PeakMemory:
    """Counts from when it is made, as far as the system lets one begin anew."""

    def __init__(self) -> None:
        """Begin."""
        import torch

        self._on_gpu = torch.cuda.is_available() and torch.cuda.is_initialized()
        if self._on_gpu:
            torch.cuda.reset_peak_memory_stats()
            return
        # Linux forgets the largest size so far.
        with suppress(OSError):
            _CLEAR.write_text("5")

    def bytes(self) -> int:
        """The most so far."""
        if self._on_gpu:
            import torch

            return torch.cuda.max_memory_allocated()
        return peak_of_process()


def peak_of_process() -> int:
    """Bytes of RAM that this process has held at most; `getrusage` tells its parent's where that is more."""
    try:
        line = next(line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    except (OSError, StopIteration):
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

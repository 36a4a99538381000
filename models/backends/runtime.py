# SPDX-License-Identifier: Apache-2.0
"""What every torch backend has: where it runs, how precisely, and on how many threads."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from models.backends.allocator import keep_freed_memory
from models.backends.bounds import Count, Precision
from models.backends.weights import check_on_hub, device_and_dtype

if TYPE_CHECKING:
    import torch
    from torch import nn

Model = TypeVar("Model", bound="nn.Module")
_DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?")


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """Fields that all torch backends share."""

    model: str = ""
    """Hub name, local folder, or `miniature:NAME`."""
    revision: str | None = None
    """Commit or tag on the hub; pin it for a run that is to be repeated."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda`, or one GPU of several, `cuda:1`."""
    dtype: Precision = "auto"
    """`auto`, `float32`, `bfloat16`, `float16`."""
    compile: bool = False
    """Whether to run the model through `torch.compile`: minutes at the start, for a run of many hours."""
    threads: Count = 1
    """CPU threads of one worker; part of the results' last bits."""

    def __post_init__(self) -> None:
        """Check what a type cannot say.

        Raises:
            ValueError: if `device` is not the name of one.
        """
        if not _DEVICE.fullmatch(self.device):
            raise ValueError(f"device is {self.device!r}; it must be auto, cpu, cuda or cuda:N")

    def check(self) -> None:
        """See that the weights can be had, without loading them.

        Raises:
            MissingWeights: if they cannot.
        """
        check_on_hub(self.model, self.revision)

    def place(self) -> tuple[torch.device, torch.dtype]:
        """Device and dtype; also limits this process to `threads` CPU threads, and keeps its memory.

        Raises:
            MissingDevice: if there is no such GPU here.
        """
        import torch

        keep_freed_memory()

        torch.set_num_threads(self.threads)
        return device_and_dtype(self.device, self.dtype)

    def prepared(self, model: Model, device: torch.device) -> Model:
        """The model on its device, in inference mode."""
        import torch

        # Convolutions in this layout: up to a fifth off the time of Grounding DINO and SAM, by the CPU.
        model = model.to(device).eval().requires_grad_(False)
        model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        return model

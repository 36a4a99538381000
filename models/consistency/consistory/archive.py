# SPDX-License-Identifier: Apache-2.0
"""What later pictures need of anchors, step by step: in memory up to a limit, or in a folder, a file a step.

Shapes: A anchors, Q kept patches, P places, C channels, G halves of guidance.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor


class Archive:
    """Of one pass."""

    def __init__(self, anchors: int, folder: Path | None = None, limit: int | None = None) -> None:
        """
        Args:
            anchors: how many there are.
            folder: to write each step's file to as soon as the next one begins, or to read from.
            limit: bytes beyond which everything is let go, and the anchors have to be made again.
        """
        self.anchors, self.folder, self._limit = anchors, folder, limit
        self._steps: dict[int, dict[str, Tensor]] = {}
        self.bytes = (
            sum(path.stat().st_size for path in folder.glob("*")) if folder and folder.is_dir() else 0
        )
        """Kept, in memory or on disk."""
        self.overflown = False
        """Whether the limit was reached."""

    def keep_hidden(self, step: int, name: str, halves: Sequence[bool], kept: Sequence[Tensor]) -> None:
        """Of a layer's input the kept patches of each anchor, (G, Q, C) each."""
        for place, half in enumerate(halves):
            for anchor, kept_GQC in enumerate(kept):
                self._keep(step, f"{name}|hidden|{half:d}|{anchor}", kept_GQC[place])

    def hidden(self, step: int, name: str, halves: Sequence[bool], like: Tensor) -> list[Tensor]:
        """The same, on the device and in the precision of another tensor."""
        kept = self._of_step(step)
        return [
            torch.stack([kept[f"{name}|hidden|{half:d}|{anchor}"] for half in halves]).to(like)
            for anchor in range(self.anchors)
        ]

    def keep_output(self, step: int, name: str, output_APC: Tensor) -> None:
        """Of a layer's output the half with the prompt, as others take it."""
        self._keep(step, f"{name}|output", output_APC)

    def output(self, step: int, name: str, like: Tensor) -> Tensor:
        """The same, on the device and in the precision of another tensor."""
        return self._of_step(step)[f"{name}|output"].to(like)

    def close(self) -> None:
        """Write what is left."""
        for step in [*self._steps] if self.folder else ():
            self._write(step)

    def save(self, folder: Path) -> None:
        """Into a folder, a file a step, wherever it is now."""
        folder.mkdir(parents=True, exist_ok=True)
        for step in self.steps():
            save_file(self._of_step(step), _file(folder, step))

    def steps(self) -> list[int]:
        """Those that something is kept of."""
        there = {*self._steps}
        if self.folder is not None and self.folder.is_dir():
            there |= {int(path.stem.removeprefix("step-")) for path in self.folder.glob("step-*.safetensors")}
        return sorted(there)

    def _keep(self, step: int, key: str, tensor: Tensor) -> None:
        if self.overflown:
            return
        if step not in self._steps and self.folder is not None:
            self.close()
        self.bytes += tensor.nbytes
        if self._limit is not None and self.bytes > self._limit:
            self.overflown = True
            self._steps.clear()
            return
        # A copy of its own: a view would keep the whole of what it is of.
        self._steps.setdefault(step, {})[key] = tensor.detach().to("cpu", copy=True).contiguous()

    def _write(self, step: int) -> None:
        assert self.folder is not None
        self.folder.mkdir(parents=True, exist_ok=True)
        save_file(self._steps.pop(step), _file(self.folder, step))

    def _of_step(self, step: int) -> dict[str, Tensor]:
        if step not in self._steps and self.folder is not None:
            # One at a time: steps come in order.
            self._steps = {step: load_file(_file(self.folder, step))}
        return self._steps[step]


def _file(folder: Path, step: int) -> Path:
    return folder / f"step-{step:04d}.safetensors"

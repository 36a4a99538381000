# SPDX-License-Identifier: Apache-2.0
"""What later pictures need of anchors, call by call: in memory up to a limit, or in a folder, a file a call.

Shapes: A anchors, Q kept patches, P places, C channels, G halves of guidance.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from models.consistency.state import BadState
from models.file_mode import as_usual


class Archive:
    """Of one pass."""

    def __init__(self, anchors: int, folder: Path | None = None, limit: int | None = None) -> None:
        """
        Args:
            anchors: how many there are.
            folder: to write each call's file to as soon as the next one begins, or to read from.
            limit: bytes beyond which everything is let go, and the anchors have to be made again.
        """
        self.anchors, self.folder, self._limit = anchors, folder, limit
        self._calls: dict[int, dict[str, Tensor]] = {}
        self._begun = False
        self.bytes = (
            sum(path.stat().st_size for path in folder.glob("*")) if folder and folder.is_dir() else 0
        )
        """Kept, in memory or on disk."""
        self.overflown = False
        """Whether the limit was reached."""

    def keep_hidden(self, call: int, name: str, halves: Sequence[bool], kept: Sequence[Tensor]) -> None:
        """Of a layer's input the kept patches of each anchor, (G, Q, C) each."""
        for place, half in enumerate(halves):
            for anchor, kept_GQC in enumerate(kept):
                self._keep(call, f"{name}|hidden|{half:d}|{anchor}", kept_GQC[place])

    def hidden(self, call: int, name: str, halves: Sequence[bool], like: Tensor) -> list[Tensor]:
        """The same, on the device and in the precision of another tensor."""
        kept = self._of_step(call)
        try:
            return [
                torch.stack([kept[f"{name}|hidden|{half:d}|{anchor}"] for half in halves]).to(like)
                for anchor in range(self.anchors)
            ]
        except KeyError as error:
            raise _lacking(call) from error

    def keep_output(self, call: int, name: str, output_APC: Tensor) -> None:
        """Of a layer's output the half with the prompt, as others take it."""
        self._keep(call, f"{name}|output", output_APC)

    def output(self, call: int, name: str, like: Tensor) -> Tensor:
        """The same, on the device and in the precision of another tensor."""
        try:
            return self._of_step(call)[f"{name}|output"].to(like)
        except KeyError as error:
            raise _lacking(call) from error

    def close(self) -> None:
        """Write what is left."""
        for call in [*self._calls] if self.folder else ():
            self._write(call)

    def save(self, folder: Path) -> None:
        """Into a folder, a file a call, wherever it is now."""
        folder.mkdir(parents=True, exist_ok=True)
        for call in self.calls():
            _save(self._of_step(call), _file(folder, call))

    def calls(self) -> list[int]:
        """Those that something is kept of."""
        there = {*self._calls}
        if self.folder is not None and self.folder.is_dir():
            there |= {int(path.stem.removeprefix("call-")) for path in self.folder.glob("call-*.safetensors")}
        return sorted(there)

    def _keep(self, call: int, key: str, tensor: Tensor) -> None:
        if self.overflown:
            return
        if not self._begun:
            # What another run left must not be taken for this one's.
            self._begun, self.bytes = True, 0
            self._remove()
        if call not in self._calls and self.folder is not None:
            self.close()
        self.bytes += tensor.nbytes
        if self._limit is not None and self.bytes > self._limit:
            self.overflown = True
            self._calls.clear()
            self._remove()
            return
        # A copy of its own: a view would keep the whole of what it is of.
        self._calls.setdefault(call, {})[key] = tensor.detach().to("cpu", copy=True).contiguous()

    def _remove(self) -> None:
        if self.folder is not None:
            remove_calls(self.folder)

    def _write(self, call: int) -> None:
        assert self.folder is not None
        self.folder.mkdir(parents=True, exist_ok=True)
        _save(self._calls.pop(call), _file(self.folder, call))

    def _of_step(self, call: int) -> dict[str, Tensor]:
        if call not in self._calls and self.folder is not None:
            # One at a time: steps come in order.
            self._calls = {call: _load(_file(self.folder, call))}
        if call not in self._calls:
            raise _lacking(call)
        return self._calls[call]


def _lacking(call: int) -> BadState:
    return BadState(f"the anchors are damaged: what is kept of call {call} is not theirs; draw them again")


def remove_calls(folder: Path) -> None:
    """Take away what an archive has written there, and nothing else."""
    for path in folder.glob("call-*.safetensors"):
        path.unlink(missing_ok=True)
    with suppress(OSError):
        folder.rmdir()


def _save(tensors: dict[str, Tensor], path: Path) -> None:
    save_file(tensors, path)
    as_usual(path)


def _load(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise BadState(f"the anchors are damaged: {path}: {error}; draw them again with `tune`") from error


def _file(folder: Path, call: int) -> Path:
    return folder / f"call-{call:04d}.safetensors"

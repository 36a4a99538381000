# SPDX-License-Identifier: Apache-2.0
"""Anchors of ConsiStory for later prompts: what their layers computed, or how to make them again.
Section 4.4; or given pictures as noise, section 5.5.

A folder holds `state.json`, `state.safetensors`, and of each pass `first/` and `second/` with a file a call.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from models.consistency.consistory.archive import Archive, remove_calls
from models.consistency.consistory.inversion import Inverted
from models.consistency.consistory.passes import Found
from models.consistency.state import BadState, State


@dataclass(frozen=True)
class Remembered:
    """Anchors that were drawn once."""

    state: State
    """Prompts, seeds and settings; features and masks."""
    first: Archive | None = None
    """None where there was no room: the anchors are made again with each batch."""
    second: Archive | None = None

    @property
    def found(self) -> Found:
        """Features and masks of the first pass."""
        tensors = self.state.tensors
        rows, columns = self.state.about["grid"]
        return Found(tensors["features"], tensors["masks"], (rows, columns))

    @property
    def given(self) -> Inverted | None:
        """The anchors, if they are pictures that were given."""
        tensors = self.state.tensors
        if "begin" not in tensors:
            return None
        return Inverted(tensors["begin"], tensors["added"], float(self.state.about["given_guidance"]))

    @property
    def bytes(self) -> int:
        """Of all that is kept."""
        return self.state.bytes + sum(each.bytes for each in (self.first, self.second) if each is not None)

    def save(self, folder: Path) -> None:
        """Into a folder; what was written there on the way stays.

        Raises:
            OSError: it cannot be written.
        """
        for name, archive in (("first", self.first), ("second", self.second)):
            if archive is None:
                remove_calls(folder / name)
            elif archive.folder != folder / name:
                archive.save(folder / name)
        self.state.save(folder)

    @classmethod
    def load(cls, folder: Path) -> Remembered:
        """What `save` wrote; calls are read as they are needed.

        Raises:
            BadState: it is damaged.
        """
        state = State.load(folder)
        state.check("consistory", {})
        given = state.tensors.keys() >= {"begin", "added"}
        drawn = {"features": 4, "masks": 2} if state.about.get("grid") else {}
        state.holds(**({"begin": 4, "added": 5} if given else drawn))
        prompts, seeds = (state.about.get(name) for name in ("prompts", "seeds"))
        if not isinstance(prompts, list) or not isinstance(seeds, list) or len(prompts) != len(seeds):
            raise BadState(f"{folder} does not say what its anchors show; draw them again with `tune`")
        if not all(isinstance(seed, int) for seed in seeds) or not _is_whole(state, given):
            raise BadState(f"{folder} does not say how its anchors were made; draw them again with `tune`")
        anchors = len(prompts)
        found = [
            Archive(anchors, folder / name) if (folder / name).is_dir() else None
            for name in ("first", "second")
        ]
        # What only one pass has kept is of no use: the anchors are made again.
        return cls(state, *(found if all(found) else (None, None)))


def _is_whole(state: State, given: bool) -> bool:
    """Whether what is said of tensors goes with them."""
    if given:
        guidance = state.about.get("given_guidance")
        return isinstance(guidance, int | float) and len(state.tensors["begin"]) == len(
            state.about["prompts"]
        )
    grid, masks = state.about.get("grid"), state.tensors.get("masks")
    if masks is None:
        return True
    return isinstance(grid, list) and len(grid) == 2 and grid[0] * grid[1] == masks.shape[-1]

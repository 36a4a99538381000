# SPDX-License-Identifier: Apache-2.0
"""What attention layers know of the sampling pass that they are part of, and what they tell it.

Shapes: B pictures, L tokens, S subjects, P places, Q kept patches, C channels, G halves of guidance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from models.consistency.consistory.archive import Archive
from models.consistency.consistory.correspondence import Matches
from models.consistency.consistory.injection import injected
from models.consistency.consistory.masks import Draws, Grid, SubjectMasks
from models.consistency.consistory.options import Options
from models.consistency.consistory.sharing import Seen, grouped, keys_and_values, sources_of
from models.consistency.unet_layout import Layer, grid


@dataclass
class Steering:
    """One pass over all steps of a batch."""

    options: Options
    weights_BLS: Tensor
    """Share of each token in each subject's words."""
    depths: tuple[int, ...]
    """Where masks are needed, the deepest first."""
    mask_depth: int
    matches: Matches | None = None
    """What corresponds to what; there in the second pass."""
    writing: Archive | None = None
    """Keeps what later pictures need of the anchors, who are this batch."""
    reading: Archive | None = None
    """Remembered anchors: the only pictures that this batch sees."""
    given: int = 0
    """How many of the first pictures are given ones: they are the anchors, and see nobody."""
    steps: int = 0
    step: int = 0
    call: int = 0
    """Of the UNet in this pass, from 1: what is remembered is remembered by call."""
    halves: tuple[bool, ...] = (True,)
    """Of the present call: whether each half has the prompt."""
    vanilla: bool = False
    """Whether the present call is that of an unchanged model."""
    recording: bool = True
    """Whether attention to words counts: once a step, however often the scheduler calls."""
    queries: dict[tuple[str, bool], Tensor] = field(default_factory=dict)
    _kept: dict[Grid, dict[int, Tensor]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Say who sees whom."""
        anchors = None if self.reading is None else self.reading.anchors
        self.sources = sources_of(self.pictures, self.options.anchors, anchors, self.given > 0)
        self.groups = grouped(self.sources)

    def begin(self, height: int, width: int, steps: int) -> None:
        """Without masks; called when the latents' size and the number of steps are known."""
        pictures, options = self.pictures, self.options
        self.latents, self.steps, self.step = (height, width), steps, 0
        self.masks = SubjectMasks(
            [self.grid(depth) for depth in self.depths],
            options.mask_window,
            options.mask_dropout,
            Draws(options.dropout_seed, pictures if options.draws == "image" else None),
        )

    @property
    def pictures(self) -> int:
        """In the batch."""
        return len(self.weights_BLS)

    def grid(self, depth: int) -> Grid:
        """Rows and columns at a depth."""
        return grid(depth, *self.latents)

    def weights(self, states_BLC: Tensor) -> Tensor:
        """Of as many tokens as the text's states have, where these are."""
        more = states_BLC.shape[1] - self.weights_BLS.shape[1]
        if more or self.weights_BLS.device != states_BLC.device:
            self.weights_BLS = F.pad(self.weights_BLS, (0, 0, 0, more)).to(states_BLC.device)
        return self.weights_BLS

    @property
    def blend(self) -> float:
        """Share of the unchanged model's queries in this step."""
        return self.options.blended(self.step, self.steps)

    @property
    def sharing(self) -> bool:
        """Whether pictures see others in this step: from the second on, where there are masks."""
        return self.options.share and self.step > 0 and any(sources for sources, _ in self.groups)

    def subject(self, layer: Layer) -> Tensor | None:
        """Where the subject is on a layer's grid, (B, P), if others' keys are to be made like those there."""
        return self.masks.clean[self.grid(layer.depth)] if self.given else None

    @property
    def injecting(self) -> bool:
        """Whether corresponding patches are injected in this step."""
        return self.matches is not None and self.options.injected(self.step, self.steps)

    def end_step(self) -> None:
        """Make the masks of the next step; the only place where the device is waited for."""
        self.queries.clear()
        self.masks.end_step(self.grid(self.mask_depth))
        shown = sorted({j for sources in self.sources for j in sources if j < self.pictures})
        shown = range(self.pictures) if self.writing is not None else shown
        self._kept = {
            where: {j: mask_BP[j].nonzero()[:, 0] for j in shown}
            for where, mask_BP in self.masks.kept.items()
        }
        self.step += 1
        self.recording = True

    def seen(self, layer: Layer, attn: Any, hidden_GBPC: Tensor, key: Tensor, value: Tensor) -> Seen:
        """Keys and values of the kept patches of all pictures that are seen, by a layer."""
        if self.reading is not None:
            remembered = self.reading.hidden(self.call, layer.name, self.halves, hidden_GBPC)
            return {self.pictures + j: keys_and_values(attn, kept) for j, kept in enumerate(remembered)}
        places = self._kept[self.grid(layer.depth)]
        if self.writing is not None:
            kept = [hidden_GBPC[:, j].index_select(1, at) for j, at in places.items()]
            self.writing.keep_hidden(self.call, layer.name, self.halves, kept)
        return {
            j: (key[:, j].index_select(1, at), value[:, j].index_select(1, at)) for j, at in places.items()
        }

    def inject(self, name: str, output: Tensor) -> Tensor:
        """Into a layer's output, (G * B, P, C): the half with the prompt alone."""
        assert self.matches is not None
        if True not in self.halves:
            return output
        others, with_prompt = output[: -self.pictures], output[-self.pictures :]
        remembered = None if self.reading is None else self.reading.output(self.call, name, output)
        options = self.options
        blended = injected(with_prompt, self.matches, options.injection, options.injection_order, remembered)
        if self.writing is not None:
            # What pictures of the same batch would have taken.
            in_turn = options.injection_order == "sequential"
            self.writing.keep_output(self.call, name, blended if in_turn else with_prompt)
        return torch.cat([others, blended])

    def query_of(self, name: str, query: Tensor) -> None:
        """Keep an unchanged model's queries, (G * B, P, C), until the changed one asks for them."""
        for half, each in zip(self.halves, query.unflatten(0, (-1, self.pictures)), strict=True):
            self.queries[name, half] = each

    def blending(self, name: str) -> tuple[Tensor, float] | None:
        """An unchanged model's queries, (G, B, P, C), and their share."""
        if not self.blend:
            return None
        return torch.stack([self.queries[name, half] for half in self.halves]), self.blend


def weights_of(spans: Sequence[Sequence[Sequence[Sequence[int]]]], tokens: int) -> Tensor:
    """The mean over all tokens of a subject's words, float32 (B, L, S).

    Args:
        spans: for each picture and subject, see `words.token_spans`.
        tokens: of the text's states.
    """
    weights_BLS = torch.zeros(len(spans), tokens, len(spans[0]))
    for picture, subjects in enumerate(spans):
        for subject, occurrences in enumerate(subjects):
            places = [place for occurrence in occurrences for place in occurrence]
            for place in places:
                weights_BLS[picture, place, subject] += 1 / len(places)
    return weights_BLS

# SPDX-License-Identifier: Apache-2.0
"""The attention layers of a UNet under steering, put in and taken out.

Shapes: B pictures, P places, C channels, G halves of guidance.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor

from models.consistency.consistory.options import Options
from models.consistency.consistory.sharing import queries, shared_attention
from models.consistency.consistory.steering import Steering
from models.consistency.processors import Around, word_maps
from models.consistency.unet_layout import Layer, busiest_depth, layers_of


class SelfAttention(Around):
    """Sees other pictures' subjects, and has corresponding patches injected."""

    def __init__(self, inner: Any, steering: Steering, layer: Layer, shares: bool, injects: bool) -> None:
        """
        Args:
            inner: the pipeline's own processor.
            steering: of the pass.
            layer: this one.
            shares: whether it ever sees other pictures.
            injects: whether patches are ever injected.
        """
        super().__init__(inner)
        self._steering, self._layer, self._shares, self._injects = steering, layer, shares, injects

    def __call__(self, attn: Any, hidden_states: Tensor, *more: Any, **named: Any) -> Tensor:
        """See `Around`."""
        steering, name = self._steering, self._layer.name
        if steering.vanilla:
            if self._shares:
                steering.query_of(name, queries(attn, hidden_states))
            return super().__call__(attn, hidden_states, *more, **named)
        if self._shares and steering.sharing:
            output = self._shared(attn, hidden_states)
        else:
            output = super().__call__(attn, hidden_states, *more, **named)
        return steering.inject(name, output) if self._injects and steering.injecting else output

    def _shared(self, attn: Any, hidden_states: Tensor) -> Tensor:
        steering, layer = self._steering, self._layer
        hidden_GBPC = hidden_states.unflatten(0, (-1, steering.pictures))
        output = shared_attention(
            attn,
            hidden_GBPC,
            steering.groups,
            lambda key, value: steering.seen(layer, attn, hidden_GBPC, key, value),
            steering.blending(layer.name),
            steering.subject(layer),
        )
        return output.flatten(0, 1)


class CrossAttention(Around):
    """Tells where the subjects' words are looked at; computes what it did."""

    def __init__(self, inner: Any, steering: Steering) -> None:
        """
        Args:
            inner: the pipeline's own processor.
            steering: of the pass.
        """
        super().__init__(inner)
        self._steering = steering

    def changed(
        self, attn: Any, hidden_BPC: Tensor, text_BLC: Any, mask: Tensor | None, output_BPC: Tensor
    ) -> Tensor:
        """See `Around`."""
        steering = self._steering
        if steering.recording and not steering.vanilla and True in steering.halves:
            last = slice(-steering.pictures, None)
            mask = None if mask is None else mask[last]
            weights_BLS = steering.weights(text_BLC)
            steering.masks.see(word_maps(attn, hidden_BPC[last], text_BLC[last], weights_BLS, mask))
        return output_BPC


def depths_of(unet: Any, options: Options) -> tuple[int, int]:
    """Where words are read and where patches are injected, see `Options`."""
    layers = layers_of(unet)
    words, patches = options.mask_depth, options.injection_depth
    cross, plain = ([layer for layer in layers if layer.cross == kind] for kind in (True, False))
    for name, wanted, some in (("mask_depth", words, cross), ("injection_depth", patches, plain)):
        there = sorted({layer.depth for layer in some})
        if wanted is not None and wanted not in there:
            raise ValueError(f"{name} is {wanted}; this model attends at {', '.join(map(str, there))}")
    words = busiest_depth(cross, 2) if words is None else words
    return words, busiest_depth(plain, 1) if patches is None else patches


def roles(unet: Any, options: Options) -> dict[Layer, tuple[bool, bool, bool]]:
    """Of each layer whether it tells of words, shares, and has patches injected; none that does nothing."""
    words, patches = depths_of(unet, options)
    found = {
        layer: (
            layer.cross and layer.depth == words,
            not layer.cross and layer.part == "up",
            not layer.cross and layer.part != "mid" and layer.depth == patches,
        )
        for layer in layers_of(unet)
    }
    return {layer: role for layer, role in found.items() if any(role)}


def mask_depths(unet: Any, options: Options) -> tuple[int, ...]:
    """Where masks are needed, the deepest first."""
    wanted = {
        layer.depth for layer, (_, shares, injects) in roles(unet, options).items() if shares or injects
    }
    return tuple(sorted(wanted | {depths_of(unet, options)[1]}, reverse=True))


@contextmanager
def steered_layers(unet: Any, steering: Steering) -> Iterator[None]:
    """Put the processors in, and the pipeline's own back."""
    before = unet.attn_processors
    changed = {
        layer.name: CrossAttention(before[layer.name], steering)
        if words
        else SelfAttention(before[layer.name], steering, layer, shares, injects)
        for layer, (words, shares, injects) in roles(unet, steering.options).items()
    }
    unet.set_attn_processor({**before, **changed})
    try:
        yield
    finally:
        unet.set_attn_processor(before)

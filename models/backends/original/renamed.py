# SPDX-License-Identifier: Apache-2.0
"""From the authors' names of weights to those of transformers, by tables."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.backends.original.checkpoint import Weights
from models.backends.protocols import MissingWeights

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Rule:
    """Names that fit a pattern become another one."""

    pattern: str
    """Regular expression of the whole name."""
    name: str
    """With groups as in `re.sub`; `{}` is where each of the parts goes."""
    parts: tuple[str, ...] = ()
    """Of a tensor that holds several, one after another along its first axis."""

    def names(self, name: str) -> list[str]:
        """What a name becomes; nothing if it does not fit."""
        if not (found := re.fullmatch(self.pattern, name)):
            return []
        named = found.expand(self.name)
        return [named.replace("{}", part) for part in self.parts] or [named]


def used(weights: Weights, unused: str) -> dict[str, Tensor]:
    """Without those whose names fit a pattern: buffers, and what is for training alone."""
    return {name: tensor for name, tensor in weights.items() if not re.fullmatch(unused, name)}


def renamed(weights: Weights, rules: Sequence[Rule]) -> dict[str, Tensor]:
    """The same tensors by transformers' names.

    Args:
        weights: by the authors' names.
        rules: the first one that fits a name counts.

    Raises:
        MissingWeights: a name fits no rule.
    """
    found: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        names = next((names for rule in rules if (names := rule.names(name))), [])
        if not names:
            raise MissingWeights(f"the checkpoint has {name}, which is no part of such a model")
        parts = tensor.chunk(len(names)) if len(names) > 1 else (tensor,)
        found.update(zip(names, parts, strict=True))
    return found


def filled(model: nn.Module, weights: Weights, optional: str = r"(?!)") -> None:
    """Put weights into a model, all of them and all that it has.

    Args:
        model: to fill, in place.
        weights: by its own names.
        optional: pattern of names that the model may have without their being given.

    Raises:
        MissingWeights: something is missing, left over, of another size, or apart where the model shares it.
    """
    own = model.state_dict()
    missing = sorted(name for name in own.keys() - weights.keys() if not re.fullmatch(optional, name))
    if missing:
        raise MissingWeights(f"the checkpoint lacks {len(missing)} parts, such as {missing[0]}")
    if left := sorted(weights.keys() - own.keys()):
        raise MissingWeights(f"the checkpoint has {len(left)} parts too many, such as {left[0]}")
    for name, tensor in weights.items():
        if tensor.is_floating_point() and tensor.isnan().any():
            raise MissingWeights(f"{name} is not a number in places; the file is damaged, get it again")
        if own[name].shape != tensor.shape:
            told = f"{name} is {tuple(tensor.shape)} in the checkpoint, {tuple(own[name].shape)} in the model"
            raise MissingWeights(f"{told}; its sizes cannot be read from its weights")
    model.load_state_dict(dict(weights), strict=False)
    own = model.state_dict()
    for name, tensor in weights.items():
        if not own[name].equal(tensor.to(own[name])):
            raise MissingWeights(
                f"the checkpoint has a {name} of its own, which this model shares with others"
            )

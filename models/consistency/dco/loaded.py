# SPDX-License-Identifier: Apache-2.0
"""Learnt subjects and styles on a borrowed pipeline: their low-rank changes, their words, their prompts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import count
from typing import Any

import torch
from torch import Tensor

from models.consistency.dco.adapters import adapters, filled, set_strength
from models.consistency.dco.captions import with_names
from models.consistency.dco.rows import encoder_names, with_words
from models.consistency.dco.tuning import ADAPTER
from models.consistency.state import BadState, State, backbone


def checked(state: State, pipe: Any) -> None:
    """See that a state is one of the method's, for this model, and whole.

    Raises:
        BadState: it is not.
    """
    state.check("dco", {"backbone": backbone(pipe)})
    about = state.about
    rows = [f"rows.{name}" for name in encoder_names(pipe)] if about.get("token") else []
    state.holds(**dict.fromkeys(rows, 2))
    called = [name for name in about.get("called") or () if isinstance(name, str)]
    if not isinstance(about.get("rank"), int) or len(called) != len(about["words"]):
        raise BadState("the state is damaged: it does not say its rank and its names; tune again")
    learnt = any(name.startswith("lora.") for name in state.tensors)
    if "token" not in about or learnt != bool(about["rank"]) or bool(about["token"]) != _has_rows(state):
        raise BadState("the state is damaged: what it says of itself is not what it holds; tune again")


def _has_rows(state: State) -> bool:
    return any(name.startswith("rows.") for name in state.tensors)


@contextmanager
def with_changes(
    unet: Any, states: Sequence[State], strengths: Sequence[float]
) -> Iterator[dict[str, float]]:
    """The states' changes on a UNet, added up.

    Args:
        unet: of the borrowed pipeline.
        states: of the method.
        strengths: of each.

    Yields:
        How much each counts, by adapter.
    """
    counts = {f"{ADAPTER}_{place}": strength for place, strength in enumerate(strengths)}
    named = {name: state for name, state in zip(counts, states, strict=True) if state.about["rank"]}
    with adapters(unet, {name: int(state.about["rank"]) for name, state in named.items()}) as parameters:
        for name, state in named.items():
            filled(parameters[name], _part(state.tensors, "lora."))
        counts = {name: counts[name] for name in named}
        set_strength(unet, counts)
        yield counts


def with_learnt_words(pipe: Any, states: Sequence[State]) -> AbstractContextManager[None]:
    """The pipeline knows the states' new words."""
    some = [state for state in states if state.about["token"]]
    rows = {
        name: torch.cat([state.tensors[f"rows.{name}"] for state in some]).to(pipe.unet.device)
        for name in (encoder_names(pipe) if some else ())
    }
    return with_words(pipe, [state.about["token"] for state in some], rows)


def told_apart(states: Sequence[State]) -> list[State]:
    """The same with new words that differ: subjects that were learnt apart are often called alike, and what a
    learnt row is called is nothing that was learnt."""
    found: list[State] = []
    for state in states:
        token, taken = state.about["token"], {each.about["token"] for each in found}
        if token and token in taken:
            name = next(each for number in count(2) if (each := f"{token}{number}") not in taken)
            state = State(state.method, {**state.about, "token": name, "called": [name]}, state.tensors)
        found.append(state)
    return found


def renamed_prompts(prompts: Sequence[str], states: Sequence[State]) -> list[str]:
    """Prompts with each state's nouns replaced by what the subjects are called.

    Raises:
        BadCaption: a noun is not in a prompt just once.
    """
    found = [*prompts]
    for state in states:
        nouns, called = state.about["words"], state.about["called"]
        if nouns != called:
            found = [with_names(prompt, nouns, called) for prompt in found]
    return found


def _part(tensors: Mapping[str, Tensor], begin: str) -> dict[str, Tensor]:
    return {name.removeprefix(begin): each for name, each in tensors.items() if name.startswith(begin)}

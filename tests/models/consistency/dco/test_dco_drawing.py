# SPDX-License-Identifier: Apache-2.0
"""Guidance inside of real pipelines, without trained weights."""

from dataclasses import replace

import pytest
import torch

from models.consistency.dco.adapters import adapters
from models.consistency.dco.dco import Dco
from models.consistency.dco.rows import begun_rows
from models.consistency.dco.tuning import ADAPTER
from models.consistency.state import State
from tests.models.consistency.dco.subjects import (
    SAMPLING,
    SHORT,
    apart,
    drawn,
    plain,
)


@pytest.mark.parametrize("guidance", [5.0, 1.0])
def test_without_consistency_it_is_the_untuned_pipeline_bit_for_bit(pipe, state, guidance):
    sampling = replace(SAMPLING, guidance=guidance)
    found, method = drawn(pipe, state, replace(SHORT, consistency=0.0), sampling)
    assert torch.equal(found, plain(pipe, sampling))
    assert method.rows == (2 if guidance > 1 else 1) * 2 * 4


def test_consistency_costs_one_row_more(pipe, state):
    found, method = drawn(pipe, state)
    assert method.rows == 3 * 2 * 4
    assert apart(found, plain(pipe)).min() > 1e-3


def untouched(pipe):
    """A state that changes nothing: its word is the noun's row, its low-rank weights add nothing."""
    rows = begun_rows(pipe, "cat")
    with adapters(pipe.unet, {ADAPTER: 4}) as parameters:
        lora = {f"lora.{name}": each.detach().clone() for name, each in parameters[ADAPTER].items()}
    learnt = {f"rows.{name}": row.detach() for name, row in rows.items()}
    return State("dco", Dco(SHORT)._about(pipe, ["cat"]), {**lora, **learnt})


@pytest.mark.parametrize("consistency", [0.5, 3.0, 8.0])
def test_an_untuned_state_guides_as_the_pipeline_does_whatever_the_weight(pipe, consistency):
    found, _ = drawn(pipe, untouched(pipe), replace(SHORT, consistency=consistency))
    assert apart(found, plain(pipe)).max() < 2e-3


def test_guidance_is_linear_in_its_weight(pipe, state):
    """In the first step; later ones begin elsewhere."""
    sampling = replace(SAMPLING, steps=1)
    one, two, four = (
        drawn(pipe, state, replace(SHORT, consistency=each), sampling)[0] for each in (1.0, 2.0, 4.0)
    )
    assert torch.allclose(four - two, 2 * (two - one), atol=1e-3)


def test_with_both_weights_one_it_is_the_tuned_prediction_alone(pipe, state):
    sampling = replace(SAMPLING, guidance=1.0)
    found, _ = drawn(pipe, state, replace(SHORT, consistency=1.0), sampling)
    own, _ = drawn(pipe, state, replace(SHORT, consistency=None), sampling)
    assert apart(found, own).max() < 1e-3


def test_the_tuned_models_own_guidance_is_something_else(pipe, state):
    own, method = drawn(pipe, state, replace(SHORT, consistency=None))
    assert method.rows == 2 * 2 * 4
    for weight in (SAMPLING.guidance, 0.0):
        assert apart(own, drawn(pipe, state, replace(SHORT, consistency=weight))[0]).min() > 1e-4


def test_a_negative_prompt_and_a_rescale(pipe, state):
    sampling = replace(SAMPLING, negative="a dog", more={"guidance_rescale": 0.5})
    found, _ = drawn(pipe, state, replace(SHORT, consistency=0.0), sampling)
    assert torch.equal(found, plain(pipe, sampling))
    assert torch.isfinite(drawn(pipe, state, SHORT, sampling)[0]).all()

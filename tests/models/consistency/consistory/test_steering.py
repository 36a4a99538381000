# SPDX-License-Identifier: Apache-2.0
"""What layers are told and tell, call by call."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from models.consistency.borrowed import borrowed
from models.consistency.consistory.calls import Calls
from models.consistency.consistory.correspondence import Matches
from models.consistency.consistory.layers import depths_of, mask_depths
from models.consistency.consistory.options import FREEU_SDXL, Options
from models.consistency.consistory.steering import Steering, weights_of
from tests.models.consistency.tiny import PROMPTS, SAMPLING, SEEDS, sd_pipe, stock, xl_pipe

B, P, C = 3, 12, 4


def steering_of(options=None, pictures=B, **more):
    weights_BLS = weights_of([[[[2]]]] * pictures, 77)
    return Steering(options or Options(), weights_BLS, (1, 0), 1, **more)


def matches_of():
    generator = torch.Generator().manual_seed(0)
    return Matches(
        torch.randint(0, B, (B, P), generator=generator),
        torch.randint(0, P, (B, P), generator=generator),
        torch.rand(B, P, generator=generator) < 0.5,
        torch.zeros(B, P),
    )


@pytest.mark.parametrize("halves", [(False, True), (True,), (False,)])
def test_injection_is_for_the_half_with_the_prompt_alone(halves):
    steering = steering_of(matches=matches_of())
    steering.begin(6, 8, 30)
    steering.halves = halves
    output = torch.randn(len(halves) * B, P, C)
    found = steering.inject("layer", output)
    if halves[-1]:
        assert torch.equal(found[:-B], output[:-B])
        changed = (found[-B:] != output[-B:]).any(-1)
        assert changed.any()
        assert not (changed & ~steering.matches.injected_BP).any()
    else:
        assert torch.equal(found, output)


def test_injection_is_in_its_steps_alone_and_in_the_second_pass():
    second, first = steering_of(matches=matches_of()), steering_of()
    for steering in (first, second):
        steering.begin(6, 8, 50)
    injecting = []
    for step in range(50):
        first.step = second.step = step
        assert not first.injecting
        injecting.append(second.injecting)
    assert [step for step, does in enumerate(injecting) if does] == [*range(5, 17)]


def run(pipe, options, watch=None, pictures=2, steps=10):
    steering = Steering(
        options,
        weights_of([[[[2]]]] * pictures, 77),
        mask_depths(pipe.unet, options),
        depths_of(pipe.unet, options)[0],
    )
    with torch.no_grad(), borrowed(pipe):
        if options.freeu:
            pipe.unet.enable_freeu(*FREEU_SDXL)
        calls = Calls(pipe, steering, lambda _: watch and watch(steering))
        with calls.attached():
            arguments = replace(SAMPLING, steps=steps).arguments(PROMPTS[:pictures], SEEDS[:pictures])
            latents = pipe(**arguments).images
    return latents, calls, steering


@pytest.mark.parametrize("make", [xl_pipe, sd_pipe])
def test_an_unchanged_call_leaves_no_trace(make):
    """With nothing but blended queries of weight 0 the pass is as without unchanged calls."""
    pipe = make()
    plain, few, one = run(pipe, Options(freeu=None, blend=None))
    blended, many, other = run(pipe, Options(freeu=None, blend=(0.0, 0.0), blend_part=0.5))
    # A share of none asks for no unchanged call at all.
    assert (few.made, many.made) == (10, 10)
    tiny, most, third = run(pipe, Options(freeu=None, blend=(1e-12, 1e-12), blend_part=0.5))
    assert most.made == 15
    for latents, steering in ((blended, other), (tiny, third)):
        assert torch.allclose(latents, plain, atol=1e-5)
        assert steering.masks.remembered == one.masks.remembered == 10
        for where, mask_BP in one.masks.clean.items():
            assert torch.equal(steering.masks.clean[where], mask_BP)
    assert torch.allclose(most.features_BChw, few.features_BChw, atol=1e-4)


def test_draws_are_the_same_for_all_layers_and_halves_of_a_step():
    seen = []
    run(
        xl_pipe(),
        Options(),
        lambda steering: seen.append({k: v.clone() for k, v in steering.masks.kept.items()}),
    )
    assert len(seen) == 10
    assert all(len(kept) == 2 for kept in seen)
    differ = [not torch.equal(one[8, 8], other[8, 8]) for one, other in pairwise(seen)]
    assert any(differ)


def test_features_come_from_the_step_nearest_to_their_time():
    pipe = xl_pipe()
    for steps in (50, 30, 25, 7):
        _, calls, _ = run(pipe, Options(), steps=steps)
        times = [1 + 1000 // steps * step for step in range(steps)]
        assert abs(calls.features_time - 261) == min(abs(time - 261) for time in times)
        assert calls.features_BChw.shape == (2, 32, 8, 8)


def test_aliased_features_are_those_that_freeu_has_scaled():
    pipe = xl_pipe()
    clean, aliased = (
        run(pipe, Options(features_aliased=alias), steps=10)[1].features_BChw for alias in (False, True)
    )
    half = clean.shape[1] // 2
    assert torch.allclose(aliased[:, :half], clean[:, :half] * FREEU_SDXL[3], atol=1e-5)
    assert torch.equal(aliased[:, half:], clean[:, half:])


def test_fewer_rows_than_pictures_are_refused():
    pipe = xl_pipe()
    steering = steering_of(pictures=3)
    calls = Calls(pipe, steering, lambda _: None)
    with pytest.raises(ValueError, match="two halves"), calls.attached():
        stock(pipe, PROMPTS[:2], SEEDS[:2])
    assert "forward" not in pipe.unet.__dict__


def test_long_texts_have_more_tokens_than_the_weights():
    steering = steering_of()
    weights = steering.weights(torch.zeros(B, 154, 8))
    assert weights.shape == (B, 154, 1)
    assert weights.sum() == B

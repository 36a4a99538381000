# SPDX-License-Identifier: Apache-2.0
"""The whole method inside of real pipelines, without trained weights."""

from dataclasses import replace

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    HeunDiscreteScheduler,
    UniPCMultistepScheduler,
)
from PIL import Image

from models.consistency.cones2.cones2 import Cones2, composed
from models.consistency.cones2.layout import BadLayout, layout_of_boxes
from models.consistency.cones2.options import Options
from models.consistency.cones2.residual import prepared, preservation, residual_of, trained
from models.consistency.cones2.sampling import back_to, noise_over_signal
from models.consistency.latents import encoded_pictures
from models.consistency.method import Subject
from models.consistency.offsets import own_spans, places_of
from models.consistency.state import BadState, State, backbone
from models.consistency.templates import SENTENCES
from models.consistency.text import Encoders
from tests.models.consistency.tiny import SAMPLING, sd_pipe, stock, xl_pipe

SAMPLING = replace(SAMPLING, steps=6)
BOTH = Subject(words=("cat", "dog"))
PROMPTS, SEEDS = ["a cat and a dog in the snow", "a dog and a cat on the beach"], [3, 5]
SIDES = layout_of_boxes([(0, 0, 0.5, 1), (0.5, 0, 1, 1)])
SHORT = Options(steps=3)
COLOURS = ("red", "blue", "green")
PICTURES = tuple(Image.new("RGB", (80 + 9 * k, 64), colour) for k, colour in enumerate(COLOURS))


@pytest.fixture(scope="module", params=[xl_pipe, sd_pipe], ids=["xl", "sd"])
def pipe(request):
    return request.param()


@pytest.fixture(scope="module")
def states(pipe):
    return [learnt(pipe, word) for word in BOTH.words]


def learnt(pipe, word, **changes):
    options = replace(SHORT, lr=1e-3, **changes)
    return Cones2(options).fit(pipe, Subject(words=(word,), pictures=PICTURES), SAMPLING)


def drawn(pipe, state, options=SHORT, layout=None, sampling=SAMPLING, prompts=PROMPTS, subject=BOTH):
    method = Cones2(options)
    return method.generate(
        pipe, subject, state, prompts, SEEDS[: len(prompts)], sampling, layout=layout
    ), method


def plain(pipe, sampling=SAMPLING, prompts=PROMPTS):
    return stock(pipe, prompts, SEEDS[: len(prompts)], sampling)


def apart(one, other):
    return (one - other).abs().amax((1, 2, 3))


# --- drawing ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("guidance", [5.0, 1.0])
@pytest.mark.parametrize("layout", [None, SIDES])
def test_switched_off_it_is_the_stock_pipeline_bit_for_bit(pipe, states, guidance, layout):
    sampling = replace(SAMPLING, guidance=guidance)
    off = replace(SHORT, strength=0.0, layout_weight=0.0, recurrence=1)
    assert torch.equal(drawn(pipe, composed(states), off, layout, sampling)[0], plain(pipe, sampling))
    zero = State("cones2", composed(states).about, {"residual": 0 * composed(states).tensors["residual"]})
    assert torch.equal(drawn(pipe, zero, sampling=sampling)[0], plain(pipe, sampling))


def test_without_guided_steps_a_layout_does_nothing(pipe):
    assert torch.equal(drawn(pipe, None, replace(SHORT, guided=0.0), SIDES)[0], plain(pipe))


def test_residuals_and_a_layout_have_an_effect_each_alone_too(pipe, states):
    both = composed(states)
    assert apart(drawn(pipe, both)[0], plain(pipe)).min() > 1e-4
    assert apart(drawn(pipe, None, layout=SIDES)[0], plain(pipe)).min() > 1e-3
    swapped = layout_of_boxes([(0.5, 0, 1, 1), (0, 0, 0.5, 1)])
    one, other = (drawn(pipe, both, layout=each)[0] for each in (SIDES, swapped))
    assert apart(one, other).min() > 1e-3


@pytest.mark.parametrize(
    ("guided", "recurrence", "calls"), [(1.0, 2, 12), (0.5, 2, 9), (0.5, 3, 12), (1.0, 1, 6)]
)
def test_recurrence_costs_a_call_of_each_guided_step(pipe, guided, recurrence, calls):
    options = replace(SHORT, guided=guided, recurrence=recurrence)
    assert drawn(pipe, None, options, SIDES)[1].rows == 2 * 2 * calls
    assert drawn(pipe, None, options)[1].rows == 2 * 2 * 6, "without a layout nothing is guided"


def test_pictures_do_not_depend_on_each_other(pipe, states):
    together = drawn(pipe, composed(states), layout=SIDES)[0]
    alone = drawn(pipe, composed(states), layout=SIDES, prompts=PROMPTS[:1])[0]
    assert apart(together[:1], alone).max() < 1e-3


def test_the_order_of_subjects_does_not_matter(pipe, states):
    one = drawn(pipe, composed(states))[0]
    other = drawn(pipe, composed(states[::-1]), subject=Subject(words=("dog", "cat")))[0]
    assert apart(one, other).max() < 1e-4


def test_two_of_a_kind_have_a_residual_and_a_region_each():
    pipe = sd_pipe()
    twins = [learnt(pipe, "dog"), learnt(pipe, "dog", seed=1)]
    words = ("dog", "dog")
    assert own_spans(pipe, "a dog and a dog", words) == [[[2]], [[5]]]
    places = places_of(pipe, ["a dog and a dog"], words)
    assert (places.token.tolist(), places.offset.tolist()) == ([2, 5], [0, 1])
    found, _ = drawn(
        pipe, composed(twins), layout=SIDES, prompts=["a dog and a dog"], subject=Subject(words=words)
    )
    assert torch.isfinite(found).all()
    turned, _ = drawn(
        pipe, composed(twins[::-1]), layout=SIDES, prompts=["a dog and a dog"], subject=Subject(words=words)
    )
    assert apart(found, turned).min() > 1e-4


@pytest.mark.parametrize(
    "scheduler", [EulerDiscreteScheduler, EulerAncestralDiscreteScheduler, UniPCMultistepScheduler]
)
def test_any_scheduler_of_one_call_a_step(scheduler):
    pipe = sd_pipe()
    pipe.scheduler = scheduler.from_config(pipe.scheduler.config)
    off = replace(SHORT, strength=0.0, layout_weight=0.0)
    assert torch.equal(drawn(pipe, None, off, SIDES)[0], plain(pipe))
    once, twice = (drawn(pipe, None, replace(SHORT, recurrence=each), SIDES)[0] for each in (1, 2))
    assert torch.isfinite(twice).all()
    assert apart(once, twice).min() > 1e-3
    assert torch.equal(plain(pipe), plain(pipe))


def test_a_scheduler_of_second_order_has_no_recurrence():
    pipe = sd_pipe()
    pipe.scheduler = HeunDiscreteScheduler.from_config(pipe.scheduler.config)
    with pytest.raises(ValueError, match="once a step"):
        drawn(pipe, None, layout=SIDES)
    assert torch.isfinite(drawn(pipe, None, replace(SHORT, recurrence=1), SIDES)[0]).all()


@pytest.mark.parametrize("scheduler", [EulerDiscreteScheduler, DDIMScheduler])
def test_noise_put_back_is_as_much_as_there_was(scheduler):
    some = scheduler.from_config(sd_pipe().scheduler.config)
    some.set_timesteps(10)
    now, then = (float(time) for time in some.timesteps[3:5])
    sigma, after = (noise_over_signal(some, time) for time in (now, then))
    generator = torch.Generator().manual_seed(0)
    signal = torch.ones(40, 100, 10)
    scale = 1.0 if scheduler is EulerDiscreteScheduler else (1 + after**2) ** -0.5
    ahead = scale * (signal + after * torch.randn(signal.shape, generator=generator))
    fresh = torch.randn(signal.shape, generator=generator)
    found = back_to(ahead, fresh, sigma, after, scheduler is EulerDiscreteScheduler)
    wanted = 1.0 if scheduler is EulerDiscreteScheduler else (1 + sigma**2) ** -0.5
    assert found.mean().item() == pytest.approx(wanted, rel=0.05)
    assert found.std().item() == pytest.approx(wanted * sigma, rel=0.02)


def test_sizes_need_not_be_square(pipe):
    sampling = replace(SAMPLING, height=192, width=64, steps=3)
    assert drawn(pipe, None, layout=SIDES, sampling=sampling)[0].shape[-2:] == (24, 8)


def test_the_pipeline_is_left_as_it_was(pipe, states):
    before, processors = plain(pipe), {name: id(each) for name, each in pipe.unet.attn_processors.items()}
    scheduler, chance = pipe.scheduler, torch.get_rng_state()
    drawn(pipe, composed(states), layout=SIDES)
    with pytest.raises(BadLayout):
        drawn(pipe, None, layout=layout_of_boxes([(0, 0, 1, 1)]))
    assert {name: id(each) for name, each in pipe.unet.attn_processors.items()} == processors
    assert pipe.scheduler is scheduler
    assert "step" not in scheduler.__dict__
    assert "forward" not in pipe.unet.__dict__
    assert torch.equal(torch.get_rng_state(), chance)
    assert torch.equal(plain(pipe), before)


# --- residuals ----------------------------------------------------------------------------------------------


def test_an_untrained_encoder_has_no_residual_in_any_order_of_captions(pipe):
    captions = SENTENCES["object"]
    assert len(captions) >= 27
    untouched = Encoders(pipe, copies=True).eval()
    assert residual_of(pipe, untouched, "cat", captions).abs().max() == 0
    with torch.no_grad():
        for parameter in untouched.parameters():
            parameter += 0.01 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0))
    one, other = (residual_of(pipe, untouched, "cat", some) for some in (captions, captions[::-1]))
    assert one.abs().max() > 1e-3
    assert torch.allclose(one, other, atol=1e-5)


def test_what_is_preserved_is_what_is_not_the_subjects():
    generator = torch.Generator().manual_seed(0)
    before, states = torch.randn(1, 10, 8, generator=generator), torch.randn(3, 10, 8, generator=generator)
    begin, rest = preservation(states, before, [1, 2])
    assert begin.item() == pytest.approx((before - states)[:, 0].norm(dim=-1).mean().item())
    assert rest.item() == pytest.approx((before - states)[:, 3:].flatten(1).norm(dim=-1).mean().item())
    touched = states.clone()
    touched[:, 1:3] += 5
    assert preservation(touched, before, [1, 2]) == (begin, rest)
    assert preservation(before, before, [1, 2]) == (0, 0)
    halves = [preservation(states[k : k + 1], before, [1, 2]) for k in range(3)]
    assert begin.item() == pytest.approx(sum(each[0].item() for each in halves) / 3)


def step_of(pipe, rows=2):
    training = prepared(pipe, "cat", 128, 128)
    generator = torch.Generator().manual_seed(1)
    latents, noise = torch.randn(2, rows, 4, 16, 16, generator=generator)
    return training, (latents, noise, torch.tensor([100, 700][:rows]))


def test_losses_begin_as_denoising_and_teach_the_copies_alone(pipe):
    training, given = step_of(pipe)
    whole, denoising = training.loss(*given, Options())
    assert whole.item() == pytest.approx(denoising.item(), abs=1e-5)
    whole.backward()
    assert all(each.grad is None for each in pipe.text_encoder.parameters())
    assert any(each.grad is not None and each.grad.abs().max() > 0 for each in training.encoders.parameters())
    pipe.unet.zero_grad()
    with torch.no_grad():
        for parameter in training.encoders.parameters():
            parameter += 0.02 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0))
    off = Options(begin_weight=0.0, rest_weight=0.0)
    whole, denoising = training.loss(*given, off)
    assert torch.equal(whole, denoising)
    assert training.loss(*given, Options())[0] > denoising


def test_a_batchs_loss_is_the_mean_of_its_samples(pipe):
    training, given = step_of(pipe)
    with torch.no_grad():
        both = training.loss(*given, Options())[0]
        alone = [training.loss(*(each[k : k + 1] for each in given), Options())[0] for k in (0, 1)]
    assert both.item() == pytest.approx(sum(each.item() for each in alone) / 2, rel=1e-4)


def test_training_repeats_touches_nothing_and_lowers_the_loss():
    pipe = sd_pipe()
    weights = {name: each.clone() for name, each in pipe.text_encoder.state_dict().items()}
    one, again = (learnt(pipe, "cat") for _ in range(2))
    assert torch.equal(one.tensors["residual"], again.tensors["residual"])
    assert all(torch.equal(each, weights[name]) for name, each in pipe.text_encoder.state_dict().items())
    training = prepared(pipe, "cat", 128, 128)
    options = Options(steps=40, lr=2e-3, batch=2)
    generator = torch.Generator().manual_seed(5)
    noise, time = torch.randn(4, 4, 16, 16, generator=generator), torch.tensor([100, 300, 500, 700])
    mean, _ = encoded_pictures(pipe, [PICTURES[0]] * 4, 128, 128)

    @torch.no_grad()
    def denoising():
        return training.loss(mean, noise, time, options)[1].item()

    before = denoising()
    trained(training, PICTURES, 128, 128, options, lambda *_: None)
    assert denoising() < before


def test_a_residual_is_kilobytes(tmp_path):
    about = {"backbone": backbone(sd_pipe()), "words": ["dog"], "prediction": "epsilon"}
    State("cones2", about, {"residual": torch.randn(1, 1024)}).save(tmp_path)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 6 * 1024


def test_states_survive_the_disk_and_are_refused_elsewhere(pipe, states, tmp_path):
    both = composed(states)
    both.save(tmp_path)
    assert torch.equal(drawn(pipe, State.load(tmp_path))[0], drawn(pipe, both)[0])
    other = sd_pipe() if "text_encoder_2" in pipe.components else xl_pipe()
    with pytest.raises(BadState, match="backbone"):
        drawn(other, both)
    with pytest.raises(BadState, match="words"):
        drawn(pipe, states[0])
    with pytest.raises(BadState):
        composed([states[0], learnt(other, "dog")])
    velocity = sd_pipe(prediction_type="v_prediction")
    with pytest.raises(BadState, match="prediction"):
        drawn(velocity, composed([learnt(sd_pipe(), word) for word in BOTH.words]))


@pytest.mark.parametrize(
    "subject", [Subject(words=("cat",)), Subject(words=("cat", "dog"), pictures=PICTURES)]
)
def test_one_subject_and_pictures_of_it_are_needed(pipe, subject):
    with pytest.raises(ValueError, match="one word, and pictures"):
        Cones2(SHORT).fit(pipe, subject, SAMPLING)


@pytest.mark.parametrize(
    "wrong", [{"steps": 0}, {"guided": 1.5}, {"captions": ("a cat",)}, {"recurrence": 0}]
)
def test_values_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Options(**wrong)

# SPDX-License-Identifier: Apache-2.0
"""The whole method inside of real pipelines, without trained weights."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import EulerDiscreteScheduler, HeunDiscreteScheduler, UniPCMultistepScheduler

from models.consistency.consistory.calls import Calls
from models.consistency.consistory.consistory import ConsiStory
from models.consistency.consistory.options import Options
from models.consistency.method import Subject
from models.consistency.words import WordNotFound
from tests.models.consistency.tiny import CAT, PROMPTS, SAMPLING, SEEDS, sd_pipe, stock, xl_pipe

STILL = Options(freeu=None, mask_dropout=0.0)
"""Without what is drawn."""


@pytest.fixture(scope="module")
def xl():
    return xl_pipe()


@pytest.fixture(scope="module")
def sd():
    return sd_pipe()


@pytest.fixture(params=["xl", "sd"])
def pipe(request):
    return request.getfixturevalue(request.param)


def drawn(pipe, options, prompts=PROMPTS, seeds=SEEDS, sampling=SAMPLING, subject=CAT):
    return ConsiStory(options).generate(pipe, subject, None, prompts, seeds, sampling)


def apart(one, other):
    """The largest difference, picture by picture."""
    return (one - other).abs().amax((1, 2, 3))


# --- switched off -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("guidance", [5.0, 1.0])
def test_switched_off_it_is_the_stock_pipeline_bit_for_bit(pipe, guidance):
    sampling = replace(SAMPLING, guidance=guidance)
    assert torch.equal(drawn(pipe, Options().off(), sampling=sampling), stock(pipe, sampling=sampling))


@pytest.mark.parametrize("blend", [None, (0.9, 0.8)])
def test_blending_without_sharing_changes_nothing(pipe, blend):
    off = replace(Options().off(), blend=blend)
    assert torch.equal(drawn(pipe, off), stock(pipe))


@pytest.mark.parametrize("options", [STILL, Options(freeu=None), replace(STILL, blend=(1.0, 1.0))])
def test_a_picture_alone_is_the_stock_one(pipe, options):
    found = drawn(pipe, options, PROMPTS[:1], SEEDS[:1])
    assert torch.equal(found, stock(pipe, PROMPTS[:1], SEEDS[:1]))


def test_with_all_patches_dropped_it_is_the_stock_pipeline(pipe):
    options = Options(freeu=None, mask_dropout=1.0, injection=0.0, blend=None)
    assert apart(drawn(pipe, options), stock(pipe)).max() < 1e-4


def test_without_masks_it_is_the_stock_pipeline(pipe, monkeypatch):
    from models.consistency.consistory import masks

    monkeypatch.setattr(masks, "above_otsu", lambda maps_RP: torch.zeros_like(maps_RP, dtype=torch.bool))
    assert apart(drawn(pipe, replace(STILL, blend=None)), stock(pipe)).max() < 1e-4


def test_the_first_step_is_the_stock_one_and_later_ones_are_not(pipe, monkeypatch):
    seen = {}

    def watched(name):
        def look(_pipe, step, _time, values):
            seen.setdefault(name, []).append(values["latents"].clone())
            return values

        return replace(SAMPLING, more={"callback_on_step_end": look})

    drawn(pipe, replace(STILL, injection=0.0), sampling=watched("ours"))
    stock(pipe, sampling=watched("stock"))
    assert torch.equal(seen["ours"][0], seen["stock"][0])
    assert apart(seen["ours"][1], seen["stock"][1]).min() > 1e-4


# --- what it does -------------------------------------------------------------------------------------------


def test_every_part_has_an_effect(pipe):
    whole = drawn(pipe, Options(freeu=None))
    for without in ({"share": False}, {"injection": 0.0}, {"mask_dropout": 0.0}, {"blend": None}):
        assert apart(whole, drawn(pipe, Options(freeu=None, **without))).max() > 1e-4, without
    assert apart(whole, stock(pipe)).min() > 1e-3


def test_freeu_is_on_with_two_text_encoders_alone(xl, sd):
    assert not torch.equal(drawn(xl, Options()), drawn(xl, Options(freeu=None)))
    assert torch.equal(drawn(sd, Options()), drawn(sd, Options(freeu=None)))


def test_without_injection_there_is_one_pass(pipe):
    method = ConsiStory(Options(injection=0.0, blend=None))
    method.generate(pipe, CAT, None, PROMPTS, SEEDS, SAMPLING)
    assert method.calls == SAMPLING.steps


@pytest.mark.parametrize(("options", "calls"), [(Options(), 97), (Options.parity(), 110)])
def test_calls_of_the_unet_at_fifty_steps(xl, options, calls):
    """112 in the official code, which has an unchanged call at step 0 in both passes, of no use."""
    method = ConsiStory(options)
    method.generate(xl, CAT, None, PROMPTS[:2], SEEDS[:2], replace(SAMPLING, steps=50))
    assert method.calls == calls


def test_anchors_do_not_depend_on_the_others(pipe):
    for options in (STILL, Options(freeu=None)):
        whole = drawn(pipe, options)
        alone = drawn(pipe, options, PROMPTS[:2], SEEDS[:2])
        assert apart(whole[:2], alone).max() < 1e-4


def test_others_do_not_depend_on_each_other_and_go_with_their_place(pipe):
    whole = drawn(pipe, STILL)
    turned = [0, 1, 3, 2]
    again = drawn(pipe, STILL, [PROMPTS[i] for i in turned], [SEEDS[i] for i in turned])
    assert apart(again, whole[turned]).max() < 1e-4
    assert apart(drawn(pipe, STILL, PROMPTS[:3], SEEDS[:3]), whole[:3]).max() < 1e-4


def test_with_as_many_anchors_as_pictures_everybody_sees_everybody(pipe):
    all_see = drawn(pipe, replace(STILL, anchors=4))
    assert torch.equal(all_see, drawn(pipe, replace(STILL, anchors=9)))
    assert apart(all_see, drawn(pipe, STILL)).max() > 1e-4


def test_twins_are_drawn_alike(pipe):
    options = replace(STILL, injection=0.0)
    found = drawn(pipe, options, [PROMPTS[0]] * 2, [SEEDS[0]] * 2)
    assert apart(found[:1], found[1:]).max() < 1e-4


def test_seeds_of_dropout_decide(pipe):
    one, again, other = (drawn(pipe, Options(dropout_seed=seed)) for seed in (0, 0, 1))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("options", [Options(), Options.parity()])
def test_halves_of_guidance_may_come_one_after_the_other(pipe, options):
    one, other = (drawn(pipe, replace(options, sequential_halves=each)) for each in (False, True))
    assert apart(one, other).max() < 1e-4


def test_several_subjects_and_words_that_are_missing_here_and_there(pipe):
    prompts = ["a cat and a dog in the snow", "a dog on the beach", "a cat in the forest"]
    both = Subject(words=("cat", "dog"))
    one = drawn(pipe, STILL, prompts, SEEDS[:3], subject=both)
    other = drawn(pipe, STILL, prompts, SEEDS[:3], subject=Subject(words=("dog", "cat", "dog")))
    assert torch.equal(one, other)
    with pytest.raises(WordNotFound, match="hat"):
        drawn(pipe, STILL, ["a hat"], [1], subject=both)


# --- any pipeline -------------------------------------------------------------------------------------------


def test_no_guidance_means_no_halves(pipe):
    sampling = replace(SAMPLING, guidance=1.0)
    found = drawn(pipe, Options(freeu=None), sampling=sampling)
    assert found.shape == stock(pipe, sampling=sampling).shape
    assert apart(found, stock(pipe, sampling=sampling)).min() > 1e-3


@pytest.mark.parametrize(("height", "width"), [(192, 128), (64, 256)])
def test_pictures_need_not_be_square(pipe, height, width):
    sampling = replace(SAMPLING, height=height, width=width, steps=6)
    method = ConsiStory(STILL)
    found = method.generate(pipe, CAT, None, PROMPTS[:3], SEEDS[:3], sampling)
    assert found.shape[-2:] == (height // 8, width // 8)
    for rows, columns in method.masks:
        assert rows / columns == height / width


@pytest.mark.parametrize(
    "scheduler", [HeunDiscreteScheduler, EulerDiscreteScheduler, UniPCMultistepScheduler]
)
def test_any_scheduler_and_masks_once_a_step(scheduler):
    pipe = xl_pipe()
    pipe.scheduler = scheduler.from_config(pipe.scheduler.config)
    assert torch.equal(drawn(pipe, Options().off()), stock(pipe))
    told = []
    method = ConsiStory(replace(STILL, injection=0.0))
    method.generate(
        pipe, CAT, None, PROMPTS[:2], SEEDS[:2], SAMPLING, lambda *progress: told.append(progress)
    )
    assert [done for done, _, _ in told] == [*range(1, SAMPLING.steps + 1)]
    order = pipe.scheduler.order
    assert method.calls == order * (SAMPLING.steps - 1) + 1 + order
    assert torch.isfinite(drawn(pipe, Options())).all()


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_any_prediction(prediction):
    pipe = sd_pipe(prediction_type=prediction)
    assert torch.equal(drawn(pipe, Options().off()), stock(pipe))
    assert torch.isfinite(drawn(pipe, Options())).all()


def test_negative_prompts_and_whatever_else_the_pipeline_takes(pipe):
    sampling = replace(SAMPLING, negative="a dog", more={"guidance_rescale": 0.5})
    assert torch.equal(drawn(pipe, Options().off(), sampling=sampling), stock(pipe, sampling=sampling))
    assert not torch.equal(drawn(pipe, STILL, sampling=sampling), drawn(pipe, STILL))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(dtype):
    pipe = xl_pipe().to(dtype=dtype)
    found = drawn(pipe, Options(), sampling=replace(SAMPLING, steps=4))
    assert found.dtype == dtype
    assert torch.isfinite(found).all()


def test_pictures_come_out(xl):
    images = drawn(xl, Options(), PROMPTS[:2], SEEDS[:2], replace(SAMPLING, output="pil", steps=3))
    assert [image.size for image in images] == [(128, 128)] * 2


# --- the pipeline afterwards --------------------------------------------------------------------------------


def snapshot(pipe):
    unet = pipe.unet
    return (
        {name: id(each) for name, each in unet.attn_processors.items()},
        unet.__dict__.get("forward"),
        [{name: getattr(block, name, None) for name in ("s1", "s2", "b1", "b2")} for block in unet.up_blocks],
        [len(block._forward_hooks) for block in unet.up_blocks],
        {name: id(value) for name, value in pipe.__dict__.items()},
        dict(vars(pipe.scheduler)),
    )


@pytest.mark.parametrize("freeu", [None, (0.9, 0.2, 1.2, 1.4)])
@pytest.mark.parametrize("fails", [False, True])
def test_the_pipeline_is_left_as_it_was(freeu, fails, monkeypatch):
    pipe = xl_pipe()
    if freeu:
        pipe.enable_freeu(*freeu)
    before, pictures = snapshot(pipe), stock(pipe)
    before = snapshot(pipe)
    torch.manual_seed(7)
    state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    if fails:
        monkeypatch.setattr(Calls, "_settle", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            drawn(pipe, Options())
    else:
        drawn(pipe, Options())
    assert snapshot(pipe) == before
    assert torch.equal(torch.get_rng_state(), state)
    assert (np.random.get_state()[1] == numpy_state).all()
    assert torch.equal(stock(pipe), pictures)


def test_latents_that_are_no_numbers_are_told(xl, monkeypatch):
    pipe = xl_pipe()
    pipe.unet.conv_out.weight.data.fill_(torch.nan)
    with pytest.raises(FloatingPointError, match="no numbers"):
        drawn(pipe, Options(injection=0.0), PROMPTS[:2], SEEDS[:2], replace(SAMPLING, steps=2))

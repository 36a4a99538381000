# SPDX-License-Identifier: Apache-2.0
"""Given pictures as anchors."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler
from PIL import Image

from models.consistency.consistory.consistory import ConsiStory
from models.consistency.consistory.drawing import drawn
from models.consistency.consistory.inversion import Stepped
from models.consistency.consistory.options import Options
from models.consistency.consistory.passes import Batch
from models.consistency.consistory.remembered import Remembered
from models.consistency.consistory.sharing import restyled, sources_of
from models.consistency.latents import encoded_pictures
from models.consistency.method import Subject
from models.consistency.state import BadState
from models.consistency.words import WordNotFound
from tests.models.consistency.tiny import PROMPTS, SAMPLING, SEEDS, sd_pipe, xl_pipe

OPTIONS = Options()
METHOD = ConsiStory(OPTIONS)


def pictures(count=2):
    rng = np.random.default_rng(3)
    smooth = [Image.fromarray(rng.integers(0, 255, (6, 8, 3), dtype=np.uint8)) for _ in range(count)]
    return tuple(each.resize((160, 128), Image.Resampling.BICUBIC) for each in smooth)


CAT = Subject(words=("cat",), pictures=pictures())


@pytest.fixture(
    scope="module",
    params=[xl_pipe, sd_pipe, lambda: sd_pipe(prediction_type="v_prediction")],
    ids=["xl", "sd", "velocity"],
)
def pipe(request):
    return request.param()


@pytest.fixture(scope="module")
def given(pipe):
    return METHOD.fit(pipe, CAT, SAMPLING)


def whole(pipe, given, options=OPTIONS, prompts=PROMPTS, sampling=SAMPLING):
    """Latents of the given pictures and of others with them."""
    about = given.state.about
    both = [*about["prompts"], *prompts], [*about["seeds"], *SEEDS[: len(prompts)]]
    batch = Batch(*both, ("cat",), sampling, given.given)
    return drawn(pipe, replace(options, anchors=2), batch, lambda *_: None).pictures


def clean(pipe):
    return encoded_pictures(pipe, CAT.pictures, 128, 128)[0]


def test_given_pictures_are_drawn_again_whatever_is_drawn_beside_them(pipe, given):
    for prompts in (PROMPTS, PROMPTS[2:3]):
        assert (whole(pipe, given, prompts=prompts)[:2] - clean(pipe)).abs().max() < 2e-3


def test_also_without_guidance_and_with_the_effect_switched_off(pipe):
    sampling = replace(SAMPLING, guidance=1.0)
    given = METHOD.fit(pipe, CAT, sampling)
    assert given.given.guidance == 1.0
    assert (whole(pipe, given, sampling=sampling)[:2] - clean(pipe)).abs().max() < 2e-3
    off = ConsiStory(OPTIONS.off())
    given = off.fit(pipe, CAT, SAMPLING)
    assert (whole(pipe, given, off.options)[:2] - clean(pipe)).abs().max() < 2e-3


def test_others_see_the_given_pictures_and_not_each_other(pipe, given):
    drawn_together = METHOD.generate(pipe, CAT, given, PROMPTS, SEEDS, SAMPLING)
    assert drawn_together.shape[0] == len(PROMPTS)
    assert len(METHOD.masks[next(iter(METHOD.masks))]) == len(PROMPTS)
    alone = METHOD.generate(pipe, CAT, given, PROMPTS[1:2], SEEDS[1:2], SAMPLING)
    assert (alone - drawn_together[1:2]).abs().max() < 1e-4
    other = Subject(words=("cat",), pictures=pictures(4)[2:])
    others = METHOD.generate(pipe, CAT, METHOD.fit(pipe, other, SAMPLING), PROMPTS, SEEDS, SAMPLING)
    assert (others - drawn_together).abs().max() > 1e-3


def test_the_disk_and_what_it_was_made_for(pipe, given, tmp_path):
    given.save(tmp_path)
    back = Remembered.load(tmp_path)
    drawn_before = METHOD.generate(pipe, CAT, given, PROMPTS[:1], SEEDS[:1], SAMPLING)
    assert torch.equal(METHOD.generate(pipe, CAT, back, PROMPTS[:1], SEEDS[:1], SAMPLING), drawn_before)
    with pytest.raises(BadState, match="steps"):
        METHOD.generate(pipe, CAT, back, PROMPTS, SEEDS, replace(SAMPLING, steps=7))


def test_the_pipeline_is_left_as_it_was_and_so_is_chance(pipe):
    before, state = pipe.scheduler, torch.random.get_rng_state()
    processors = dict(pipe.unet.attn_processors)
    METHOD.fit(pipe, CAT, SAMPLING)
    assert pipe.scheduler is before
    assert dict(pipe.unet.attn_processors) == processors
    assert torch.equal(torch.random.get_rng_state(), state)


def test_captions_need_the_words(pipe):
    with pytest.raises(WordNotFound, match="cat"):
        METHOD.fit(pipe, replace(CAT, captions=("a dog", "a cat")), SAMPLING)


def test_guidance_that_is_rescaled_is_refused(pipe, given):
    sampling = replace(SAMPLING, more={"guidance_rescale": 0.7})
    with pytest.raises(ValueError, match="guidance_rescale"):
        METHOD.generate(pipe, CAT, given, PROMPTS, SEEDS, sampling)


def test_given_pictures_see_nobody():
    assert sources_of(4, 2, apart=True) == [(), (), (0, 1), (0, 1)]


def test_keys_get_the_statistics_of_the_subject_that_is_drawn():
    torch.manual_seed(0)
    seen, own = torch.randn(2, 3, 9, 5) * 4 + 1, torch.randn(2, 3, 16, 5)
    subject = torch.rand(3, 16) < 0.5
    subject[2] = False
    like = restyled(seen, own, subject)
    for picture, where in enumerate((*subject[:2], torch.ones(16, dtype=torch.bool))):
        keys = own[:, picture, where]
        assert torch.allclose(like[:, picture].mean(1), keys.mean(1), atol=1e-4)
        assert torch.allclose(like[:, picture].std(1, correction=0), keys.std(1, correction=0), atol=1e-4)
    assert restyled(seen[:, :, :0], own, subject).shape == (2, 3, 0, 5)
    assert torch.isfinite(restyled(seen[:, :, :1], own, subject)).all()


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_steps_are_those_of_diffusers_with_all_noise(kind):
    scheduler = DDIMScheduler(prediction_type=kind, clip_sample=False, beta_schedule="scaled_linear")
    noise = torch.randn(1, 4, 4, 4)
    ours = Stepped.like(scheduler, lambda _step, _mean, noisy: noisy(noise))
    for each in (scheduler, ours):
        each.set_timesteps(7)
    sample, predicted = torch.randn(2, 1, 4, 4, 4)
    for time in scheduler.timesteps:
        wanted = scheduler.step(predicted, time, sample, eta=1.0, variance_noise=noise).prev_sample
        assert torch.allclose(ours.step(predicted, time, sample)[0], wanted, atol=1e-5)


def test_models_that_begin_without_any_signal():
    pipe = sd_pipe(prediction_type="v_prediction", rescale_betas_zero_snr=True, timestep_spacing="trailing")
    sampling = replace(SAMPLING, steps=30)
    given = METHOD.fit(pipe, CAT, sampling)
    assert torch.isfinite(METHOD.generate(pipe, CAT, given, PROMPTS[:2], SEEDS[:2], sampling)).all()

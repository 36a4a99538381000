# SPDX-License-Identifier: Apache-2.0
"""What is learnt of a subject, and what is left alone."""

from dataclasses import replace

import pytest
import torch

from models.consistency.borrowed import borrowed
from models.consistency.dco.adapters import adapters, without
from models.consistency.dco.captions import said_of
from models.consistency.dco.dco import Dco
from models.consistency.dco.rows import begun_rows, with_words
from models.consistency.dco.tuning import ADAPTER, Latents, Tuning, tuned
from models.consistency.latents import Noise, encoded_pictures
from models.consistency.text import texts_of
from tests.models.consistency.dco.subjects import (
    CAT,
    PICTURES,
    PROMPTS,
    SAMPLING,
    SEEDS,
    SHORT,
    apart,
    drawn,
    hashes,
    plain,
)
from tests.models.consistency.tiny import sd_pipe, xl_pipe


def tuning_of(pipe, options, rows, lora, said=None):
    said = said or said_of(3, ["cat"], (), ["<subject>" if rows else "cat"])
    mean, std = encoded_pictures(pipe, PICTURES, 128, 128)
    with torch.no_grad():
        base, words = texts_of(pipe, said.base, 128, 128), texts_of(pipe, said.tuned, 128, 128)
    return Tuning(pipe, options, Noise(pipe), Latents(mean, std), said, base, words, rows, lora)


@pytest.fixture
def tuning():
    pipe = xl_pipe()
    with borrowed(pipe) as ours, adapters(ours.unet, {ADAPTER: 4}) as parameters:
        rows = begun_rows(ours, "cat")
        with with_words(ours, ["<subject>"], rows):
            for each in (*parameters[ADAPTER].values(), *rows.values()):
                each.requires_grad_()
            yield tuning_of(ours, SHORT, rows, parameters[ADAPTER])


def test_it_begins_at_log_two_with_half_of_betas_gradient(tuning):
    draw = tuning.drawn(torch.Generator().manual_seed(0), tuning.latents)
    # Of the same prompt encoded alone and with others the last bits differ, and beta makes them larger.
    loss = tuning.loss(draw)
    assert loss.item() == pytest.approx(0.6931472, abs=3e-4)
    for beta in (1.0, 1000.0, 2000.0):
        same = replace(replace_options(tuning, beta=beta), rows={}, tuned=tuning.base)
        assert same.loss(draw).item() == pytest.approx(0.6931472, abs=1e-6)
    loss.backward()
    ours = {name: each.grad.clone() for name, each in tuning.lora.items()}
    for name, grad in ours.items():
        assert (grad.abs().max() == 0) == (".lora_A." in name), name
    for each in (*tuning.lora.values(), *tuning.rows.values()):
        each.grad = None
    denoising = replace_options(tuning, beta=None)
    denoising.loss(draw).backward()
    for name, each in tuning.lora.items():
        assert torch.allclose(ours[name], 500 * each.grad, rtol=1e-3, atol=1e-4)


def replace_options(tuning, **changes):
    return replace(tuning, options=replace(tuning.options, **changes))


def test_without_beta_it_is_plain_denoising(tuning):
    draw = tuning.drawn(torch.Generator().manual_seed(0), tuning.latents)
    with torch.no_grad():
        clean = tuning.latents.mean[draw.picture_B] + tuning.latents.std[draw.picture_B] * draw.posterior_BCHW
        noisy = tuning.noise.added(clean, draw.noise_BCHW, draw.time_B)
        texts = tuning.tuned.rows(draw.picture_B.tolist())
        predicted = texts.predicted(tuning.pipe.unet, noisy, draw.time_B)
        wanted = ((predicted - draw.noise_BCHW) ** 2).mean()
        assert replace_options(tuning, beta=None).loss(draw).item() == pytest.approx(wanted.item(), rel=1e-4)


def test_offset_noise_is_part_of_the_target(tuning):
    plain_draw = tuning.drawn(torch.Generator().manual_seed(0), tuning.latents)
    offset = replace_options(tuning, offset_noise=0.1).drawn(torch.Generator().manual_seed(0), tuning.latents)
    change = offset.noise_BCHW - plain_draw.noise_BCHW
    assert change.std((2, 3)).max() < 1e-6
    assert change.abs().max() > 1e-3
    wanted = tuning.noise.target(tuning.latents.mean[:1], offset.noise_BCHW, offset.time_B)
    assert torch.equal(wanted, offset.noise_BCHW)


def test_rows_keep_their_length_and_old_words_theirs(tuning):
    norms = {name: each.norm().item() for name, each in tuning.rows.items()}
    before = {name: each.detach().clone() for name, each in tuning.rows.items()}
    seen = []
    tuned(
        tuning, lambda *_: None, lambda _: seen.append({n: r.norm().item() for n, r in tuning.rows.items()})
    )
    assert len(seen) == 3
    assert all(each == pytest.approx(norms, rel=1e-5) for each in seen)
    assert all((each != before[name]).any() for name, each in tuning.rows.items())


def margin(beta):
    """By which the tuned model is better in the end, on draws that are always the same."""
    pipe = sd_pipe()
    with borrowed(pipe) as ours, adapters(ours.unet, {ADAPTER: 4}) as parameters:
        options = replace(SHORT, beta=beta, steps=60, token=None, lr=5e-3)
        some = tuning_of(ours, options, {}, parameters[ADAPTER])
        tuned(some, lambda *_: None)
        generator = torch.Generator().manual_seed(9)
        draws = [some.drawn(generator, some.latents) for _ in range(30)]

        @torch.no_grad()
        def error():
            found = [
                some.errors(each, some.base.rows(each.picture_B.tolist()), some.latents) for each in draws
            ]
            return torch.cat(found).mean().item()

        after = error()
        with without(ours.unet, {ADAPTER: 1.0}):
            return error() - after


def test_a_larger_beta_stays_closer():
    assert margin(20.0) > margin(2000.0) > 0


@pytest.mark.parametrize(
    "options",
    [
        SHORT,
        SHORT.style(),
        SHORT.dreambooth(),
        SHORT.dreambooth(prior=True),
        SHORT.textual_inversion(),
        replace(SHORT, batch=2, reduction="batch", min_snr=5.0, gradient_checkpointing=True),
    ],
    ids=["dco", "style", "dreambooth", "prior", "inversion", "more"],
)
def test_every_setting_learns_draws_and_leaves_the_pipeline_as_it_was(options):
    pipe = xl_pipe()
    options = replace(options, steps=2, rank=min(4, options.rank))
    before, weights, pictures = dict(pipe.__dict__), hashes(pipe), plain(pipe)
    before = dict(pipe.__dict__)
    chance = torch.get_rng_state()
    method = Dco(options)
    found = method.fit(pipe, CAT, SAMPLING)
    latents = method.generate(pipe, CAT, found, PROMPTS, SEEDS, SAMPLING)
    assert torch.isfinite(latents).all()
    assert apart(latents, pictures).min() > 1e-4
    assert hashes(pipe) == weights
    assert pipe.__dict__ == before
    assert all(each.requires_grad for each in pipe.unet.parameters())
    assert not pipe.text_encoder.get_input_embeddings()._forward_hooks
    assert torch.equal(torch.get_rng_state(), chance)
    assert torch.equal(plain(pipe), pictures)
    assert method.cost().subject_bytes == found.bytes > 0


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_words_are_learnt_in_half_precision_too(dtype):
    pipe = xl_pipe().to(dtype=dtype)
    first = {name: each.detach().clone() for name, each in begun_rows(pipe, "cat").items()}
    state = Dco(SHORT).fit(pipe, CAT, SAMPLING)
    for name, before in first.items():
        assert state.tensors[f"rows.{name}"].dtype == torch.float32
        assert (state.tensors[f"rows.{name}"] != before).any()
    assert torch.isfinite(drawn(pipe, state)[0]).all()

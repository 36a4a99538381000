# SPDX-License-Identifier: Apache-2.0
"""The whole method inside of real pipelines, without trained weights."""

from dataclasses import replace

import pytest
import torch
from diffusers import HeunDiscreteScheduler
from PIL import Image

from models.consistency.method import Subject
from models.consistency.offsets import places_of, with_offsets, word_sizes
from models.consistency.oneactor.cluster import watched_middle
from models.consistency.oneactor.oneactor import OneActor, sentences
from models.consistency.oneactor.options import Options
from models.consistency.oneactor.tuning import (
    final_offsets,
    prepared,
    thrown,
    tuned,
    with_average,
)
from models.consistency.state import BadState, State, backbone
from models.consistency.words import WordNotFound
from tests.models.consistency.tiny import CAT, PROMPTS, SAMPLING, SEEDS, sd_pipe, stock, xl_pipe

SHORT = Options(steps=3, auxiliaries=4)
SAMPLING = replace(SAMPLING, steps=6)
GUIDED = 4
"""Two thirds of six."""


@pytest.fixture(scope="module", params=[xl_pipe, sd_pipe], ids=["xl", "sd"])
def pipe(request):
    return request.param()


@pytest.fixture(scope="module")
def state(pipe):
    return OneActor(SHORT).fit(pipe, CAT, SAMPLING)


@pytest.fixture(scope="module")
def tuning(pipe):
    cluster = OneActor(SHORT).cluster(pipe, CAT, SAMPLING)
    return prepared(pipe, cluster, CAT.words, sentences(SHORT, CAT.words), SHORT)


def drawn(pipe, state, options=SHORT, sampling=SAMPLING, prompts=PROMPTS[:3], subject=CAT):
    method = OneActor(options)
    found = method.generate(pipe, subject, state, prompts, SEEDS[: len(prompts)], sampling)
    return found, method


def plain(pipe, sampling=SAMPLING):
    return stock(pipe, PROMPTS[:3], SEEDS[:3], sampling)


# --- drawing ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("guidance", [7.5, 1.0])
def test_switched_off_it_is_the_stock_pipeline_bit_for_bit(pipe, state, guidance):
    sampling = replace(SAMPLING, guidance=guidance)
    found, _ = drawn(pipe, state, replace(SHORT, strength=0.0, exclusion=0.0), sampling)
    assert torch.equal(found, plain(pipe, sampling))


@pytest.mark.parametrize("strength", [0.0, 0.8])
def test_without_guided_steps_it_is_the_stock_pipeline(pipe, state, strength):
    options = replace(SHORT, guided=(0.0, 0.0), strength=strength)
    assert torch.equal(drawn(pipe, state, options)[0], plain(pipe))


def test_offset_and_exclusion_have_an_effect(pipe, state):
    one, other = (drawn(pipe, state, replace(SHORT, exclusion=each))[0] for each in (0.0, 1.0))
    assert (one - plain(pipe)).abs().amax((1, 2, 3)).min() > 1e-3
    assert (one - other).abs().amax((1, 2, 3)).min() > 1e-3


def test_of_equal_offsets_the_difference_of_both_scales_counts(pipe, state):
    same = State(state.method, state.about, dict.fromkeys(("target", "average"), state.tensors["target"]))
    one, other = (drawn(pipe, same, replace(SHORT, exclusion=each, strength=1.0))[0] for each in (0.0, 1.0))
    assert torch.allclose(one, other, atol=2e-2)


@pytest.mark.parametrize(("exclusion", "rows"), [(0.0, 2 * 6), (1.0, 3 * GUIDED + 2 * 2)])
def test_exclusion_costs_a_row_in_guided_steps_alone(pipe, state, exclusion, rows):
    assert drawn(pipe, state, replace(SHORT, exclusion=exclusion))[1].rows == 3 * rows


def test_without_exclusion_the_average_plays_no_part(pipe, state):
    other = State(state.method, state.about, {**state.tensors, "average": torch.ones(1)})
    options = replace(SHORT, exclusion=0.0)
    assert torch.equal(drawn(pipe, state, options)[0], drawn(pipe, other, options)[0])


def test_without_guidance_there_is_nothing_to_exclude(pipe, state):
    sampling = replace(SAMPLING, guidance=1.0)
    found, method = drawn(pipe, state, SHORT, sampling)
    assert method.rows == 3 * 6
    assert torch.isfinite(found).all()


def test_a_scheduler_of_second_order(state):
    pipe = xl_pipe()
    pipe.scheduler = HeunDiscreteScheduler.from_config(pipe.scheduler.config)
    some = OneActor(SHORT).fit(pipe, CAT, SAMPLING)
    found, method = drawn(pipe, some)
    assert torch.isfinite(found).all()
    assert method.rows == 3 * (3 * 2 * GUIDED + 2 * (2 * 2 - 1))
    off = replace(SHORT, strength=0.0, exclusion=0.0)
    assert torch.equal(drawn(pipe, some, off)[0], plain(pipe))


# --- states -------------------------------------------------------------------------------------------------


def test_a_state_is_two_vectors_and_draws_the_same_after_the_disk(pipe, state, tmp_path):
    wide = pipe.unet.config.cross_attention_dim
    assert {name: each.shape for name, each in state.tensors.items()} == {
        "target": (1, wide),
        "average": (1, wide),
    }
    assert state.bytes == 2 * 4 * wide
    state.save(tmp_path)
    assert torch.equal(drawn(pipe, State.load(tmp_path))[0], drawn(pipe, state)[0])


def test_states_of_something_else_are_refused(pipe, state):
    other = sd_pipe() if "text_encoder_2" in pipe.components else xl_pipe()
    with pytest.raises(BadState, match="backbone"):
        drawn(other, state)
    with pytest.raises(BadState, match="words"):
        drawn(pipe, state, subject=Subject(words=("dog",)), prompts=["a dog"])
    with pytest.raises(BadState, match="consistory"):
        drawn(pipe, State("consistory", {}, {}))
    with pytest.raises(ValueError, match="needs a state"):
        drawn(pipe, None)
    with pytest.raises(WordNotFound, match="a dog"):
        OneActor(SHORT).fit(pipe, replace(CAT, prompt="a dog"), SAMPLING)
    with pytest.raises(WordNotFound, match="a hat"):
        drawn(pipe, state, prompts=["a hat"])


# --- offsets ------------------------------------------------------------------------------------------------


def test_texts_may_be_between_nothing_and_what_they_say():
    pipe = sd_pipe()
    found = OneActor(SHORT).fit(pipe, CAT, SAMPLING)
    alone = replace(SHORT, strength=0.0, exclusion=0.0)

    def at(amount):
        return drawn(pipe, found, replace(alone, interpolation=amount))[0]

    assert torch.equal(at(1.0), plain(pipe))
    nothing = stock(pipe, [""] * 3, SEEDS[:3], replace(SAMPLING, guidance=1.0))
    assert torch.allclose(at(0.0), nothing, atol=1e-4)
    assert (at(1.5) - at(1.0)).abs().amax((1, 2, 3)).min() > 1e-4
    with pytest.raises(ValueError, match="needs guidance"):
        drawn(pipe, found, replace(alone, interpolation=1.5), replace(SAMPLING, guidance=1.0))


def test_only_the_words_rows_change_linearly():
    pipe = xl_pipe()
    prompts = ["a cat and a cat", "a dog and a cat"]
    states = torch.randn(2, 77, 64)
    places = places_of(pipe, prompts, ("cat",))
    offset = torch.randn(1, 64)
    changed = with_offsets(states, places, offset)
    rows = (changed != states).any(-1)
    assert [row.nonzero()[:, 0].tolist() for row in rows] == [[2, 5], [5]]
    assert torch.allclose(changed[1, 5] - states[1, 5], offset[0], atol=1e-6)
    assert torch.allclose(
        with_offsets(states, places, 0.8 * offset) - states, 0.8 * (changed - states), atol=1e-5
    )
    assert torch.equal(with_offsets(states, places, 0 * offset), states)


def test_every_piece_of_a_word_has_its_own_offset():
    pipe = xl_pipe()
    words = ("zorgblat", "cat")
    pieces, one = word_sizes(pipe.tokenizer, words)
    assert pieces > 1
    assert one == 1
    places = places_of(pipe, ["a zorgblat and a cat"], words)
    assert places.offset.tolist() == [*range(pieces), pieces]
    assert places.token.tolist() == [*range(2, 2 + pieces), 4 + pieces]


# --- tuning -------------------------------------------------------------------------------------------------


def test_what_is_watched_goes_into_the_middle_and_watching_changes_nothing(pipe):
    with watched_middle(pipe.unet) as seen:
        found = plain(pipe)
    assert seen[0].shape[0] == 6
    deepest = len(pipe.unet.config.block_out_channels) - 1
    assert seen[0].shape[-1] == 16 // 2**deepest
    assert torch.equal(found, plain(pipe))
    assert not pipe.unet.mid_block._forward_pre_hooks


def test_chance(tuning):
    generator = torch.Generator().manual_seed(0)
    steps = [thrown(generator, SHORT, tuning.cluster, 16, 1000) for _ in range(40)]
    for step in steps:
        assert len(step.picture_B) == SHORT.rows + 2
        assert step.picture_B[0] == step.picture_B[-1] == 0
        assert (step.picture_B[1:-1] > 0).all()
        assert torch.equal(step.noise_BCHW[-1], step.noise_BCHW[0])
        assert step.sentence_B[-1] == step.sentence_B[0]
        assert step.mirrored_B[-1] == step.mirrored_B[0]
        assert step.deepest_B[-1] in step.picture_B[:-1]
    assert any(step.time_B[-1] != step.time_B[0] for step in steps)
    assert {int(step.mirrored_B[0]) for step in steps} == {0, 1}
    again = thrown(torch.Generator().manual_seed(0), SHORT, tuning.cluster, 16, 1000)
    assert all(torch.equal(one, other) for one, other in zip(again, steps[0], strict=True))
    random = replace(SHORT, average_picture="random")
    assert {int(thrown(generator, random, tuning.cluster, 16, 1000).picture_B[-1]) for _ in range(40)} > {0}


def test_the_average_is_that_of_auxiliaries_in_any_order():
    offsets = torch.randn(5, 1, 8)
    found = with_average(offsets)
    assert torch.equal(found[:-1], offsets[:-1])
    assert torch.allclose(found[-1], offsets[1:-1].mean(0))
    turned = offsets[[0, 3, 1, 2, 4]]
    assert torch.allclose(with_average(turned)[-1], found[-1])
    assert torch.equal(with_average(torch.cat([offsets[:-1], torch.zeros(1, 1, 8)]))[-1], found[-1])


def test_losses_add_up_and_teach_the_projector_alone(pipe, tuning):
    step = thrown(torch.Generator().manual_seed(1), SHORT, tuning.cluster, 16, 1000)
    losses = tuning.losses(step)
    alone = losses.total(replace(SHORT, auxiliary_weight=0.0, average_weight=0.0))
    assert torch.equal(alone, losses.target)
    whole = losses.total(SHORT)
    assert torch.allclose(whole, losses.target + 0.5 * losses.auxiliary + 0.2 * losses.average)
    whole.backward()
    assert all(each.grad is not None for each in tuning.projector.parameters())
    tuned(tuning, SHORT, lambda *_: None)
    assert all(each.grad is None for each in (*pipe.vae.parameters(), *pipe.text_encoder.parameters()))
    pipe.unet.zero_grad()


def test_the_targets_loss_is_that_of_plain_denoising(pipe, tuning):
    """Of the target's row with its offset, computed by hand."""
    step = thrown(torch.Generator().manual_seed(2), SHORT, tuning.cluster, 16, 1000)
    with torch.no_grad():
        found = tuning.losses(step).target
        cluster, texts = tuning.cluster, tuning.texts
        offset = tuning.projector(cluster.deepest_NChw[step.deepest_B], tuning.words_TD)[:1]
        flipped = int(step.mirrored_B[0])
        latents = cluster.mean_2NCHW[flipped, 0] + cluster.std_2NCHW[flipped, 0] * step.posterior_BCHW[0]
        latents = latents[None]
        sentence = int(step.sentence_B[0])
        places = places_of(pipe, [sentences(SHORT, CAT.words)[sentence]], CAT.words)
        some = texts.rows([sentence])
        some = some.with_states(with_offsets(some.states_BLD, places, offset))
        noise, time = step.noise_BCHW[:1], step.time_B[:1]
        noisy = tuning.noise.added(latents, noise, time)
        predicted = some.predicted(pipe.unet, noisy, time)
    wanted = tuning.noise.target(latents, noise, time)
    assert found.item() == pytest.approx(((predicted - wanted) ** 2).mean().item(), rel=1e-4)


def test_the_loss_falls_on_steps_that_are_always_the_same(pipe):
    options = replace(SHORT, steps=50, lr=3e-3, flip=False)
    cluster = OneActor(options).cluster(pipe, CAT, SAMPLING)
    some = prepared(pipe, cluster, CAT.words, sentences(SHORT, CAT.words), options)
    generator = torch.Generator().manual_seed(99)
    steps = [thrown(generator, options, cluster, 16, 1000) for _ in range(20)]

    @torch.no_grad()
    def loss():
        return sum(float(some.losses(step).target) for step in steps)

    before = loss()
    tuned(some, options, lambda *_: None)
    assert loss() < before


def test_targets_decide_and_tuning_repeats(pipe, state):
    method = OneActor(SHORT)
    other = OneActor(replace(SHORT, target=1)).fit(pipe, CAT, SAMPLING)
    assert not torch.allclose(state.tensors["target"], other.tensors["target"], atol=1e-2)
    assert torch.equal(state.tensors["target"], method.fit(pipe, CAT, SAMPLING).tensors["target"])


def test_final_offsets_are_of_all_pictures_with_the_target_last(tuning):
    deepest = tuning.cluster.deepest_NChw
    target, average = final_offsets(tuning, SHORT)
    tuning.projector.train()
    with torch.no_grad():
        offsets = tuning.projector(torch.cat([deepest[1:], deepest[:1]]))
    assert torch.allclose(target, offsets[-1], atol=1e-5)
    assert torch.allclose(average, offsets[:-1].mean(0), atol=1e-5)


def test_tuning_leaves_the_pipeline_as_it_was():
    pipe = xl_pipe()
    pipe.unet.train()
    pipe.vae.requires_grad_(False)
    before, weights = plain(pipe), {name: each.clone() for name, each in pipe.unet.state_dict().items()}
    left = [module.__dict__.get("_gradient_checkpointing_func") for module in pipe.unet.modules()]
    torch.manual_seed(11)
    chance = torch.get_rng_state()
    OneActor(replace(SHORT, gradient_checkpointing=True)).fit(pipe, CAT, SAMPLING)
    assert torch.equal(torch.get_rng_state(), chance)
    assert pipe.unet.training
    assert not pipe.unet.is_gradient_checkpointing
    assert [module.__dict__.get("_gradient_checkpointing_func") for module in pipe.unet.modules()] == left
    assert all(each.requires_grad for each in pipe.unet.parameters())
    assert not any(each.requires_grad for each in pipe.vae.parameters())
    assert all(torch.equal(each, weights[name]) for name, each in pipe.unet.state_dict().items())
    assert torch.equal(plain(pipe), before)


def test_a_picture_of_ones_own_as_the_target(pipe):
    red, blue = (
        Subject(words=("cat",), pictures=(Image.new("RGB", (90, 64), colour),)) for colour in ("red", "blue")
    )
    states = [OneActor(SHORT).fit(pipe, each, SAMPLING) for each in (red, blue)]
    assert not torch.allclose(*(each.tensors["target"] for each in states), atol=1e-3)
    assert torch.isfinite(drawn(pipe, states[0])[0]).all()


def test_several_subjects_are_learnt_together(pipe):
    both = Subject(words=("cat", "dog"))
    state = OneActor(SHORT).fit(pipe, both, SAMPLING)
    assert state.about["prompt"] == "a cat and a dog"
    assert state.tensors["target"].shape[0] == 2
    found, _ = drawn(pipe, state, prompts=["a dog and a cat in the snow"], subject=both)
    assert torch.isfinite(found).all()
    assert state.about["backbone"] == backbone(pipe)


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"auxiliaries": 0}, {"guided": (0.5, 0.2)}])
def test_values_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Options(**wrong)

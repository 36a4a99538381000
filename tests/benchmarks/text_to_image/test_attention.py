# SPDX-License-Identifier: Apache-2.0
"""What the table says of attention, pairs and spread is measured as it should be."""

import numpy as np
import pytest
import torch

from benchmarks.text_to_image.attention import noun_maps, overlap, recorded, token_place
from benchmarks.text_to_image.prompted import fulfilled
from benchmarks.text_to_image.spread import relative_entropy, same_in_pairs
from models.generation import TextToImage
from models.miniature import WEIGHTS
from models.miniature.judge import Judge
from models.miniature.train.scenes import VALIDATION_SEED, scene_of
from models.miniature.world import NOUNS, Mention, Prompt, render_scene

STEPS = 10


@pytest.fixture(scope="module")
def sampler():
    return TextToImage(steps=STEPS, batch_size=6)


@pytest.fixture(scope="module")
def pipeline(sampler):
    return sampler.load()


@pytest.fixture(scope="module")
def judge():
    return Judge.from_pretrained(WEIGHTS / "judge")


def test_recording_changes_no_picture_and_is_over_afterwards(sampler, pipeline):
    texts, seeds = ["a cat in the snow", "a mug on the beach"], [1, 2]
    plain = [np.asarray(image).astype(int) for image in sampler.generate(pipeline, texts, seeds)]
    before = pipeline.unet.attn_processors
    with recorded(pipeline.unet) as recorders:
        seen = [np.asarray(image).astype(int) for image in sampler.generate(pipeline, texts, seeds)]
    assert max(np.abs(one - other).max() for one, other in zip(plain, seen, strict=True)) <= 2
    assert pipeline.unet.attn_processors == before
    assert recorders
    for recorder in recorders:
        # Two pictures, with and without their prompts; every place spreads 1 over the tokens in every step.
        assert recorder.total_BQL.shape == (4, 256, pipeline.tokenizer.model_max_length)
        assert torch.allclose(recorder.total_BQL.sum(-1), torch.tensor(float(STEPS)), atol=1e-3)


def test_a_noun_looks_at_its_subject(sampler, pipeline, judge):
    prompts = [Prompt((Mention(noun),), "snow") for noun in NOUNS[:6]]
    with recorded(pipeline.unet) as recorders:
        images = [*sampler.generate(pipeline, [prompt.text for prompt in prompts], range(6))]
    readings = judge.read(images)
    own, other = [], []
    for noun, maps in (
        (
            "own",
            noun_maps(recorders, [token_place(pipeline.tokenizer, p, p.mentions[0].noun) for p in prompts]),
        ),
        ("first", noun_maps(recorders, [0] * 6)),
    ):
        into = own if noun == "own" else other
        into += [
            overlap(each, reading, prompt.mentions[0].noun) or 0.0
            for each, reading, prompt in zip(maps, readings, prompts, strict=True)
        ]
    assert np.mean(own) > 0.4
    assert np.mean(own) > np.mean(other)


def test_the_overlap_of_a_map_with_a_mask(judge):
    truth = render_scene(scene_of("centred", VALIDATION_SEED, 0), 64)
    reading, noun = judge.read([truth.image])[0], truth.subjects[0].identity.noun
    mask = next(seen.mask for seen in reading.subjects if seen.identity.noun == noun)
    perfect = torch.nn.functional.adaptive_avg_pool2d(torch.from_numpy(mask).float()[None], 16)[0]
    assert overlap(perfect, reading, noun) > 0.9
    assert overlap(1 - perfect, reading, noun) < 0.1
    absent = next(other for other in NOUNS if other != noun)
    assert overlap(perfect, reading, absent) is None


def test_what_is_right_is_what_the_prompt_states(judge):
    truth = render_scene(scene_of("pair", VALIDATION_SEED, 3), 64)
    one, other = (subject.identity for subject in truth.subjects)
    reading = judge.read([truth.image])[0]
    wrong = next(colour for colour in ("red", "blue", "green") if colour not in (one.body, other.body))
    asked = Prompt((Mention(one.noun, one.body, one.pattern), Mention(other.noun, wrong)), truth.background)
    result = fulfilled([asked], [reading])
    assert (result["all nouns"], result["background"], result["body"], result["pattern"]) == (1, 1, 0.5, 1)
    absent = next(noun for noun in NOUNS if noun not in (one.noun, other.noun))
    missed = fulfilled([Prompt((Mention(one.noun), Mention(absent, "red")), None)], [reading])
    assert (missed["all nouns"], missed["body"], missed["background"]) == (0, 0, 0)


def test_spread_is_one_for_even_draws_and_none_for_the_same_again():
    assert relative_entropy(["a", "b", "c", "d"] * 5, 4) == pytest.approx(1)
    assert relative_entropy(["a"] * 20, 4) == 0
    assert relative_entropy(["a", "b"] * 10, 4) == pytest.approx(0.5)


def test_the_same_in_pairs_is_counted_within_sets_only(judge):
    truths = [render_scene(scene_of("centred", VALIDATION_SEED, index), 64).image for index in (0, 1)]
    one, other = judge.read(truths)
    bodies = [reading.subjects[0].identity.body for reading in (one, other)]
    same = float(bodies[0] == bodies[1])
    assert same_in_pairs([one, one, other, other], 2, "body") == 1
    assert same_in_pairs([one, other, one, other], 2, "body") == same

# SPDX-License-Identifier: Apache-2.0
"""What a model of the world is asked for, and what none of them ever sees."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.miniature.world import (
    BACKGROUNDS,
    COLOURS,
    NOUNS,
    PATTERNS,
    Mention,
    Prompt,
    all_identities,
    held_out_identity,
    held_out_prompt,
    held_out_prompts,
    prompt_about,
    sample_identity,
    sample_prompt,
)
from models.miniature.world.split import held_out_combination, held_out_combinations

seeds = st.integers(0, 2**32 - 1)


@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        (Prompt((Mention("cat"),)), "a cat"),
        (Prompt((Mention("cat", "orange"),), "snow"), "an orange cat in the snow"),
        (Prompt((Mention("cat", "red", "striped"),), "night", True), "a striped red cat somewhere at night"),
        (Prompt((Mention("mug", "blue"), Mention("cat")), "beach"), "a cat and a blue mug on the beach"),
    ],
)
def test_a_prompt_reads_like_a_sentence(prompt, text):
    assert prompt.text == text


@settings(max_examples=100, deadline=None)
@given(seeds)
def test_a_prompt_about_subjects_is_true_of_them(seed):
    rng = np.random.default_rng(seed)
    identities = [sample_identity(rng, noun) for noun in rng.choice(NOUNS, 2, replace=False)]
    prompt = prompt_about(identities, "snow", False, rng)
    for mention, identity in zip(prompt.mentions, sorted(identities), strict=True):
        assert mention.fits(identity)
        other = next(colour for colour in COLOURS if colour != identity.body)
        assert mention.fits(replace(identity, body=other)) == (mention.body is None)
        other = next(pattern for pattern in PATTERNS if pattern != identity.pattern)
        assert mention.fits(replace(identity, pattern=other)) == (mention.pattern is None)


def test_a_tenth_of_the_combinations_is_held_out_and_none_of_a_noun_or_colour_all():
    held = [*held_out_combinations()]
    assert 0.08 < len(held) / (len(NOUNS) * len(COLOURS) * len(PATTERNS)) < 0.15
    for place, values in enumerate((NOUNS, COLOURS, PATTERNS)):
        for value in values:
            share = sum(each[place] == value for each in held) * len(values) / 288
            assert share < 0.4, value


def test_an_identity_is_held_out_with_its_combination():
    held = {identity for identity in all_identities() if held_out_identity(identity)}
    for identity in held:
        assert held_out_combination(identity.noun, identity.body, identity.pattern)
    assert 0.08 < len(held) / 12_096 < 0.15


def test_every_noun_and_background_is_seen_in_training():
    for noun in NOUNS:
        assert not all(held_out_prompt(Prompt((Mention(noun),), place)) for place in BACKGROUNDS)
    for place in BACKGROUNDS:
        assert not all(held_out_prompt(Prompt((Mention(noun),), place)) for noun in NOUNS)


@pytest.mark.parametrize(("subjects", "somewhere"), [(1, False), (1, True), (2, False)])
def test_held_out_prompts_are_held_out_different_and_always_the_same(subjects, somewhere):
    prompts = held_out_prompts(150, 3, subjects, somewhere)
    assert prompts == held_out_prompts(150, 3, subjects, somewhere)
    assert len({prompt.text for prompt in prompts}) == 150
    for prompt in prompts:
        assert held_out_prompt(prompt)
        assert len(prompt.mentions) == subjects
        assert prompt.somewhere == somewhere
    stated = [mention for prompt in prompts for mention in prompt.mentions if mention.body]
    assert 0.3 < len(stated) / (150 * subjects) < 0.95


@settings(max_examples=200, deadline=None)
@given(seeds)
def test_what_states_a_held_out_combination_is_held_out(seed):
    prompt = sample_prompt(np.random.default_rng(seed), 1)
    mention = prompt.mentions[0]
    if mention.body and mention.pattern and held_out_combination(mention.noun, mention.body, mention.pattern):
        assert held_out_prompt(prompt)
        assert held_out_prompt(replace(prompt, background=None))

# SPDX-License-Identifier: Apache-2.0
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.backends.phrase_prompts import packed_prompts
from models.miniature.train.tokenizers import phrase_tokenizer

TOKENIZER = phrase_tokenizer()
words = st.lists(
    st.sampled_from(["cat", "red mug", "a big blue car", "...", "fire hydrant", "??", "o. k."]), max_size=30
)


def test_the_prompt_is_written_as_the_model_was_taught():
    assert packed_prompts(["Cat", "red mug"], TOKENIZER, 64)[0].text == "cat . red mug ."
    assert packed_prompts(["man", "hat"], TOKENIZER, 64, separator=",")[0].text == "man,hat."


@given(words, st.integers(6, 40), st.sampled_from([" . ", ","]))
def test_tokens_of_a_phrase_are_where_the_prompt_says(phrases, limit, separator):
    seen = []
    for prompt in packed_prompts(phrases, TOKENIZER, limit, separator):
        ids = TOKENIZER(prompt.text).input_ids
        assert len(ids) <= limit
        for place, tokens in zip(prompt.phrases, prompt.tokens, strict=True):
            wanted = TOKENIZER.encode(
                phrases[place].replace(".", " ").replace("?", " "), add_special_tokens=False
            )
            assert [ids[token] for token in tokens] == wanted[: len(tokens)]
            seen.append(place)
    assert seen == [place for place, phrase in enumerate(phrases) if phrase.strip(".?")]


def test_more_phrases_than_fit_become_several_prompts():
    prompts = packed_prompts(["cat"] * 10, TOKENIZER, 12)
    assert [len(prompt.phrases) for prompt in prompts] == [5, 5]


@pytest.mark.parametrize("phrases", [[], ["..."], ["", "  "]])
def test_nothing_to_ask_for_is_no_prompt(phrases):
    assert packed_prompts(phrases, TOKENIZER, 64) == []

# SPDX-License-Identifier: Apache-2.0
import pytest

from models.consistency.words import WordNotFound, spans_of_any, token_spans
from tests.models.subject_diffusion.tiny import tokenizer_of

TOKENIZER = tokenizer_of()


def said(prompt, phrase):
    """What the tokens of each occurrence say."""
    ids = TOKENIZER(prompt).input_ids
    return [
        "".join(TOKENIZER.convert_ids_to_tokens([ids[p] for p in span]))
        for span in token_spans(TOKENIZER, prompt, phrase)
    ]


def plain(text):
    return text.replace("</w>", "")


def test_the_begin_token_counts_as_a_place():
    assert token_spans(TOKENIZER, "cat in the snow", "cat") == [[1]]


@pytest.mark.parametrize(
    ("prompt", "phrase", "wanted"),
    [
        ("a red cat in the snow", "cat", ["cat"]),
        ("a RED Cat in the snow", "red cat", ["redcat"]),
        ("a cat and a cat", "cat", ["cat", "cat"]),
        ("two cats and a bus", "cat", ["cats"]),
        ("two buses", "bus", ["buses"]),
        ("a cat, asleep", "cat", ["cat"]),
        ("a photo of my zorgblat here", "zorgblat", ["zorgblat"]),
        ("a  red   cat", "red cat", ["redcat"]),
    ],
)
def test_all_tokens_of_each_occurrence_are_found(prompt, phrase, wanted):
    assert [plain(word) for word in said(prompt, phrase)] == wanted


@pytest.mark.parametrize(
    "prompt", ["a dog in the snow", "a caterpillar", "a bobcat", "catalogue of cat-alogues?"]
)
def test_an_absent_word_is_told_with_prompt_and_word(prompt):
    if "cat-" in prompt:
        assert token_spans(TOKENIZER, prompt, "cat"), "a hyphen parts words"
        return
    with pytest.raises(WordNotFound, match="cat") as error:
        token_spans(TOKENIZER, prompt, "cat")
    assert prompt in str(error.value)


def test_a_word_beyond_what_the_encoder_reads_is_told():
    prompt = "a very " * 60 + "cat"
    with pytest.raises(WordNotFound, match="after the 77 tokens"):
        token_spans(TOKENIZER, prompt, "cat")
    assert token_spans(TOKENIZER, "a cat " + prompt, "cat") == [[2]]


def test_an_empty_word_is_told():
    with pytest.raises(WordNotFound, match="empty"):
        token_spans(TOKENIZER, "a cat", " ")


def test_a_word_may_be_missing_where_another_is_there():
    spans = spans_of_any(TOKENIZER, "a cat in the snow", ["dog", "cat"])
    assert spans == [[], [[2]]]
    with pytest.raises(WordNotFound):
        spans_of_any(TOKENIZER, "a hat in the snow", ["dog", "cat"])

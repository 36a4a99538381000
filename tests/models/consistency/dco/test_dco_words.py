# SPDX-License-Identifier: Apache-2.0
"""New words, and captions that name them."""

from dataclasses import replace

import pytest
import torch

from models.consistency.borrowed import borrowed
from models.consistency.dco.captions import BadCaption, renamed, said_of
from models.consistency.dco.dco import Dco
from models.consistency.dco.options import Options
from models.consistency.dco.rows import begun_rows, with_words
from models.consistency.method import Subject
from models.consistency.text import texts_of
from tests.models.consistency.dco.subjects import (
    CAT,
    SAMPLING,
    SHORT,
)
from tests.models.consistency.tiny import sd_pipe, xl_pipe


def test_a_new_word_is_one_token_with_the_nouns_row_at_first():
    pipe = xl_pipe()
    with borrowed(pipe) as ours, torch.no_grad():
        before = texts_of(ours, ["a cat in the snow"], 128, 128)
        rows = begun_rows(ours, "cat")
        with with_words(ours, ["<subject>"], rows):
            ids = ours.tokenizer("a <subject> in the snow").input_ids
            assert len(ids) == len(ours.tokenizer("a cat in the snow").input_ids)
            found = texts_of(ours, ["a <subject> in the snow"], 128, 128)
            assert torch.equal(found.states_BLD, before.states_BLD)
            assert torch.equal(found.added["text_embeds"], before.added["text_embeds"])
            assert torch.equal(texts_of(ours, ["a cat in the snow"], 128, 128).states_BLD, before.states_BLD)
            with pytest.raises(ValueError, match="already"), with_words(ours, ["<|endoftext|>"], rows):
                pass
        assert len(ours.tokenizer("a <subject>").input_ids) > 4
    assert len(pipe.tokenizer("a <subject>").input_ids) > 4


def test_a_noun_of_several_pieces_has_their_mean():
    pipe = sd_pipe()
    ids = pipe.tokenizer("zorgblat", add_special_tokens=False).input_ids
    table = pipe.text_encoder.get_input_embeddings().weight
    assert torch.allclose(begun_rows(pipe, "zorgblat")["text_encoder"][0], table[ids].mean(0))


def test_captions():
    said = said_of(2, ["cat"], ("a cat from above", "my Cat sleeps"), ["<subject>"])
    assert said.tuned == ("a <subject> from above", "my <subject> sleeps")
    assert said.base == ("a cat from above", "my Cat sleeps")
    assert said_of(2, ["cat"], (), ["cat"]).tuned == ("a photo of a cat",) * 2
    assert renamed("my red cat", "red cat", "x") == "my x"
    for wrong in ("a dog", "a cat and a cat"):
        with pytest.raises(BadCaption, match="must be there once"):
            renamed(wrong, "cat", "x")
    with pytest.raises(BadCaption, match="1 captions for 2 pictures"):
        said_of(2, ["cat"], ("a cat",), ["cat"])


def test_captions_of_several_subjects_say_who_is_in_which_picture():
    nouns, called = ["cat", "dog"], ["sks cat", "sks dog"]
    captions = ("a cat sleeps", "the dog", "a dog and a cat")
    assert said_of(3, nouns, captions, called).tuned == (
        "a sks cat sleeps",
        "the sks dog",
        "a sks dog and a sks cat",
    )
    with pytest.raises(BadCaption, match="who is in which"):
        said_of(3, nouns, (), called)
    with pytest.raises(BadCaption, match="must be there once"):
        said_of(1, nouns, ("a bird",), called)


def test_pictures_are_needed_and_a_new_word_is_of_one_subject(pipe):
    with pytest.raises(ValueError, match="pictures of it"):
        Dco(SHORT).fit(pipe, Subject(words=("cat",)), SAMPLING)
    with pytest.raises(ValueError, match="one subject"):
        Dco(SHORT).fit(pipe, replace(CAT, words=("cat", "dog")), SAMPLING)


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"rank": -1}, {"rank": 0, "token": None}, {"beta": 0.0}])
def test_values_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Options(**wrong)

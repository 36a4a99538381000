# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from models.subject_diffusion.fusion import with_placeholder
from models.subject_diffusion.options import Options
from models.subject_diffusion.template import BadPrompt, Template
from tests.models.subject_diffusion.tiny import text_encoder_of, tokenizer_of


@pytest.fixture
def template():
    tokenizer = tokenizer_of()
    with_placeholder(tokenizer, text_encoder_of(tokenizer), "sks")
    return Template(tokenizer, Options())


def text(template, ids):
    return template.tokenizer.decode([token for token in ids if token not in (0, 1)])


def test_subjects_are_named_after_the_prompt(template):
    found = template.encode(["a cat in the snow", "a dog and a mug"], [["cat"], ["dog", "mug"]])
    assert found.ids_BL.shape == (2, 77)
    assert text(template, found.ids_BL[0]).split() == [
        "a",
        "cat",
        "in",
        "the",
        "snow",
        ",",
        "the",
        "cat",
        "is",
        "sks",
    ]
    assert found.there_BK.tolist() == [[True, False], [True, True]]
    assert [(row == template.placeholder_id).sum().item() for row in found.ids_BL] == [1, 2]
    for row, places, there in zip(found.ids_BL, found.place_BK, found.there_BK, strict=True):
        assert (row[places[there]] == template.placeholder_id).all()


def test_all_of_a_label_and_its_placeholder_are_supervised_and_nothing_else(template):
    found = template.encode(["a mug", "a cat"], [["blue turtle", "mug"], ["cat"]])
    for row, labels in zip(range(2), [["blue turtle sks", "mug sks"], ["cat sks"]], strict=True):
        told = found.told_BT[row]
        tokens, owners = found.supervised_BT[row][told], found.subject_BT[row][told]
        for subject, words in enumerate(labels):
            assert text(template, found.ids_BL[row][tokens[owners == subject]]) == words


@pytest.mark.parametrize("length", [60, 300])
def test_a_long_prompt_is_cut_and_its_subjects_never(template, length):
    found = template.encode(["red " * length], [["cat", "blue dog"]])
    assert found.ids_BL.shape == (1, 77)
    assert (found.ids_BL == template.placeholder_id).sum() == 2
    assert found.ids_BL[0, -1] == template.tokenizer.eos_token_id
    end = "red, the cat is sks, the blue dog is sks"
    assert text(template, found.ids_BL[0]).replace(" ,", ",").strip().endswith(end)


def test_without_subjects_it_is_what_the_tokenizer_makes(template):
    found = template.encode(["a cat in the snow", ""], [[], []])
    plain = template.tokenizer(["a cat in the snow", ""], padding="max_length", return_tensors="pt").input_ids
    assert torch.equal(found.ids_BL, plain)
    assert not found.there_BK.any()
    assert found.supervised_BT.shape == (2, 0)


@pytest.mark.parametrize(
    ("prompt", "labels", "said"),
    [
        ("a sks in the snow", ["cat"], "'sks' in it, which stands for subjects"),
        ("a cat", ["sks"], "'sks' in it, which stands for subjects"),
        ("a cat", [" "], "a label is empty"),
        ("a cat", ["cat", "dog", "mug"], "3 subjects; this model takes 2"),
        ("a cat", ["red " * 80], "too long for a prompt"),
    ],
)
def test_mistakes(template, prompt, labels, said):
    with pytest.raises(BadPrompt, match=said):
        template.encode([prompt], [labels])


def test_a_placeholder_that_the_tokenizer_lacks():
    with pytest.raises(BadPrompt, match="splits the placeholder 'sks' into 3"):
        Template(tokenizer_of(), Options()).encode(["a cat"], [["cat"]])


@pytest.mark.parametrize(
    "fields",
    [
        {"suffix": ", the {label}"},
        {"suffix": "{placeholder} is {label}"},
        {"suffix": "{label} {label} {placeholder}"},
        {"placeholder": "two words"},
        {"placeholder": ""},
        {"max_subjects": 0},
    ],
)
def test_options_that_cannot_be(fields):
    with pytest.raises(ValueError, match=next(iter(fields))):
        Options(**fields)

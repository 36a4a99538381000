# SPDX-License-Identifier: Apache-2.0
"""Subjects that were learnt apart, drawn together."""

from dataclasses import replace

import pytest
import torch

from models.consistency.method import Subject
from models.consistency.oneactor.oneactor import OneActor
from models.consistency.oneactor.options import Options
from models.consistency.oneactor.separate import composed, subjects_of
from models.consistency.oneactor.subject_masks import SubjectMasks
from models.consistency.state import BadState
from tests.models.consistency.tiny import SAMPLING, sd_pipe, stock, xl_pipe

SHORT = Options(steps=2, auxiliaries=3)
SAMPLING = replace(SAMPLING, steps=6)
GUIDED = 4
BOTH = Subject(words=("cat", "dog"))
PROMPTS, SEEDS = ["a cat and a dog in the snow", "a dog on the beach"], [3, 5]


@pytest.fixture(scope="module", params=[xl_pipe, sd_pipe], ids=["xl", "sd"])
def pipe(request):
    return request.param()


@pytest.fixture(scope="module")
def states(pipe):
    return [OneActor(SHORT).fit(pipe, Subject(words=(word,)), SAMPLING) for word in BOTH.words]


def drawn(pipe, states, options=SHORT, sampling=SAMPLING, prompts=PROMPTS, subject=BOTH):
    method = OneActor(options)
    seeds = SEEDS[: len(prompts)]
    return method.generate(pipe, subject, states, prompts, seeds, sampling), method


def everywhere(*where):
    """Masks of which each subject's is full, or empty."""

    def taken(self, height, width):
        found, self._sum_BPJ = self._sum_BPJ, None
        if found is None:
            return None
        return torch.tensor(where).view(-1, 1, 1, 1, 1).expand(-1, len(found), 1, height, width)

    return taken


@pytest.mark.parametrize("exclusion", [0.0, 1.0])
def test_one_subject_with_a_full_mask_is_what_it_is_alone(pipe, states, monkeypatch, exclusion):
    options, prompts = replace(SHORT, exclusion=exclusion), PROMPTS[:1]
    cat = Subject(words=("cat",))
    whole = OneActor(options).generate(pipe, cat, states[0], prompts, SEEDS[:1], SAMPLING)
    # In the first call, where nobody is anywhere yet, the dog has no part either.
    nothing = replace(states[1], tensors={name: 0 * each for name, each in states[1].tensors.items()})
    monkeypatch.setattr(SubjectMasks, "taken", everywhere(True, False))
    assert (drawn(pipe, [states[0], nothing], options, prompts=prompts)[0] - whole).abs().max() < 1e-4


@pytest.mark.parametrize("exclusion", [0.0, 1.0])
def test_empty_masks_after_the_first_call_leave_the_prompts_own_prediction(
    pipe, states, monkeypatch, exclusion
):
    monkeypatch.setattr(SubjectMasks, "taken", everywhere(False, False))
    options = replace(SHORT, exclusion=exclusion)
    found, method = drawn(pipe, states, options)
    first = replace(options, guided=(0.0, 1 / SAMPLING.steps))
    monkeypatch.undo()
    assert (found - drawn(pipe, states, first)[0]).abs().max() < 1e-4
    assert method.rows > 0


def test_rows_of_a_call(pipe, states):
    pictures, plain_rows = len(PROMPTS), 2
    for exclusion, first, guided in ((0.0, 2, 4), (1.0, 3, 6)):
        _, method = drawn(pipe, states, replace(SHORT, exclusion=exclusion))
        rest = SAMPLING.steps - GUIDED
        assert method.rows == pictures * (first + (GUIDED - 1) * guided + rest * plain_rows)


def test_switched_off_it_is_the_stock_pipeline(pipe, states):
    found, _ = drawn(pipe, states, replace(SHORT, strength=0.0, exclusion=0.0))
    assert (found - stock(pipe, PROMPTS, SEEDS, SAMPLING)).abs().max() < 1e-4


def test_a_subject_that_a_prompt_does_not_name_has_no_part_in_its_picture(pipe, states):
    strong = replace(states[0], tensors={name: 5 * each for name, each in states[0].tensors.items()})
    one, other = (drawn(pipe, [cat, states[1]])[0] for cat in (states[0], strong))
    assert (one[0] - other[0]).abs().max() > 1e-4
    assert (one[1] - other[1]).abs().max() < 1e-5


def test_the_order_of_states_makes_no_difference(pipe, states):
    one, other = (drawn(pipe, some)[0] for some in (states, states[::-1]))
    assert (one - other).abs().max() < 1e-4


def test_without_guidance_and_after_an_error_the_pipeline_is_as_it_was(pipe, states):
    processors = dict(pipe.unet.attn_processors)
    assert drawn(pipe, states, sampling=replace(SAMPLING, guidance=1.0))[0].shape[0] == 2
    with pytest.raises(BadState, match="cat, dog"):
        drawn(pipe, states, subject=Subject(words=("cat", "fox")))
    assert dict(pipe.unet.attn_processors) == processors


def test_composition_keeps_what_no_subject_has():
    own, parts = torch.zeros(1, 1, 1, 3), [torch.full((1, 1, 1, 3), 4.0), torch.full((1, 1, 1, 3), 8.0)]
    share = torch.tensor([[1.0, 0.5, 0.0], [0.0, 0.5, 0.0]]).view(2, 1, 1, 1, 3)
    assert composed(own, parts, share).flatten().tolist() == [4.0, 6.0, 0.0]


def test_tokens_know_their_subject(pipe):
    assert subjects_of(pipe.tokenizer, [["cat"], ["dog", "cat"]]).tolist() == [0, 1, 1]

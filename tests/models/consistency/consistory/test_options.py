# SPDX-License-Identifier: Apache-2.0
import pytest

from models.consistency.consistory.options import Options


def test_the_schedule_of_fifty_steps_is_the_official_one():
    options = Options()
    blends = {step: options.blended(step, 50) for step in range(50) if options.blended(step, 50)}
    assert [*blends] == [1, 2, 3, 4, 5]
    assert [*blends.values()] == pytest.approx([0.88367, 0.86735, 0.85102, 0.83469, 0.81837], abs=1e-5)
    assert [step for step in range(50) if options.injected(step, 50)] == [*range(5, 17)]


@pytest.mark.parametrize(("steps", "blended"), [(20, [1, 2]), (19, [1]), (10, [1]), (9, []), (4, [])])
def test_fewer_steps_blend_in_fewer(steps, blended):
    assert [step for step in range(steps) if Options().blended(step, steps)] == blended


def test_nothing_is_blended_without_sharing():
    assert not any(Options(share=False).blended(step, 50) for step in range(50))


def test_parity_is_the_official_code_and_clean_is_the_default():
    parity, clean = Options.parity(), Options()
    assert (parity.injection_order, parity.features_aliased, parity.whole_first_pass) == (
        "sequential",
        True,
        True,
    )
    assert (clean.injection_order, clean.features_aliased, clean.whole_first_pass) == (
        "simultaneous",
        False,
        False,
    )
    assert parity.draws == "batch"
    assert clean.draws == "image"


@pytest.mark.parametrize(
    "wrong",
    [{"mask_dropout": 1.5}, {"injection": -0.1}, {"anchors": 0}, {"mask_window": 0}, {"blend": (0.9, 2.0)}],
)
def test_values_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Options(**wrong)

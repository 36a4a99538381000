# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from benchmarks.subject_diffusion.cases import cases
from benchmarks.subject_diffusion.scores import Scorer, mean_of
from models.miniature.world import MARKS, Placement, Scene, held_out_identity, render_scene, sample_identity
from pipeline.evaluate.cells import told


def truth(case, other=None):
    """A picture that shows a case's subjects, or others of the same nouns."""
    sides = {1: ((0.5, 0.5), 0.7), 2: ((0.27, 0.5), 0.48)}
    (x, y), side = sides[len(case.identities)]
    placements = tuple(
        Placement((other or case.identities)[k], (x + 0.46 * k, y), side, 3.0, False)
        for k in range(len(case.identities))
    )
    return render_scene(Scene(case.prompt.background, placements, (9, 9)), 128).image


@pytest.fixture(scope="module")
def scorer():
    return Scorer()


@pytest.mark.parametrize("subjects", [1, 2])
def test_cases_are_held_out_and_always_the_same(subjects):
    found = cases(12, subjects, 3)
    again = cases(12, subjects, 3)
    assert [case.identities for case in found] == [case.identities for case in again]
    assert all(
        np.array_equal(a, b) for x, y in zip(found, again, strict=True)
        for a, b in zip(x.references, y.references, strict=True)
    )  # fmt: skip
    for case in found:
        assert all(map(held_out_identity, case.identities))
        assert len({*case.labels}) == subjects
        assert all(label in case.prompt.text for label in case.labels)
        assert not any(mention.body or mention.pattern for mention in case.prompt.mentions)
    assert len({case.prompt.background for case in found}) == 6


@pytest.mark.parametrize(("subjects", "least"), [(1, 0.9), (2, 0.75)])
def test_the_truth_scores_best(scorer, subjects, least):
    asked = cases(16, subjects, 3)
    right = scorer(asked, [truth(case) for case in asked])
    rng = np.random.default_rng(0)
    others = [[sample_identity(rng, identity.noun) for identity in case.identities] for case in asked]
    wrong = scorer(asked, [truth(case, other) for case, other in zip(asked, others, strict=True)])

    def mean(rows, name):
        return mean_of([[row[name]] for row in rows]).mean

    assert mean(right, "identity") >= least
    assert mean(wrong, "identity") <= 0.2
    assert mean(wrong, "noun") >= 0.9
    assert mean(right, "background") >= 0.9
    assert mean(right, "clip_i") > mean(wrong, "clip_i") + 0.1
    assert all(row["identity"] <= min(row[name] for name in MARKS) for row in right)
    assert all(row["all"] in (0, 1) for row in right)


def test_an_interval_holds_its_mean_and_shrinks():
    rng = np.random.default_rng(0)
    few, many = ([[float(v)] for v in rng.random(n) < 0.3] for n in (20, 500))
    for found in (mean_of(few), mean_of(many)):
        assert found.low <= found.mean <= found.high
    assert mean_of(many).high - mean_of(many).low < mean_of(few).high - mean_of(few).low
    assert mean_of(few) == mean_of(few)
    assert told(mean_of([[1.0], [1.0]])) == "1.000 (1.000 to 1.000)"

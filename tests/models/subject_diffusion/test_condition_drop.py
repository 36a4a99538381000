# SPDX-License-Identifier: Apache-2.0
import pytest
import torch
from scipy.stats import chisquare

from models.subject_diffusion.condition_drop import dropped
from models.subject_diffusion.options import Drop


def test_where_each_part_begins():
    draws = torch.tensor([0.0, 0.0499, 0.05, 0.0999, 0.1, 0.1499, 0.15, 0.9999], dtype=torch.float64)
    found = dropped(draws, Drop())
    assert found.text.tolist() == [True] * 4 + [False] * 4
    assert found.location.tolist() == [False] * 2 + [True] * 4 + [False] * 2
    assert torch.equal(found.subjects, found.location)
    assert not dropped(draws, Drop(subjects=False)).subjects.any()


def test_shares():
    draws = torch.rand(100_000, generator=torch.Generator().manual_seed(0))
    text, location, _ = dropped(draws, Drop())
    counts = [(text & ~location).sum(), (text & location).sum(), (location & ~text).sum()]
    counts.append(len(draws) - sum(counts))
    expected = [5_000, 5_000, 5_000, 85_000]
    assert chisquare([int(count) for count in counts], expected).pvalue > 0.001


@pytest.mark.parametrize("shares", [{"text": -0.1}, {"text": 0.5, "both": 0.4, "location": 0.2}])
def test_shares_that_cannot_be(shares):
    with pytest.raises(ValueError, match="shares"):
        Drop(**shares)

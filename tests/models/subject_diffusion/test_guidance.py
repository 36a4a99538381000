# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from models.subject_diffusion.guidance import guided, personalised

NONE, IMAGE, FULL = torch.randn(3, 1, 4, 8, 8, generator=torch.Generator().manual_seed(0)).unbind(0)


@pytest.mark.parametrize(
    ("text", "image", "expected"),
    [
        (1, 1, FULL),
        (3, 3, NONE + 3 * (FULL - NONE)),
        (0, 1, IMAGE),
        (0, 0, NONE),
        (7.5, 7.5, NONE + 7.5 * (FULL - NONE)),
    ],
)
def test_what_scales_mean(text, image, expected):
    assert torch.allclose(guided(NONE, IMAGE, FULL, text, image), expected, atol=1e-5)


def test_between_subject_and_text():
    counts = [sum(personalised(step, 50, alpha / 20) for step in range(50)) for alpha in range(21)]
    assert counts[0] == 50
    assert counts[-1] == 0
    assert counts == sorted(counts, reverse=True)
    assert counts[10] == 25
    # The subject comes first, plain text after it.
    drawn = [personalised(step, 50, 0.3) for step in range(50)]
    assert drawn == sorted(drawn, reverse=True)


@pytest.mark.parametrize("alpha", [-0.1, 1.1])
def test_alphas_that_cannot_be(alpha):
    with pytest.raises(ValueError, match="alpha"):
        personalised(0, 50, alpha)

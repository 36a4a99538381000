# SPDX-License-Identifier: Apache-2.0
"""The architectures are those of the published models, by their sizes; no weight is made."""

import pytest
import torch

from benchmarks.full_size.diffusion import PARTS

MILLIONS = {
    "sd2": {"unet": 866, "text_encoder": 340, "vae": 84},
    "sdxl": {"unet": 2567, "text_encoder": 123, "text_encoder_2": 695, "vae": 84},
    "clip": {"tower": 632},
}


@pytest.mark.parametrize("kind", [*PARTS])
def test_parts_have_the_published_sizes(kind):
    with torch.device("meta"):
        parts = PARTS[kind](torch.bfloat16)
    sizes = {name: round(sum(p.numel() for p in part.parameters()) / 1e6) for name, part in parts.items()}
    assert sizes == MILLIONS[kind]

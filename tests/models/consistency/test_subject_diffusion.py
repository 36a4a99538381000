# SPDX-License-Identifier: Apache-2.0
"""Subject-Diffusion behind the interface of all methods."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from models.consistency.method import Sampling, Subject
from models.consistency.options import SubjectDiffusionOptions
from models.consistency.subject_diffusion import SubjectDiffusion
from tests.models.consistency.tiny import sd_pipe
from tests.models.subject_diffusion.tiny_pipeline import made, picture

PROMPTS, SEEDS = ["a cat in the snow", "a cat at night"], [3, 5]
CAT = Subject(words=("cat",), pictures=(picture("red"),))
SAMPLING = Sampling(steps=3, guidance=4.0, output="latent")
BOX = (0.1, 0.2, 0.6, 0.9)


@pytest.fixture(scope="module")
def pipe():
    return made()[0]


def drawn(pipe, subject=CAT, sampling=SAMPLING, options=None, **more):
    method = SubjectDiffusion(options)
    assert method.fit(pipe, subject, sampling) is None
    return method.generate(pipe, subject, None, PROMPTS, SEEDS, sampling, **more)


def test_it_is_the_pipelines_own_call(pipe):
    generators = [torch.Generator().manual_seed(seed) for seed in SEEDS]
    own = pipe(
        PROMPTS,
        [list(CAT.pictures)] * 2,
        [["cat"]] * 2,
        [[BOX]] * 2,
        num_inference_steps=3,
        text_scale=4.0,
        image_scale=2.0,
        generator=generators,
        output_type="latent",
    ).images
    found = drawn(pipe, options=SubjectDiffusionOptions(image_guidance=2.0), boxes=[BOX])
    assert torch.equal(torch.as_tensor(np.asarray(found)), torch.as_tensor(np.asarray(own)))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"subject": Subject(words=("cat",))}, "there are 0 for 1"),
        ({"sampling": replace(SAMPLING, negative="blur")}, "no negative prompts"),
        ({"pipe": sd_pipe()}, "the export of its training"),
    ],
)
def test_what_it_cannot_do_is_told(pipe, changes, told):
    with pytest.raises(ValueError, match=told):
        drawn(**{"pipe": pipe, **changes})

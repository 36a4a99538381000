# SPDX-License-Identifier: Apache-2.0
"""The shipped training: its weights alone, on the shipped base."""

import json
import shutil

import numpy as np
import pytest
import torch

from models.backends.protocols import MissingWeights
from models.backends.weights import located
from models.subject_diffusion.drawing import SubjectsToImage, load_pipeline
from models.subject_diffusion.export import TOLD, TRAINED, save_pipeline
from tests.models.subject_diffusion.tiny_pipeline import picture

SHIPPED = SubjectsToImage.model


def drawn(pipeline):
    pipeline.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(3)
    told = {"num_inference_steps": 3, "generator": generator, "output_type": "np"}
    return np.asarray(pipeline(["a cat in the snow"], [picture("red")], ["cat"], **told).images)


@pytest.fixture
def copy(tmp_path):
    return shutil.copytree(located(SHIPPED), tmp_path / "copy")


def test_it_is_what_the_whole_export_is(tmp_path):
    state = torch.random.get_rng_state()
    pipeline = load_pipeline(SHIPPED, None, torch.float32)
    assert torch.equal(torch.random.get_rng_state(), state)
    save_pipeline(pipeline, tmp_path)
    assert np.array_equal(drawn(pipeline), drawn(load_pipeline(str(tmp_path), None, torch.float32)))


def test_the_reference_has_a_say():
    pipeline = load_pipeline(SHIPPED, None, torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    red, blue = (
        pipeline(
            ["a cat in the snow"],
            [picture(colour)],
            ["cat"],
            num_inference_steps=10,
            generator=torch.Generator().manual_seed(3),
            output_type="np",
        ).images
        for colour in ("red", "blue")
    )
    middle = np.s_[:, 16:48, 16:48]
    assert (red - blue)[middle][..., 0].mean() > 0.1 > -0.1 > (red - blue)[middle][..., 2].mean()


def told_otherwise(copy, **changes):
    told = json.loads((copy / TOLD).read_text())
    told["config"] |= changes
    (copy / TOLD).write_text(json.dumps(told))


@pytest.mark.parametrize(
    ("damage", "part"),
    [
        (lambda copy: told_otherwise(copy, base="miniature:text2image_xl"), "begins with"),
        (lambda copy: told_otherwise(copy, base="./nowhere"), "nowhere"),
        (lambda copy: told_otherwise(copy, subject_encoder="miniature:clip_none"), "clip_none"),
        (lambda copy: told_otherwise(copy, model={}), "train or export it again"),
        (lambda copy: (copy / TOLD).unlink(), "train or export it again"),
        (lambda copy: (copy / TRAINED).write_bytes(b"junk"), "train or export it again"),
    ],
)
def test_what_does_not_fit_is_told(copy, damage, part):
    damage(copy)
    with pytest.raises(MissingWeights, match=part):
        load_pipeline(str(copy), None, torch.float32)

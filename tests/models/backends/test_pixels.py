# SPDX-License-Identifier: Apache-2.0
"""Pictures made ready by torch are those that transformers' processors make with Pillow."""

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import (
    BlipImageProcessorPil,
    CLIPImageProcessorPil,
    GroundingDinoImageProcessorPil,
    SamImageProcessorPil,
)

from models.backends.detector_pixels import DetectorPixels
from models.backends.pixels import Pixels, longest, shortest, square
from models.backends.protocols import MissingWeights
from models.miniature.world import render_scene, sample_scene

CPU = torch.device("cpu")
SIZES = [(640, 480), (480, 640), (97, 301), (1500, 40), (1024, 1024), (3, 5)]


def picture(size):
    return render_scene(sample_scene(5, 0), 256).image.resize(size, Image.Resampling.BICUBIC)


def levels(one, other, processor):
    """By how many levels of 255 two pictures differ at most, in all but a thousandth of the places, and on
    average."""
    apart = (one - other).abs() * torch.tensor(processor.image_std)[:, None, None] * 255
    return apart.max().item(), apart.flatten()[::7].quantile(0.999).item(), apart.mean().item()


@pytest.mark.parametrize("size", SIZES)
def test_sam(size):
    processor = SamImageProcessorPil()
    theirs = processor(images=[picture(size)], return_tensors="pt")
    pixels = Pixels(processor, CPU, torch.float32, longest(processor))
    ours = pixels.batch([picture(size)], (1024, 1024))
    assert pixels.size_for(size[::-1]) == tuple(theirs.reshaped_input_sizes[0].tolist())
    most, _, usually = levels(ours[0], theirs.pixel_values[0], processor)
    assert most < 1.01
    assert usually < 0.1


@pytest.mark.parametrize("size", SIZES)
def test_blip2(size):
    processor = BlipImageProcessorPil(size={"height": 224, "width": 224})
    theirs = processor(images=[picture(size)], return_tensors="pt").pixel_values
    ours = Pixels(processor, CPU, torch.float32, square(processor)).batch([picture(size)], (224, 224))
    most, nearly, usually = levels(ours[0], theirs[0], processor)
    assert most < 12
    assert nearly < 3.01
    assert usually < 0.2


@pytest.mark.parametrize("size", SIZES[:4])
@pytest.mark.parametrize("pad_to", [None, 32])
def test_grounding_dino(size, pad_to):
    processor = GroundingDinoImageProcessorPil(size={"shortest_edge": 80, "longest_edge": 133})
    pixels = DetectorPixels(processor, CPU, torch.float32, pad_to=pad_to)
    height, width = pixels.padded(size[::-1])
    theirs = processor(
        images=[picture(size)], pad_size={"height": height, "width": width}, return_tensors="pt"
    )
    seen = []

    def model(values, there, places):
        seen.append((values, there))
        return torch.zeros(len(places), 1, 1), torch.zeros(len(places), 1, 4)

    pixels.run([picture(size)], model)
    ((values, there),) = seen
    assert torch.equal(there.long(), theirs.pixel_mask)
    most, _, usually = levels(values[0], theirs.pixel_values[0], processor)
    assert most < 1.01
    assert usually < 0.1
    assert (values[0][:, ~there[0]] == 0).all()


@pytest.mark.parametrize("size", SIZES[:3])
def test_clip_before_it_is_cut(size):
    processor = CLIPImageProcessorPil(do_center_crop=False)
    theirs = processor(images=[picture(size)], return_tensors="pt").pixel_values[0]
    ours = Pixels(processor, CPU, torch.float32, shortest(224)).one(picture(size))
    assert ours.shape == theirs.shape
    most, nearly, usually = levels(ours, theirs, processor)
    assert most < 12
    assert nearly < 3.01
    assert usually < 0.1


def test_pictures_of_one_shape_go_together_and_come_back_in_order():
    processor = GroundingDinoImageProcessorPil(size={"shortest_edge": 64, "longest_edge": 128})
    sizes = [(64, 64), (100, 64), (64, 64), (64, 100), (120, 64), (62, 62)]
    calls = []

    def model(values, there, places):
        calls.append((tuple(values.shape[2:]), [*places]))
        marks = torch.tensor([float(place) for place in places])
        return marks[:, None, None].expand(-1, 3, 2), marks[:, None, None].expand(-1, 3, 4)

    pixels = DetectorPixels(processor, CPU, torch.float32, pad_to=64)
    logits, boxes = pixels.run([picture(size) for size in sizes], model)
    assert calls == [((64, 64), [0, 2, 5]), ((64, 128), [1, 4]), ((128, 64), [3])]
    assert logits[:, 0, 0].tolist() == boxes[:, 2, 3].tolist() == [0, 1, 2, 3, 4, 5]


def test_whatever_is_no_rgb_becomes_it():
    processor = BlipImageProcessorPil(size={"height": 8, "width": 8})
    pixels = Pixels(processor, CPU, torch.float32, square(processor))
    grey = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8))
    assert torch.equal(pixels.one(grey), pixels.one(grey.convert("RGB")))


def test_a_rule_that_torch_does_not_have_is_refused():
    processor = BlipImageProcessorPil(size={"height": 8, "width": 8}, resample=Image.Resampling.LANCZOS)
    with pytest.raises(MissingWeights, match="resample"):
        Pixels(processor, CPU, torch.float32, square(processor))

# SPDX-License-Identifier: Apache-2.0
"""LPIPS on random weights of both networks' true shapes."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from models.backends.protocols import MissingWeights
from models.metrics.lpips import Lpips, distance, features
from tests.models.metrics.pictured import mean, noisier, others, same, set_of, without_subject

ALEX = {0: (64, 3, 11), 3: (192, 64, 5), 6: (384, 192, 3), 8: (256, 384, 3), 10: (256, 256, 3)}
VGG = {0: (64, 3), 2: (64, 64), 5: (128, 64), 7: (128, 128), 10: (256, 128), 12: (256, 256), 14: (256, 256)}
VGG |= {17: (512, 256), 19: (512, 512), 21: (512, 512), 24: (512, 512), 26: (512, 512), 28: (512, 512)}


def random_weights(shapes, tapped):
    draw = torch.Generator().manual_seed(0)
    found = {}
    for place, (out, into, *kernel) in shapes.items():
        side = kernel[0] if kernel else 3
        scale = (into * side * side) ** -0.5
        found[f"features.{place}.weight"] = torch.randn(out, into, side, side, generator=draw) * scale
        found[f"features.{place}.bias"] = torch.randn(out, generator=draw) * 0.1
    for layer, width in enumerate(tapped):
        found[f"lin{layer}.model.1.weight"] = torch.rand(1, width, 1, 1, generator=draw)
    return found


@pytest.fixture(scope="module", params=["alex", "vgg"])
def weights(request):
    if request.param == "alex":
        return random_weights(ALEX, (64, 192, 384, 256, 256))
    return random_weights(VGG, (64, 128, 256, 512, 512))


@pytest.fixture(scope="module")
def metric(weights, tmp_path_factory):
    folder = tmp_path_factory.mktemp("lpips")
    save_file(weights, folder / "lpips.safetensors")
    return Lpips(model=str(folder), side=64, regions=("whole", "subject"))


def layers_of(weights):
    """The networks as torchvision stacks them, up to their last convolution."""
    alex = weights["features.0.weight"].shape[-1] == 11
    layers, taps = [], []
    strides, paddings = ({0: 4}, {0: 2, 3: 2}) if alex else ({}, {})
    places = sorted(int(name.split(".")[1]) for name in weights if name.endswith("bias"))
    for place in places:
        while len(layers) < place:
            layers.append(nn.MaxPool2d(3, 2) if alex else nn.MaxPool2d(2, 2))
        weight = weights[f"features.{place}.weight"]
        convolution = nn.Conv2d(
            weight.shape[1], weight.shape[0], weight.shape[2], strides.get(place, 1), paddings.get(place, 1)
        )
        convolution.load_state_dict({"weight": weight, "bias": weights[f"features.{place}.bias"]})
        layers += [convolution, nn.ReLU()]
        taps.append(len(layers) - 1)
    return nn.Sequential(*layers), taps if alex else [3, 8, 15, 22, 29]


@torch.inference_mode()
def test_it_is_the_formula_on_the_networks_as_torchvision_builds_them(weights):
    one, other = torch.rand(2, 1, 3, 64, 64) * 2 - 1
    network, taps = layers_of(weights)
    shift = torch.tensor([-0.030, -0.088, -0.188]).view(1, 3, 1, 1)
    scale = torch.tensor([0.458, 0.448, 0.450]).view(1, 3, 1, 1)
    total, a, b, layer = 0.0, (one - shift) / scale, (other - shift) / scale, 0
    for place, module in enumerate(network):
        a, b = module(a), module(b)
        if place in taps:
            ours, theirs = (x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10) for x in (a, b))
            linear = weights[f"lin{layer}.model.1.weight"]
            total += float(nn.functional.conv2d((ours - theirs).square(), linear).mean())
            layer += 1
    assert layer == 5
    assert float(distance(features(one, weights), features(other, weights), weights)) == pytest.approx(
        total, rel=1e-4
    )


def test_the_same_is_nothing_apart_and_noise_is_far(metric):
    measure, images = metric.load(), set_of(others(3), ("beach", "snow", "night"))
    assert mean(measure(same(images)), "lpips_whole_pairs") == 0
    assert mean(measure(images), "lpips_whole_pairs") > 0
    far = [mean(measure(noisier(images, share)), "lpips_whole_pairs") for share in (0, 0.1, 0.3, 0.6)]
    assert far[0] == 0
    assert far == sorted(far)
    turned = replace(images, pictures=images.pictures[::-1])
    for one, other in zip(measure(images), measure(turned)[::-1], strict=True):
        assert one == pytest.approx(other, rel=1e-4)
    assert measure(without_subject(images, 1))[1]["lpips_subject_pairs"] == 1


def test_a_file_that_is_missing_or_another_is_named(metric, tmp_path):
    with pytest.raises(MissingWeights, match=r"lpips\.safetensors is missing"):
        Lpips(model=str(tmp_path)).check()
    save_file({"features.0.weight": torch.zeros(64, 3, 11, 11)}, tmp_path / "lpips.safetensors")
    with pytest.raises(MissingWeights, match=r"has no features\.0\.bias"):
        Lpips(model=str(tmp_path)).load()
    (tmp_path / "lpips.safetensors").write_bytes(b"nothing")
    with pytest.raises(MissingWeights, match="cannot load"):
        Lpips(model=str(tmp_path)).load()

# SPDX-License-Identifier: Apache-2.0
"""LPIPS (Zhang et al. 2018, arXiv 1801.03924): distance of two pictures by features of AlexNet or VGG-16.

Shapes: N pictures, C channels, H = W pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from PIL.Image import Image

from models.backends.bounds import Count
from models.backends.protocols import MissingWeights
from models.backends.runtime import Runtime
from models.backends.weights import located
from models.metrics.compared import compared
from models.metrics.image_set import ImageSet, Measure, Scores
from models.metrics.regions import Ground, Region

if TYPE_CHECKING:
    from torch import Tensor

_FILE = "lpips.safetensors"
_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
_TINY = 1e-10
_LARGEST = 1.0
"""The distance that stands for a subject which is not there."""

_ALEX: tuple[tuple[int, int, int, bool], ...] = (
    (0, 4, 2, False), (3, 1, 2, True), (6, 1, 1, True), (8, 1, 1, False), (10, 1, 1, False),
)  # fmt: skip
"""Convolutions: place in torchvision's list, stride, padding, whether pooling comes before it. Features are
taken after each."""
_VGG = ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28))
"""Convolutions by block, with pooling between blocks; features are taken at the end of each."""


@dataclass(frozen=True, kw_only=True)
class Lpips(Runtime):
    """A folder with `lpips.safetensors`: torchvision's convolutions (`features.0.weight`, ...) of AlexNet or
    VGG-16, and the authors' linear weights (`lin0.model.1.weight`, ...)."""

    name: ClassVar[str] = "lpips"
    better: ClassVar[str] = "lower"
    model: str = "./weights/lpips"
    """Local folder."""
    regions: tuple[Region, ...] = ("whole", "subject", "background")
    """Which parts of pictures are compared."""
    ground: Ground = "grey"
    """What cut-outs are laid on."""
    side: Count = 256
    """Pixels that pictures are brought to."""
    batch_size: Count = 16
    """Pictures a forward pass."""

    def check(self) -> None:
        """See that the file is there.

        Raises:
            MissingWeights: it is not.
        """
        if not (path := Path(located(self.model)) / _FILE).is_file():
            raise MissingWeights(f"{path} is missing; give LPIPS another `model:` or leave it out")

    def load(self) -> Measure:
        """The metric with its weights.

        Raises:
            MissingWeights: they are not there, or not those of LPIPS.
            MissingDevice: there is no such GPU here.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        self.check()
        device, _ = self.place()
        path = Path(located(self.model)) / _FILE
        try:
            weights = load_file(path, device=str(device))
        except (OSError, SafetensorError) as error:
            raise MissingWeights(f"cannot load {path}: {error}") from error
        return _Loaded(self, _checked(weights, path))


class _Loaded:
    def __init__(self, metric: Lpips, weights: Mapping[str, Tensor]) -> None:
        self._metric, self._weights = metric, weights

    def __call__(self, images: ImageSet) -> list[Scores]:
        metric = self._metric
        return compared(images, metric.name, metric.regions, metric.ground, self._look, self._far, _LARGEST)

    def _look(self, views: Sequence[Image]) -> list[list[Tensor]]:
        import torch

        device = self._weights["features.0.weight"].device
        found: list[list[Tensor]] = []
        for start in range(0, len(views), self._metric.batch_size):
            some = [
                pixels(view, self._metric.side) for view in views[start : start + self._metric.batch_size]
            ]
            with torch.inference_mode():
                layers = features(torch.cat(some).to(device), self._weights)
            found += [[layer[row : row + 1] for layer in layers] for row in range(len(some))]
        return found

    def _far(self, one: list[Tensor], other: list[Tensor]) -> float:
        return float(distance(one, other, self._weights))


def pixels(image: Image, side: int) -> Tensor:
    """float32 (1, 3, side, side) in [-1, 1]."""
    import numpy as np
    import torch

    small = image.convert("RGB").resize((side, side), resample=2)
    return torch.from_numpy(np.array(small)).permute(2, 0, 1)[None].float() / 127.5 - 1


def features(image_NCHW: Tensor, weights: Mapping[str, Tensor]) -> list[Tensor]:
    """What the layers make of pictures in [-1, 1], each place of unit length across channels."""
    import torch

    shift, scale = (image_NCHW.new_tensor(each).view(1, 3, 1, 1) for each in (_SHIFT, _SCALE))
    tapped = (_of_alexnet if is_alexnet(weights) else _of_vgg)((image_NCHW - shift) / scale, weights)
    return [each / (torch.linalg.vector_norm(each, dim=1, keepdim=True) + _TINY) for each in tapped]


def distance(one: Sequence[Tensor], other: Sequence[Tensor], weights: Mapping[str, Tensor]) -> Tensor:
    """LPIPS of pairs, (N,) in [0, inf); 0 of the same pictures (equation 1)."""
    import torch

    parts = [
        ((a - b).square() * weights[f"lin{layer}.model.1.weight"].view(1, -1, 1, 1)).sum(1).mean((1, 2))
        for layer, (a, b) in enumerate(zip(one, other, strict=True))
    ]
    return torch.stack(parts).sum(0)


def is_alexnet(weights: Mapping[str, Tensor]) -> bool:
    """By its first convolution."""
    return weights["features.0.weight"].shape[-1] == 11


def _of_alexnet(x_NCHW: Tensor, weights: Mapping[str, Tensor]) -> list[Tensor]:
    import torch.nn.functional as F

    found = []
    for place, stride, padding, pooled in _ALEX:
        x_NCHW = F.max_pool2d(x_NCHW, 3, 2) if pooled else x_NCHW
        x_NCHW = F.relu(F.conv2d(x_NCHW, *_convolution(weights, place), stride=stride, padding=padding))
        found.append(x_NCHW)
    return found


def _of_vgg(x_NCHW: Tensor, weights: Mapping[str, Tensor]) -> list[Tensor]:
    import torch.nn.functional as F

    found = []
    for block, places in enumerate(_VGG):
        x_NCHW = F.max_pool2d(x_NCHW, 2, 2) if block else x_NCHW
        for place in places:
            x_NCHW = F.relu(F.conv2d(x_NCHW, *_convolution(weights, place), padding=1))
        found.append(x_NCHW)
    return found


def _convolution(weights: Mapping[str, Tensor], place: int) -> tuple[Tensor, Tensor]:
    return weights[f"features.{place}.weight"], weights[f"features.{place}.bias"]


def _checked(weights: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    first = weights.get("features.0.weight")
    alex = first is not None and is_alexnet(weights)
    places = [place for place, *_ in _ALEX] if alex else [place for block in _VGG for place in block]
    wanted = [f"features.{place}.{part}" for place in places for part in ("weight", "bias")]
    wanted += [f"lin{layer}.model.1.weight" for layer in range(5)]
    if missing := next((name for name in wanted if name not in weights), None):
        raise MissingWeights(f"{path} has no {missing}; it must hold LPIPS's AlexNet or VGG-16")
    return {name: tensor.float() for name, tensor in weights.items()}

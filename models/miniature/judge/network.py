# SPDX-License-Identifier: Apache-2.0
"""A small U-Net that names every pixel, and reads the attributes of whatever a mask marks.

Shapes: B pictures, C channels, H = W = 64 pixels, R masks, K values of an attribute.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.miniature.world.vocabulary import BACKGROUNDS, BUILDS, COLOURS, NOUNS, PATTERNS, TRAITS

ATTRIBUTES: dict[str, tuple[object, ...]] = {
    "noun": NOUNS,
    "body": tuple(COLOURS),
    "accent": tuple(COLOURS),
    "pattern": PATTERNS,
    "build": tuple(BUILDS),
    "trait": TRAITS,
}
"""What is read of each subject, by the name of `Identity`'s field, and its values in order."""
_WIDTHS = (32, 64, 96, 128)
_HIDDEN = 128


class JudgeNetwork(nn.Module):
    """Pixels in, names out; see `read` for pictures in, readings out."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.ModuleList(
            _convolutions(before, width) for before, width in zip((3, *_WIDTHS), _WIDTHS, strict=False)
        )
        self.up = nn.ModuleList(
            _convolutions(below + width, width) for below, width in zip(_WIDTHS[1:], _WIDTHS, strict=False)
        )
        self.background = nn.Linear(_WIDTHS[-1], len(BACKGROUNDS))
        self.pixel_noun = nn.Conv2d(_WIDTHS[0], len(NOUNS) + 1, 1)
        pooled = 2 * sum(_WIDTHS[:3]) + 3
        self.subject = nn.Sequential(
            nn.Linear(pooled, _HIDDEN), nn.SiLU(), nn.Linear(_HIDDEN, _HIDDEN), nn.SiLU()
        )
        self.heads = nn.ModuleDict(
            {name: nn.Linear(_HIDDEN, len(values)) for name, values in ATTRIBUTES.items()}
        )

    def features(self, image_BCHW: Tensor) -> tuple[list[Tensor], Tensor]:
        """Maps at 64, 32 and 16 pixels, and the logits of the background (B, K); pictures in [-1, 1]."""
        x, skips = image_BCHW, []
        for place, block in enumerate(self.down):
            x = block(F.avg_pool2d(x, 2) if place else x)
            skips.append(x)
        background_BK = self.background(x.mean((2, 3)))
        maps = []
        for block, skip in zip(reversed(self.up), reversed(skips[:-1]), strict=True):
            x = block(torch.cat([F.interpolate(x, scale_factor=2.0), skip], dim=1))
            maps.append(x)
        return maps[::-1], background_BK

    def nouns(self, maps: list[Tensor]) -> Tensor:
        """Logits (B, nouns + 1, H, W) of what each pixel is part of; 0 is the background."""
        return self.pixel_noun(maps[0])

    def attributes(self, maps: list[Tensor], owner_R: Tensor, mask_RHW: Tensor) -> dict[str, Tensor]:
        """Logits (R, K) of every attribute of what the masks mark.

        Args:
            maps: of `features`.
            owner_R: int64, the picture that each mask is of.
            mask_RHW: float, 1 on the subject.
        """
        rows, columns = mask_RHW.mean(2), mask_RHW.mean(1)
        extent = torch.stack(
            [(rows > 0).float().mean(1), (columns > 0).float().mean(1), mask_RHW.mean((1, 2))], 1
        )
        pooled = [extent]
        for features_BCHW in maps:
            share = F.adaptive_avg_pool2d(mask_RHW[:, None], features_BCHW.shape[-1])
            own = features_BCHW[owner_R]
            pooled.append((own * share).sum((2, 3)) / share.sum((2, 3)).clamp(min=1e-6))
            pooled.append((own * (share > 0)).amax((2, 3)))
        hidden = self.subject(torch.cat(pooled, dim=1))
        return {name: head(hidden) for name, head in self.heads.items()}


def _convolutions(before: int, width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.SiLU(),
        nn.Conv2d(width, width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.SiLU(),
    )

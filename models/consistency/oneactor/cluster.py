# SPDX-License-Identifier: Apache-2.0
"""The target and the other pictures of its prompt, with what the UNet's encoder makes of each (section 4.1).

Shapes: N pictures, the target first, C channels, H, W latent cells, h, w places of the deepest grid.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from models.consistency.borrowed import borrowed
from models.consistency.latents import Noise, encoded_pictures
from models.consistency.method import Sampling, Subject, Tell
from models.consistency.text import pixels_of, texts_of

if TYPE_CHECKING:
    from PIL import Image

_AT_ONCE = 4
"""Pictures that are drawn together."""


@dataclass(frozen=True)
class Cluster:
    """What is tuned on."""

    pictures: tuple[Image.Image, ...]
    deepest_NChw: Tensor
    """float32: what goes into the UNet's middle block at the last step, with the prompt."""
    mean_2NCHW: Tensor
    """float32: of the pictures' latents, as they are and mirrored."""
    std_2NCHW: Tensor


def drawn_cluster(
    pipe: Any, subject: Subject, seeds: Sequence[int], target: int, sampling: Sampling, tell: Tell
) -> Cluster:
    """Draw the pictures of the subject's prompt; a given picture takes the target's place.

    Args:
        pipe: of Stable Diffusion's kind.
        subject: with its prompt, and perhaps a picture.
        seeds: of the pictures.
        target: which of them is the target, if none is given.
        sampling: how to draw.
        tell: of progress.
    """
    from PIL import ImageOps

    height, width = pixels_of(pipe, sampling.height, sampling.width)
    pictures, deepest = _drawn(pipe, subject.text, seeds, sampling, tell)
    first = [target] if not subject.pictures else []
    rest = [place for place in range(len(seeds)) if place not in first]
    chosen = [pictures[place] for place in (*first, *rest)]
    states = deepest[[*first, *rest]]
    if subject.pictures:
        chosen = [subject.pictures[0], *chosen]
        states = torch.cat([_deepest_of(pipe, subject.text, subject.pictures[0], sampling), states])
    mirrored = [ImageOps.mirror(picture) for picture in chosen]
    both = [encoded_pictures(pipe, some, height, width) for some in (chosen, mirrored)]
    return Cluster(tuple(chosen), states, *(torch.stack(each) for each in zip(*both, strict=True)))


@contextmanager
def watched_middle(unet: Any) -> Iterator[list[Tensor]]:
    """What went into the middle block in the last call; nothing is changed."""
    seen: list[Tensor] = []

    def see(_module: Any, inputs: tuple[Tensor, ...]) -> None:
        seen[:] = [inputs[0].detach()]

    hook = unet.mid_block.register_forward_pre_hook(see)
    try:
        yield seen
    finally:
        hook.remove()


def _drawn(
    pipe: Any, prompt: str, seeds: Sequence[int], sampling: Sampling, tell: Tell
) -> tuple[list[Image.Image], Tensor]:
    pictures, deepest = [], []
    sampling = replace(sampling, output="pil")
    with torch.no_grad(), borrowed(pipe) as ours, watched_middle(ours.unet) as seen:
        for start in range(0, len(seeds), _AT_ONCE):
            some = seeds[start : start + _AT_ONCE]
            tell(start, len(seeds), "drawing pictures of the prompt")
            pictures += ours(**sampling.arguments([prompt] * len(some), some)).images
            deepest.append(seen[0][-len(some) :].float())
    return pictures, torch.cat(deepest)


@torch.no_grad()
def _deepest_of(pipe: Any, prompt: str, picture: Image.Image, sampling: Sampling) -> Tensor:
    """Of a picture that was not drawn here: with the noise of the last step, by one call of the UNet."""
    height, width = pixels_of(pipe, sampling.height, sampling.width)
    mean_BCHW, _ = encoded_pictures(pipe, [picture], height, width)
    noise_BCHW = torch.randn(mean_BCHW.shape, generator=torch.Generator().manual_seed(0)).to(mean_BCHW)
    with borrowed(pipe) as ours, watched_middle(ours.unet) as seen:
        ours.scheduler.set_timesteps(sampling.steps)
        time_B = torch.as_tensor(ours.scheduler.timesteps)[-1:].long().to(mean_BCHW.device)
        noisy_BCHW = Noise(pipe).added(mean_BCHW, noise_BCHW, time_B).to(ours.unet.dtype)
        texts_of(ours, [prompt], height, width).predicted(ours.unet, noisy_BCHW, time_B)
    return seen[0].float()

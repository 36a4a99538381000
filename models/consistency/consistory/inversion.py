# SPDX-License-Identifier: Apache-2.0
"""Given pictures as noise: where a sampler has to begin and what it has to add at each step to draw them.

Edit-friendly inversion (Huberman-Spiegelglas et al. 2023, arXiv 2304.06140): the noisy pictures of all steps
have noise of their own each, so that what is added between them carries the picture.

Shapes: T steps, A given pictures, B pictures, C latent channels, H, W latent cells.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import torch
from diffusers import DDIMScheduler
from torch import Tensor

from models.consistency.latents import Noise, encoded_pictures
from models.consistency.method import Sampling, Tell, silent
from models.consistency.text import pixels_of

if TYPE_CHECKING:
    from PIL import Image


class Stepped(DDIMScheduler):
    """DDPM's sampling in any number of steps, where somebody else says what is added to each step's mean."""

    added: Callable[[int, Tensor, Callable[[Tensor], Tensor]], Tensor]
    """Gets the step, its mean (B, C, H, W), and what makes the next latents of unit noise; gives these."""

    @classmethod
    def like(cls, scheduler: Any, added: Callable[..., Tensor]) -> Self:
        """With another one's schedule of noise, timesteps and kind of prediction."""
        made: Any = cls.from_config(scheduler.config)
        made.added = added
        return made

    def set_timesteps(self, *given: Any, **named: Any) -> None:
        """See diffusers; sampling begins anew."""
        super().set_timesteps(*given, **named)
        # Read here: within steps a GPU would be waited for.
        self._times, self._done = [int(time) for time in self.timesteps.tolist()], 0

    def step(self, model_output: Tensor, timestep: Any, sample: Tensor, return_dict: bool = True) -> Any:
        """See diffusers."""
        mean_BCHW, spread = self._next(model_output.float(), self._times[self._done], sample.float())
        result = self.added(self._done, mean_BCHW, lambda noise_BCHW: mean_BCHW + spread * noise_BCHW)
        self._done += 1
        return (result.to(sample.dtype),)

    def _next(self, predicted: Tensor, time: int, noisy: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the next latents (Song et al. 2021, equation 12 with eta 1)."""
        config: Any = self.config
        before = time - config.num_train_timesteps // self.num_inference_steps
        kept = self.alphas_cumprod[time].to(noisy.device)
        ahead = (self.alphas_cumprod[before] if before >= 0 else self.final_alpha_cumprod).to(noisy.device)
        variance = (1 - ahead) / (1 - kept) * (1 - kept / ahead)
        if config.prediction_type == "v_prediction":
            clean = kept.sqrt() * noisy - (1 - kept).sqrt() * predicted
            noise = kept.sqrt() * predicted + (1 - kept).sqrt() * noisy
        else:
            clean, noise = (noisy - (1 - kept).sqrt() * predicted) / kept.sqrt(), predicted
        # Without any signal at first, rounding would have the root of a number below 0.
        rest = (1 - ahead - variance).clamp(min=0).sqrt()
        return ahead.sqrt() * clean + rest * noise, variance.sqrt()


@dataclass(frozen=True)
class Inverted:
    """Given pictures."""

    begin_ACHW: Tensor
    """The latents that sampling begins with, float32."""
    added_TACHW: Tensor
    """What is added to the mean of each step, float32."""
    guidance: float
    """That they were inverted with, and are drawn with."""

    def replayed(self, scheduler: Any, generators: Sequence[torch.Generator]) -> tuple[Stepped, Tensor]:
        """A scheduler that draws them first, others with noise of their own; and where all begin.

        Args:
            scheduler: the pipeline's.
            generators: of the other pictures; they give where these begin, and then each step's noise.
        """
        given = len(self.begin_ACHW)

        def fresh() -> list[Tensor]:
            return [torch.randn(self.begin_ACHW.shape[1:], generator=each)[None] for each in generators]

        def added(step: int, mean_BCHW: Tensor, noisy: Callable[[Tensor], Tensor]) -> Tensor:
            noise_BCHW = torch.cat([torch.zeros_like(self.begin_ACHW), *fresh()]).to(mean_BCHW)
            drawn = mean_BCHW[:given] + self.added_TACHW[step].to(mean_BCHW.device)
            return torch.cat([drawn, noisy(noise_BCHW)[given:]])

        return Stepped.like(scheduler, added), torch.cat([self.begin_ACHW, *fresh()])


@torch.no_grad()
def inverted(
    pipe: Any,
    pictures: Sequence[Image.Image],
    prompts: Sequence[str],
    seeds: Sequence[int],
    sampling: Sampling,
    guidance: float,
    tell: Tell = silent,
) -> Inverted:
    """Find what draws the pictures again, by sampling along their own noisy versions.

    Args:
        pipe: a borrowed one; it has another scheduler afterwards.
        pictures: of any size; the largest part in the middle with the wanted ratio is taken.
        prompts: what is on each.
        seeds: of each one's noise.
        sampling: steps and size that pictures will be drawn with.
        guidance: by the prompt; the paper has 2.0.
        tell: of progress.

    Raises:
        ValueError: the model predicts neither noise nor velocity.
    """
    # Refuses a model that predicts anything else.
    Noise(pipe)
    height, width = pixels_of(pipe, sampling.height, sampling.width)
    clean_ACHW = encoded_pictures(pipe, pictures, height, width)[0]
    noises = [torch.Generator().manual_seed(seed) for seed in seeds]
    kept: list[Tensor] = []

    def noisy_at(step: int) -> Tensor:
        if step == len(scheduler.timesteps):
            return clean_ACHW
        noise = [torch.randn(clean_ACHW.shape[1:], generator=each) for each in noises]
        at: Any = scheduler.timesteps[step : step + 1]
        return scheduler.add_noise(clean_ACHW, torch.stack(noise).to(clean_ACHW), at)

    def added(step: int, mean_ACHW: Tensor, _noisy: Callable[[Tensor], Tensor]) -> Tensor:
        tell(step + 1, sampling.steps, "inverting the pictures")
        kept.append((noisy_at(step + 1) - mean_ACHW).cpu())
        # As it will be when it is drawn again, rounding included.
        return mean_ACHW + kept[-1].to(mean_ACHW.device)

    scheduler = pipe.scheduler = Stepped.like(pipe.scheduler, added)
    scheduler.set_timesteps(sampling.steps)
    begin_ACHW = noisy_at(0)
    changed = replace(sampling, guidance=guidance, output="latent")
    pipe(**changed.arguments(prompts, seeds), latents=begin_ACHW.to(pipe.unet.dtype))
    return Inverted(begin_ACHW.cpu(), torch.stack(kept), guidance)

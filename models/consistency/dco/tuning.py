# SPDX-License-Identifier: Apache-2.0
"""Trains a subject's low-rank changes and its word's row, with DCO's loss or by denoising alone.

Shapes: B samples, C latent channels, H, W latent cells.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from models.consistency.borrowed import checkpointed
from models.consistency.dco.adapters import without
from models.consistency.dco.captions import Said
from models.consistency.dco.loss import dco_loss, errors, min_snr_weights
from models.consistency.dco.options import Options
from models.consistency.dco.rows import renormalised
from models.consistency.finite import checked_loss
from models.consistency.latents import Noise
from models.consistency.method import Tell
from models.consistency.text import Encoders, Texts

ADAPTER = "subjectforge"
"""Name of the adapter that is trained."""


class Latents(NamedTuple):
    """Of all pictures, float32 (N, C, H, W)."""

    mean: Tensor
    std: Tensor


class Draw(NamedTuple):
    """What chance decides of a batch."""

    picture_B: Tensor
    time_B: Tensor
    posterior_BCHW: Tensor
    noise_BCHW: Tensor


@dataclass(frozen=True)
class Tuning:
    """Everything that a step needs."""

    pipe: Any
    options: Options
    noise: Noise
    latents: Latents
    said: Said
    base: Texts
    """Of the captions with the noun; without gradient."""
    tuned: Texts
    """The same with the subject's word; where a row is learnt they are encoded anew in each step."""
    rows: Mapping[str, nn.Parameter]
    lora: Mapping[str, nn.Parameter]
    prior: tuple[Latents, Texts] | None = None
    """Pictures of each noun by the untuned model, one noun after another, and a text for each noun."""

    @property
    def trained(self) -> list[dict[str, Any]]:
        """Groups for an optimiser."""
        groups = [
            {"params": [*self.lora.values()], "lr": self.options.lr},
            {"params": [*self.rows.values()], "lr": self.options.token_lr},
        ]
        return [group for group in groups if group["params"]]

    def drawn(self, generator: torch.Generator, latents: Latents) -> Draw:
        """Of some pictures."""
        count, device = self.options.batch, latents.mean.device
        picture_B = torch.randint(len(latents.mean), (count,), generator=generator)
        time_B = torch.randint(self.noise.steps, (count,), generator=generator)
        posterior, noise = torch.randn(2, count, *latents.mean.shape[1:], generator=generator)
        if self.options.offset_noise:
            offset = torch.randn(count, latents.mean.shape[1], 1, 1, generator=generator)
            noise = noise + self.options.offset_noise * offset
        return Draw(*(each.to(device) for each in (picture_B, time_B, posterior, noise)))

    def errors(self, draw: Draw, texts: Texts, latents: Latents) -> Tensor:
        """Of the UNet as it is now, (B,)."""
        clean = latents.mean[draw.picture_B] + latents.std[draw.picture_B] * draw.posterior_BCHW
        unet = self.pipe.unet
        noisy = self.noise.added(clean, draw.noise_BCHW, draw.time_B).to(unet.dtype)
        wanted = self.noise.target(clean, draw.noise_BCHW, draw.time_B)
        return errors(texts.predicted(unet, noisy, draw.time_B), wanted)

    def loss(self, draw: Draw) -> Tensor:
        """Of a batch, a scalar."""
        options, places = self.options, draw.picture_B.tolist()
        untuned_B = None
        if options.beta is not None:
            with torch.no_grad(), without(self.pipe.unet, {ADAPTER: 1.0}), self._mixed():
                untuned_B = self.errors(draw, self.base.rows(places), self.latents)
        with self._mixed():
            tuned_B = self.errors(draw, self._tuned_texts(places), self.latents)
        weight_B = None
        if options.min_snr is not None:
            weight_B = min_snr_weights(self.noise.kept(draw.time_B), options.min_snr, self.noise.velocity)
        if untuned_B is None or options.beta is None:
            return (tuned_B if weight_B is None else weight_B * tuned_B).mean()
        return dco_loss(tuned_B, untuned_B, options.beta, weight_B, options.reduction)

    def _tuned_texts(self, places: Sequence[int]) -> Texts:
        texts = self.tuned.rows(places)
        if not self.rows:
            return texts
        states_BLD, pooled_BE = Encoders(self.pipe, copies=False)(
            [self.said.tuned[place] for place in places]
        )
        added = dict(texts.added)
        if pooled_BE is not None:
            added["text_embeds"] = pooled_BE
        return Texts(states_BLD, added)

    def prior_loss(self, generator: torch.Generator) -> Tensor:
        """Of denoising what the untuned model draws."""
        assert self.prior is not None
        latents, texts = self.prior
        draw = self.drawn(generator, latents)
        nouns = (draw.picture_B // self.options.prior_pictures).tolist()
        with self._mixed():
            return self.errors(draw, texts.rows(nouns), latents).mean()

    def _mixed(self) -> AbstractContextManager[Any]:
        """Low-rank weights are float32, whatever the model's are."""
        dtype = self.pipe.unet.dtype
        if dtype == torch.float32:
            return nullcontext()
        return torch.autocast(self.pipe.unet.device.type, dtype)


def tuned(tuning: Tuning, tell: Tell, look: Callable[[int], None] | None = None) -> list[float]:
    """Train in place; returns the losses.

    Args:
        tuning: what is trained, on what.
        tell: of progress.
        look: is called after each step.
    """
    options, generator = tuning.options, torch.Generator().manual_seed(tuning.options.seed)
    groups, record = tuning.trained, []
    parameters = [parameter for group in groups for parameter in group["params"]]
    for parameter in parameters:
        parameter.requires_grad_()
    norms = {name: row.detach().norm(dim=-1, keepdim=True) for name, row in tuning.rows.items()}
    optimiser = torch.optim.AdamW(groups, weight_decay=options.weight_decay)
    with checkpointed(tuning.pipe.unet, options.gradient_checkpointing), torch.enable_grad():
        for number in range(options.steps):
            loss = tuning.loss(tuning.drawn(generator, tuning.latents))
            if tuning.prior is not None:
                loss = loss + options.prior_weight * tuning.prior_loss(generator)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, options.clip)
            optimiser.step()
            renormalised(tuning.rows, norms)
            record.append(checked_loss(loss.item(), number + 1))
            tell(number + 1, options.steps, f"tuning, loss {record[-1]:.4f}")
            if look is not None:
                look(number + 1)
    return record

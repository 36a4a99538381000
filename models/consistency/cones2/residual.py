# SPDX-License-Identifier: Apache-2.0
"""Learns a subject as what a fine-tuned text encoder makes of its word, less what the untouched one does.

Shapes: B pictures, L tokens, D width of a state, M tokens of the word, C latent channels, H, W cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from models.consistency.borrowed import checkpointed, frozen
from models.consistency.cones2.options import Options
from models.consistency.finite import checked_loss
from models.consistency.latents import Noise, encoded_pictures, random_crops
from models.consistency.method import Tell
from models.consistency.text import Encoders, Texts, texts_of
from models.consistency.words import token_spans, whole_words

if TYPE_CHECKING:
    from PIL import Image


def preservation(states_BLD: Tensor, before_1LD: Tensor, span: Sequence[int]) -> tuple[Tensor, Tensor]:
    """How far the begin token's state and those after the subject have drifted; norms, mean over the batch.

    The subject's own states, and what is before them, are free.

    Args:
        states_BLD: of the encoder that is trained.
        before_1LD: of the untouched one.
        span: the subject's tokens.
    """
    drift_BLD = before_1LD - states_BLD
    begin_B = drift_BLD[:, 0].norm(dim=-1)
    rest_B = drift_BLD[:, span[-1] + 1 :].flatten(1).norm(dim=-1)
    return begin_B.mean(), rest_B.mean()


@dataclass(frozen=True)
class Training:
    """Everything that a step needs."""

    pipe: Any
    encoders: Encoders
    word: str
    span: Sequence[int]
    before_1LD: Tensor
    texts: Texts
    """Of the word alone, for what goes beside its states."""
    noise: Noise

    def loss(
        self, latents_BCHW: Tensor, noise_BCHW: Tensor, time_B: Tensor, options: Options
    ) -> tuple[Tensor, Tensor]:
        """In all, and of denoising alone."""
        states_BLD, _ = self.encoders([self.word] * len(latents_BCHW))
        texts = self.texts.rows([0] * len(latents_BCHW)).with_states(states_BLD)
        noisy = self.noise.added(latents_BCHW, noise_BCHW, time_B).to(self.pipe.unet.dtype)
        predicted = texts.predicted(self.pipe.unet, noisy, time_B)
        wanted = self.noise.target(latents_BCHW, noise_BCHW, time_B)
        denoising = F.mse_loss(predicted.float(), wanted.float())
        begin, rest = preservation(states_BLD, self.before_1LD, self.span)
        return denoising + options.begin_weight * begin + options.rest_weight * rest, denoising


def prepared(pipe: Any, word: str, height: int, width: int) -> Training:
    """Copies of the text encoders, to be trained on the word alone."""
    encoders = Encoders(pipe, copies=True).train()
    with torch.no_grad():
        texts = texts_of(pipe, [word], height, width)
        before_1LD = Encoders(pipe, copies=False)([word])[0].float()
    span = token_spans(pipe.tokenizer, word, word)[0]
    return Training(pipe, encoders, word, span, before_1LD, texts, Noise(pipe))


def trained(
    training: Training, pictures: Sequence[Image.Image], height: int, width: int, options: Options, tell: Tell
) -> list[float]:
    """Train the copies in place; returns the denoising losses."""
    pipe, device = training.pipe, training.before_1LD.device
    generator = torch.Generator().manual_seed(options.seed)
    parameters = [*training.encoders.parameters()]
    for parameter in parameters:
        parameter.requires_grad_()
    optimiser = torch.optim.AdamW(parameters, lr=options.lr, weight_decay=options.weight_decay)
    record = []
    with (
        frozen(pipe.unet, pipe.vae),
        checkpointed(pipe.unet, options.gradient_checkpointing),
        torch.enable_grad(),
    ):
        for number in range(options.steps):
            chosen = torch.randint(len(pictures), (options.batch,), generator=generator).tolist()
            crops = random_crops([pictures[place] for place in chosen], height, width, generator)
            mean, std = encoded_pictures(pipe, crops, height, width)
            posterior, noise = torch.randn(2, *mean.shape, generator=generator).to(device)
            time_B = torch.randint(training.noise.steps, (options.batch,), generator=generator).to(device)
            loss, denoising = training.loss(mean + std * posterior, noise, time_B, options)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, options.clip)
            optimiser.step()
            record.append(checked_loss(denoising.item(), number + 1))
            tell(number + 1, options.steps, f"tuning, loss {record[-1]:.4f}")
    return record


@torch.no_grad()
def residual_of(pipe: Any, encoders: Encoders, word: str, captions: Sequence[str]) -> Tensor:
    """The mean over captions of what the word's states gained, float32 (M, D)."""
    texts = [caption.replace("{}", word) for caption in captions]
    tuned_BLD, plain_BLD = (each(texts)[0].float() for each in (encoders, Encoders(pipe, copies=False)))
    change_BLD = tuned_BLD - plain_BLD
    # A caption may have the word in it by itself, before or after its place.
    places = [len(whole_words(caption.partition("{}")[0], word)) for caption in captions]
    found = [token_spans(pipe.tokenizer, text, word) for text in texts]
    spans = [spans[place] for spans, place in zip(found, places, strict=True)]
    return torch.stack([change_BLD[row, span] for row, span in enumerate(spans)]).mean(0)

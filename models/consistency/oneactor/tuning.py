# SPDX-License-Identifier: Apache-2.0
"""Trains the projector: the target's offset draws the target, others' offsets draw the others.

Shapes: B rows of a step: the target, K auxiliaries, and the target again with their average offset; T tokens
of the words, D width of a text's state, C latent channels, H, W latent cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from models.consistency.borrowed import checkpointed, frozen, seeded
from models.consistency.finite import checked_loss
from models.consistency.latents import Noise
from models.consistency.method import Tell
from models.consistency.offsets import Places, places_of, with_offsets
from models.consistency.oneactor.cluster import Cluster
from models.consistency.oneactor.options import Options
from models.consistency.oneactor.projector import Projector
from models.consistency.text import Texts, texts_of


class Step(NamedTuple):
    """What chance decides in a step; pictures are numbered with the target as 0."""

    picture_B: Tensor
    deepest_B: Tensor
    """Whose states the projector gets: for the last row those of any other row."""
    mirrored_B: Tensor
    sentence_B: Tensor
    time_B: Tensor
    posterior_BCHW: Tensor
    noise_BCHW: Tensor


def thrown(
    generator: torch.Generator, options: Options, cluster: Cluster, sentences: int, times: int
) -> Step:
    """A step's choices; the last row has the first one's picture, sentence and noise, not its time."""
    rows = options.rows
    others = torch.randint(1, len(cluster.pictures), (rows,), generator=generator)
    picture_B = torch.cat([torch.zeros(1, dtype=torch.int64), others, torch.zeros(1, dtype=torch.int64)])
    count = len(picture_B)
    if options.average_picture == "random":
        picture_B[-1] = torch.randint(0, len(cluster.pictures), (1,), generator=generator)
    deepest_B = picture_B.clone()
    deepest_B[-1] = picture_B[torch.randint(0, count - 1, (1,), generator=generator)]
    mirrored_B = (torch.rand(count, generator=generator) < 0.5).long() * options.flip
    sentence_B = torch.randint(0, sentences, (count,), generator=generator)
    mirrored_B[-1], sentence_B[-1] = mirrored_B[0], sentence_B[0]
    time_B = torch.randint(0, times, (count,), generator=generator)
    posterior, noise = torch.randn(2, count, *cluster.mean_2NCHW.shape[2:], generator=generator)
    noise[-1] = noise[0]
    return Step(picture_B, deepest_B, mirrored_B, sentence_B, time_B, posterior, noise)


class Losses(NamedTuple):
    """Of a step; equations 10 to 14."""

    target: Tensor
    auxiliary: Tensor
    average: Tensor

    def total(self, options: Options) -> Tensor:
        """Weighted."""
        weighted = options.auxiliary_weight * self.auxiliary + options.average_weight * self.average
        return self.target + weighted


@dataclass(frozen=True)
class Tuning:
    """Everything that a step needs."""

    pipe: Any
    projector: Projector
    cluster: Cluster
    texts: Texts
    """Of all sentences."""
    places: Places
    words_TD: Tensor
    """The words' own states in the first sentence."""
    noise: Noise

    def losses(self, step: Step) -> Losses:
        """Forward."""
        device = self.texts.states_BLD.device
        # Before it goes where reading it would wait.
        sentences = step.sentence_B.tolist()
        step = Step(*(each.to(device) for each in step))
        cluster = self.cluster
        mean, std = (
            each[step.mirrored_B, step.picture_B] for each in (cluster.mean_2NCHW, cluster.std_2NCHW)
        )
        latents_BCHW = mean + std * step.posterior_BCHW
        offsets_BTD = self.projector(cluster.deepest_NChw[step.deepest_B], self.words_TD)
        offsets_BTD = with_average(offsets_BTD)
        texts = self.texts.rows(sentences)
        states_BLD = with_offsets(texts.states_BLD.float(), self.places.of(sentences), offsets_BTD)
        texts = texts.with_states(states_BLD)
        noisy = self.noise.added(latents_BCHW, step.noise_BCHW, step.time_B)
        predicted = texts.predicted(self.pipe.unet, noisy.to(self.pipe.unet.dtype), step.time_B)
        wanted = self.noise.target(latents_BCHW, step.noise_BCHW, step.time_B)
        error_B = F.mse_loss(predicted.float(), wanted.float(), reduction="none").mean((1, 2, 3))
        return Losses(error_B[0], error_B[1:-1].mean(), error_B[-1])


def with_average(offsets_BTD: Tensor) -> Tensor:
    """The last row's offset is the mean of the auxiliaries' (equation 12)."""
    return torch.cat([offsets_BTD[:-1], offsets_BTD[1:-1].mean(0, keepdim=True)])


def prepared(
    pipe: Any, cluster: Cluster, words: Sequence[str], sentences: Sequence[str], options: Options
) -> Tuning:
    """A projector that fits the model, and the sentences' states."""
    height, width = (side * pipe.vae_scale_factor for side in cluster.mean_2NCHW.shape[-2:])
    with torch.no_grad():
        texts = texts_of(pipe, sentences, height, width)
    places = places_of(pipe, sentences, words)
    first = (places.row == 0).nonzero()[:, 0]
    words_TD = texts.states_BLD[0, places.token[first].to(texts.states_BLD.device)].float()
    channels, rows, columns = cluster.deepest_NChw.shape[1:]
    wide = texts.states_BLD.shape[-1]
    with seeded(options.seed):
        projector = Projector(channels, rows, columns, wide, len(words_TD), options.head)
    projector = projector.to(words_TD.device)
    return Tuning(pipe, projector, cluster, texts, places, words_TD, Noise(pipe))


def tuned(tuning: Tuning, options: Options, tell: Tell) -> list[float]:
    """Train the projector in place; returns the losses."""
    pipe, generator = tuning.pipe, torch.Generator().manual_seed(options.seed)
    optimiser = torch.optim.AdamW(
        tuning.projector.parameters(), lr=options.lr, weight_decay=options.weight_decay
    )
    sentences, record = len(tuning.texts.states_BLD), []
    tuning.projector.train()
    with frozen(pipe.unet), checkpointed(pipe.unet, options.gradient_checkpointing), torch.enable_grad():
        for number in range(options.steps):
            step = thrown(generator, options, tuning.cluster, sentences, tuning.noise.steps)
            loss = tuning.losses(step).total(options)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            record.append(checked_loss(loss.item(), number + 1))
            tell(number + 1, options.steps, f"tuning, loss {record[-1]:.4f}")
    return record


@torch.no_grad()
def final_offsets(tuning: Tuning, options: Options) -> tuple[Tensor, Tensor]:
    """The target's offset and the mean of the others', (T, D) each (equations 15 to 17).

    With statistics of the batch, that of all pictures with the target at its end.
    """
    tuning.projector.train(options.statistics == "batch")
    deepest = tuning.cluster.deepest_NChw
    offsets_NTD = tuning.projector(torch.cat([deepest[1:], deepest[:1]]), tuning.words_TD)
    return offsets_NTD[-1], offsets_NTD[:-1].mean(0)

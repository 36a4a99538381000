# SPDX-License-Identifier: Apache-2.0
"""From a configuration to everything that a training is made of, on this process's device."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from models.backends.protocols import MissingWeights
from models.backends.weights import located
from models.subject_diffusion.base import Base, Tower, assembled, load_base, load_tower
from models.subject_diffusion.features import FrozenFeatures
from models.subject_diffusion.model import SubjectDiffusion
from models.subject_diffusion.objective import Objective
from models.subject_diffusion.template import BadPrompt
from models.subject_diffusion.trained_alone import put_trained
from pipeline.errors import UserError
from pipeline.train.batch import Collate
from pipeline.train.checkpoint import Training
from pipeline.train.config import TrainConfig
from pipeline.train.example import Frame
from pipeline.train.feature_cache import FeatureCache
from pipeline.train.feed import Share
from pipeline.train.identity import feature_identity
from pipeline.train.optimising import Optimising
from pipeline.train.parallel import wrapped
from pipeline.train.samples import Reading, Samples
from pipeline.train.shards import DatasetShards, OfficialShards, Shards
from pipeline.train.step import Asking, See, computed
from pipeline.train.world import World
from stages.shard.place import place

_VALIDATION = 1_000_003
"""What is added to the seed."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A training before its first step."""

    model: SubjectDiffusion
    base: Base
    tower: Tower
    training: Training
    """The objective as it is wrapped for several processes, and its optimiser."""
    asking: Asking
    collate: Collate
    samples: Samples
    validation: Samples


def prepare(config: TrainConfig, shards: Shards, world: World) -> Prepared:
    """Load and build everything.

    Args:
        config: of the training.
        shards: what is trained on.
        world: the processes.

    Raises:
        UserError: weights or data are missing, or do not fit.
    """
    torch.set_num_threads(config.speed.threads)
    try:
        share_of(config, world).check()
    except ValueError as error:
        raise UserError(f"{error}; change batch or speed.micro_batch") from error
    validation = config.watching.validation_split
    others = open_shards(config, validation) if validation else shards
    model, features, base, tower = load_models(config)
    _begin(model, config.begin)
    halved = mixed(config, world.device) and world.device.type == "cuda"
    features.to(world.device, torch.bfloat16 if halved else torch.float32)
    see = seeing(config, shards, "bf16" if halved else "fp32")
    objective = build_objective(config, model, base).to(world.device)
    # FSDP2 shares out contiguous parameters only.
    shared = world.size > 1 and config.speed.parallel == "fsdp"
    for part in (features.vae,) if shared else (features.vae, model.unet):
        part.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    if config.speed.gradient_checkpointing:
        model.unet.enable_gradient_checkpointing()
        model.text_encoder.activation_checkpointing_enable()
    if config.speed.compile:
        model.unet.compile()
    module = wrapped(objective, config.speed.parallel, world)
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    optimising = Optimising(trained, config.optimiser, config.max_steps)
    reading = reading_of(config, model, base)
    return Prepared(
        model=model,
        base=base,
        tower=tower,
        training=Training(module, optimising),
        asking=Asking(features, config.model, int(base.scheduler.config.num_train_timesteps), see),
        collate=Collate(model.template),
        samples=Samples(shards, reading),
        # Another seed: other noise, other crops, another order.
        validation=Samples(others, replace(reading, seed=config.seed + _VALIDATION, fixed=False)),
    )


def _begin(model: SubjectDiffusion, trained: str | None) -> None:
    if trained is None:
        return
    try:
        put_trained(model, Path(located(trained)))
    except MissingWeights as error:
        raise UserError(str(error)) from error


def seeing(config: TrainConfig, shards: Shards, precision: str) -> See:
    """How frozen features come about: from a cache where the configuration names one.

    Raises:
        UserError: the cache cannot be used.
    """
    if config.speed.feature_cache is None:
        return computed
    folder = Path(config.speed.feature_cache).expanduser()
    return FeatureCache(folder, feature_identity(config, shards.sizes, precision))


def share_of(config: TrainConfig, world: World) -> Share:
    """Which part of a step's batch is this process's."""
    return Share(config.batch, world.rank, world.size, config.speed.micro_batch)


def mixed(config: TrainConfig, device: torch.device) -> bool:
    """Whether a training computes in bfloat16."""
    precision = config.speed.precision
    return precision == "bf16" or (precision == "auto" and device.type == "cuda")


def open_shards(config: TrainConfig, split: str) -> Shards:
    """The dataset that is trained on.

    Raises:
        UserError: there is none, or it is damaged.
    """
    try:
        root = place(config.dataset)
    except ValueError as error:
        raise UserError(f"dataset: {error}") from error
    return OfficialShards(root) if config.layout == "official" else DatasetShards(root, split)


def load_models(config: TrainConfig) -> tuple[SubjectDiffusion, FrozenFeatures, Base, Tower]:
    """What is trained, what is frozen, and what they were made of, on the CPU in float32.

    Raises:
        UserError: weights are missing or do not fit.
    """
    try:
        base = load_base(config.base, config.base_revision)
        tower = load_tower(config.subject_encoder, config.subject_encoder_revision)
        torch.manual_seed(config.seed)
        return *assembled(base, tower, config.model), base, tower
    except (MissingWeights, BadPrompt, ValueError) as error:
        raise UserError(str(error)) from error


def build_objective(config: TrainConfig, model: SubjectDiffusion, base: Base) -> Objective:
    """The losses, with the base's own schedule of noise.

    Raises:
        UserError: the base predicts what cannot be trained, or has no attention to hold to masks.
    """
    from diffusers import DDPMScheduler

    scheduler: Any = DDPMScheduler.from_config(base.scheduler.config)
    try:
        return Objective(model, scheduler, config.optimiser.min_snr)
    except ValueError as error:
        raise UserError(str(error)) from error


def reading_of(config: TrainConfig, model: SubjectDiffusion, base: Base) -> Reading:
    """How samples are made.

    Raises:
        UserError: pictures of this size have no latents.
    """
    cells, rest = divmod(config.pixels, base.vae_scale)
    if rest:
        raise UserError(f"pixels is {config.pixels}; the base needs a multiple of {base.vae_scale}")
    frame = Frame(config.pixels, model.reference_pixels, config.model.reference_background)
    return Reading(
        rules=config.rules,
        frame=frame,
        template=model.template,
        latent_CHW=(base.latent_channels, cells, cells),
        seed=config.seed,
        block=config.block,
        fixed=config.fixed_pictures,
        bare_captions=config.bare_captions,
    )

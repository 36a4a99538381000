# SPDX-License-Identifier: Apache-2.0
"""A training's configuration: YAML on top of the defaults in code, and `--set` on top of that."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Interval

from models.subject_diffusion.options import USUAL_GUIDANCE, Options
from pipeline.config import apply_override
from pipeline.errors import UserError
from pipeline.fields import build
from pipeline.train.rules import Rules
from pipeline.yaml_file import read_yaml
from stages.shard.place import Place

Positive = Annotated[int, Ge(1)]
Every = Annotated[int, Ge(0)]
"""Steps between two events; 0 for never."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Optimiser:
    """AdamW and its learning rate; the official numbers (spec section 3), and clipping, which they lack."""

    lr: Annotated[float, Gt(0)] = 3e-5
    schedule: Literal["constant", "cosine"] = "constant"
    """After the warm-up; `cosine` ends at 1 % at `max_steps`."""
    warmup: Every = 1000
    betas: tuple[float, float] = (0.9, 0.999)
    eps: Annotated[float, Gt(0)] = 1e-8
    weight_decay: Annotated[float, Ge(0)] = 0.0
    clip: Annotated[float, Gt(0)] | None = 1.0
    """Largest norm of the gradient."""
    ema: Annotated[float, Interval(gt=0, lt=1)] | None = 0.9999
    """Decay of the averaged weights, which are what is exported; None for none."""
    min_snr: Annotated[float, Gt(0)] | None = None
    """Cap on a timestep's weight (Hang et al. 2023); None for equal weights."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Speed:
    """How fast and where, without a say in what is learnt but for the last bits."""

    micro_batch: Positive | None = None
    """Samples that a process computes at once; the rest of its share is accumulated."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """Of the computation; weights are always float32. `auto` is bf16 on a GPU."""
    gradient_checkpointing: bool = False
    compile: bool = False
    parallel: Literal["ddp", "fsdp"] = "ddp"
    """How several processes share the work: every one with all weights, or each with a part."""
    workers: Every = 2
    """Processes that make batches ahead, for each process that trains."""
    threads: Positive = 1
    """CPU threads of a process."""
    feature_cache: str | None = None
    """Folder for what frozen models made of each row, for the next epoch; needs `fixed_pictures`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Watching:
    """What is looked at on the way."""

    validate_every: Every = 1000
    validation_samples: Positive = 64
    """Always the same ones, with the same noise at the same timesteps."""
    validation_split: str | None = None
    """Split to take them from; the one that is trained on if not given."""
    sample_every: Every = 1000
    """Steps between two grids of generated pictures."""
    sample_count: Positive = 8
    sample_steps: Positive = 30
    guidance: tuple[Annotated[float, Ge(1)], Annotated[float, Ge(1)]] = USUAL_GUIDANCE
    """By the text and by the references: of the grids, and the usual one of the export."""
    keep_checkpoints: Positive = 3
    """Older ones are removed."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """All that decides what is learnt, and how it is watched."""

    dataset: str
    """Folder of a dataset that `build` made, or of official tars; a path or a URI."""
    layout: Literal["subjectforge", "official"] = "subjectforge"
    split: str = "train"
    base: str = "stabilityai/stable-diffusion-2-base"
    """A Stable Diffusion 1.x or 2.x in diffusers' layout."""
    base_revision: str | None = None
    subject_encoder: str = "laion/CLIP-ViT-H-14-laion2B-s32B-b79K"
    subject_encoder_revision: str | None = None
    begin: str | None = None
    """Folder of an earlier training's export, whose `trained.safetensors` is begun with."""
    pixels: Annotated[int, Ge(8)] = 512
    """Side of the pictures that are learnt."""
    batch: Positive = 256
    """Samples of a step, all processes together."""
    max_steps: Positive = 100_000
    checkpoint_every: Positive = 1000
    seed: Every = 0
    block: Positive = 8
    """Shards whose rows are mixed."""
    fixed_pictures: bool = False
    """Whether a row has the same crop and the same references in every epoch, not new ones."""
    bare_captions: Annotated[float, Interval(ge=0, le=1)] = 0.0
    """Share of samples whose captions do not say how subjects look ("a cat" for "a red cat"): what words tell
    is not learnt from references. Official tars do not record what that needs, and their captions stay."""
    model: Options = dataclasses.field(default_factory=Options)
    rules: Rules = dataclasses.field(default_factory=Rules)
    """Which of a sample's entities are subjects."""
    optimiser: Optimiser = Optimiser()
    speed: Speed = Speed()
    watching: Watching = Watching()

    def absolute(self) -> TrainConfig:
        """The same for a process that runs in another folder."""
        local = {
            name: str(Path(value).expanduser().absolute())
            for name, value in (
                ("base", self.base),
                ("subject_encoder", self.subject_encoder),
                ("begin", self.begin),
            )
            if value is not None and value.startswith((".", "/", "~"))
        }
        dataset = self.dataset if "://" in self.dataset else str(Path(self.dataset).absolute())
        cache = self.speed.feature_cache
        kept = None if cache is None else str(Path(cache).expanduser().absolute())
        speed = dataclasses.replace(self.speed, feature_cache=kept)
        return dataclasses.replace(self, dataset=dataset, speed=speed, **local)

    def identity(self) -> dict[str, Any]:
        """What decides the weights after a step, as plain data."""
        values = dataclasses.asdict(self)
        when = ["speed", "watching", "checkpoint_every", "dataset"]
        if self.optimiser.schedule == "constant":
            when.append("max_steps")
        return {name: value for name, value in values.items() if name not in when}


def load_train_config(path: Place, overrides: Iterable[str] = ()) -> TrainConfig:
    """Read a YAML file, apply `key.path=value` overrides and check everything.

    Raises:
        UserError: missing file, bad YAML, unknown key, wrong type or value.
    """
    values = read_yaml(path)
    for override in overrides:
        apply_override(values, override)
    return train_config(values, path.name)


def train_config(values: Mapping[str, Any], name: str) -> TrainConfig:
    """A configuration of plain data.

    Raises:
        UserError: unknown key, wrong type or value.
    """
    if values.get("dataset") is None:
        raise UserError(f"{name}: dataset is missing; give the folder of a dataset that `build` made")
    config = build(TrainConfig, values, name)
    if config.model.max_subjects < config.rules.max_subjects:
        raise UserError(
            f"{name}: rules.max_subjects is {config.rules.max_subjects}, and the model takes "
            f"{config.model.max_subjects}; lower it, or raise model.max_subjects"
        )
    if config.speed.feature_cache and not config.fixed_pictures:
        raise UserError(
            f"{name}: speed.feature_cache keeps features of pictures that change from epoch to epoch; "
            "add fixed_pictures: true, or take it away"
        )
    return config

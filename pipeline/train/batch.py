# SPDX-License-Identifier: Apache-2.0
"""Samples side by side, as small as they travel: pictures in bytes, padded to the same number of subjects.

Shapes: B samples, K subjects, S x S pixels of a picture, R x R of a reference, C = 3 colours, or latent
channels, H, W latent cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.subject_diffusion.template import Encoded, Template
from pipeline.train.samples import Sample


@dataclass(frozen=True, slots=True)
class Batch:
    """What a training step is given."""

    image_BSSC: Tensor
    """uint8."""
    prompts: Encoded
    box_BK4: Tensor
    """float32, xyxy in [0, 1]."""
    mask_BKSS: Tensor
    """bool."""
    reference_BKRRC: Tensor
    """uint8."""
    noise_BCHW: Tensor
    posterior_BCHW: Tensor
    time_B: Tensor
    """float64, in [0, 1)."""
    drop_B: Tensor
    """float64, in [0, 1)."""
    captions: tuple[str, ...]
    skipped: tuple[str, ...]
    """Why samples were replaced, for all of the batch together."""
    rows: tuple[int, ...] = ()
    """Numbers of the samples in the dataset where a number stands for a picture, see `Reading.fixed`."""

    def to(self, device: torch.device) -> Batch:
        """The same on a device; copies from pinned memory do not wait."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> Batch:
        """The same in memory that a GPU can copy from by itself."""
        return self._each(lambda tensor: tensor.pin_memory())

    def _each(self, change: Any) -> Batch:
        return replace(
            self, **_changed(self, change), prompts=replace(self.prompts, **_changed(self.prompts, change))
        )


def _changed(holder: Any, change: Any) -> dict[str, Tensor]:
    values = {field.name: getattr(holder, field.name) for field in fields(holder)}
    return {name: change(value) for name, value in values.items() if isinstance(value, Tensor)}


@dataclass(frozen=True, slots=True)
class Collate:
    """Makes a batch of samples; sent to loader workers."""

    template: Template

    def __call__(self, samples: Sequence[Sample]) -> Batch:
        """Of any number of samples, in order."""
        slots = self.template.options.max_subjects
        examples, dice = [sample.example for sample in samples], [sample.dice for sample in samples]
        captions = tuple(example.caption for example in examples)
        return Batch(
            image_BSSC=_stacked([example.image_SSC for example in examples]),
            prompts=self.template.encode(captions, [example.labels for example in examples]),
            box_BK4=_stacked([_padded(example.box_K4, slots) for example in examples]),
            mask_BKSS=_stacked([_padded(example.mask_KSS, slots) for example in examples]),
            reference_BKRRC=_stacked([_padded(example.reference_KRRC, slots) for example in examples]),
            noise_BCHW=_stacked([each.noise_CHW for each in dice]),
            posterior_BCHW=_stacked([each.posterior_CHW for each in dice]),
            time_B=torch.tensor([each.time for each in dice], dtype=torch.float64),
            drop_B=torch.tensor([each.drop for each in dice], dtype=torch.float64),
            captions=captions,
            skipped=tuple(reason for sample in samples for reason in sample.skipped),
            rows=tuple(sample.row for sample in samples if sample.row is not None),
        )


def _padded(values_K: np.ndarray, slots: int) -> np.ndarray:
    missing = slots - len(values_K)
    return np.concatenate([values_K, np.zeros((missing, *values_K.shape[1:]), values_K.dtype)])


def _stacked(arrays: Sequence[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.stack(arrays))

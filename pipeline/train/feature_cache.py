# SPDX-License-Identifier: Apache-2.0
"""Frozen features that were computed once, kept on a disk of this machine in the precision they came in.

Shapes: B samples, S bytes of a record.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.subject_diffusion.features import FrozenFeatures, Seen
from pipeline.errors import UserError
from pipeline.train.batch import Batch
from pipeline.train.row_file import RowFile
from pipeline.train.step import computed


class FeatureCache:
    """Gives a batch's features: of rows that have been seen before from the disk."""

    def __init__(self, folder: Path, identity: Mapping[str, Any]) -> None:
        """
        Args:
            folder: of the cache, made if it is not there.
            identity: what decides the features; a cache of others is not used.

        Raises:
            UserError: the folder holds something else, or cannot be used.
        """
        self._folder, self._identity = folder, dict(identity)
        self._about, self._file = folder / "features.json", None
        self._shapes: list[list[int]] = []
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if self._about.exists():
                self._open(json.loads(self._about.read_text()))
            elif any(not path.name.startswith("features.") for path in folder.iterdir()):
                raise UserError(f"speed.feature_cache: {folder} holds something else; give another folder")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise self._unusable(error) from error

    def __call__(self, features: FrozenFeatures, batch: Batch) -> Seen:
        """See `step.See`; a batch whose pictures change from epoch to epoch is computed.

        Raises:
            UserError: the disk is full, or fails.
        """
        if not batch.rows:
            return computed(features, batch)
        try:
            records_BS = None if self._file is None else self._file.read(batch.rows)
            if records_BS is None:
                # The whole batch, so that a row's last bits do not depend on which others were there.
                records_BS = self._keep(batch, computed(features, batch))
        except OSError as error:
            raise self._unusable(error) from error
        return Seen(*(tensor.to(batch.image_BSSC.device) for tensor in self._tensors(records_BS)))

    def _unusable(self, error: Exception) -> UserError:
        return UserError(f"speed.feature_cache: cannot use {self._folder}: {error}; give another folder")

    def _open(self, about: Mapping[str, Any]) -> RowFile:
        if about["identity"] != self._identity:
            raise UserError(
                f"speed.feature_cache: {self._folder} is of other data or models; give another folder"
            )
        self._shapes, self._type = about["shapes"], getattr(torch, about["type"])
        self._sizes = [prod(shape) * self._type.itemsize for shape in self._shapes]
        self._file = RowFile(self._folder / "features.bin", sum(self._sizes))
        return self._file

    def _keep(self, batch: Batch, seen: Seen) -> np.ndarray:
        """Write what is not there yet; returns the batch's records, uint8 (B, S)."""
        tensors = [tensor.cpu().contiguous() for tensor in seen]
        file = self._file or self._begin(tensors)
        data_BS = torch.cat([tensor.flatten(1).view(torch.uint8) for tensor in tensors], dim=1).numpy()
        return file.keep(batch.rows, data_BS)

    def _begin(self, tensors: list[Tensor]) -> RowFile:
        shapes = [[*tensor.shape[1:]] for tensor in tensors]
        kind = str(tensors[0].dtype).removeprefix("torch.")
        about = {"identity": self._identity, "type": kind, "shapes": shapes}
        # Several processes may begin at once; they write the same.
        partial = self._about.with_suffix(f".{os.getpid()}")
        partial.write_text(json.dumps(about, indent=1) + "\n")
        partial.rename(self._about)
        return self._open(about)

    def _tensors(self, records_BS: np.ndarray) -> list[Tensor]:
        parts = torch.from_numpy(records_BS).split(self._sizes, dim=1)
        return [
            part.contiguous().view(self._type).unflatten(1, shape)
            for part, shape in zip(parts, self._shapes, strict=True)
        ]

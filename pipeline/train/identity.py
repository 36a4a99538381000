# SPDX-License-Identifier: Apache-2.0
"""What a training's data and its frozen features are known by."""

import json
from collections.abc import Sequence
from typing import Any

from pipeline.config import fingerprint
from pipeline.train.config import TrainConfig
from stages.shard.place import place

_FEATURES = (
    "layout",
    "split",
    "base",
    "base_revision",
    "subject_encoder",
    "subject_encoder_revision",
    "pixels",
    "seed",
    "block",
    "rules",
)


def data_identity(config: TrainConfig, sizes: Sequence[int]) -> dict[str, Any]:
    """What decides which sample comes when: how many there are, and in which build's shards."""
    manifest = place(config.dataset) / "_meta" / "manifest.json"
    built = json.loads(manifest.read_text())["fingerprint"] if manifest.exists() else None
    return {"samples": sum(sizes), "sizes": fingerprint({"sizes": [*sizes]}), "build": built}


def feature_identity(config: TrainConfig, sizes: Sequence[int], precision: str) -> dict[str, Any]:
    """What decides which pictures frozen models are shown, which models those are, and how they compute."""
    values = config.identity()
    found = {name: values[name] for name in _FEATURES}
    model = {name: values["model"][name] for name in ("max_subjects", "reference_background")}
    plain = {**found, **model, "data": data_identity(config, sizes), "precision": precision}
    return json.loads(json.dumps(plain))

# SPDX-License-Identifier: Apache-2.0
"""Checkpoints with the names and shapes that the authors' packages give them, and weights made by chance."""

import json
from pathlib import Path

import torch

NAMES = json.loads(Path(__file__).with_name("names.json").read_text())


def checkpoint(kind, folder, seed=0, **changed):
    generator = torch.Generator().manual_seed(seed)
    weights = {name: 0.05 * torch.randn(shape, generator=generator) for name, shape in NAMES[kind].items()}
    for name in weights:
        # All layers have the same box head.
        if "decoder.bbox_embed" in name or name.startswith("bbox_embed"):
            weights[name] = weights[
                f"bbox_embed.0.{name.partition('layers.')[1]}{name.partition('layers.')[2]}"
            ]
    weights |= changed
    path = folder / f"{kind}.pth"
    torch.save({name: each for name, each in weights.items() if each is not None}, path)
    return path

# SPDX-License-Identifier: Apache-2.0
"""The names and shapes that other tests take for the authors' are theirs."""

import json
from pathlib import Path

from models.backends.original.checkpoint import read_checkpoint

NAMES = Path(__file__).parents[1] / "models" / "backends" / "original" / "names.json"


def names_of(path) -> dict[str, list[int]]:
    return {name: [*tensor.shape] for name, tensor in read_checkpoint(path).items()}


def test_the_names_that_are_kept_are_those_of_the_packages(dino_path, sam_path):
    kept = json.loads(NAMES.read_text())
    assert kept == {"grounding_dino": names_of(dino_path), "sam": names_of(sam_path)}

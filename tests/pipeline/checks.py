# SPDX-License-Identifier: Apache-2.0
"""Checking datasets, and damaging them as a careful forger would."""

import hashlib
import json
from pathlib import Path

from pipeline.dataset.finish import finish_dataset
from pipeline.dataset.problem import Problem, Verification
from pipeline.dataset.verify import verify


def check(root: Path, deep: bool = False) -> Verification:
    return verify(root, deep=deep, workers=1)


def flip(path: Path, position: int, bit: int = 0) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1 << bit
    path.write_bytes(content)


def vouch(root: Path, number: int) -> None:
    """Make a shard's stats vouch for its files as they now are, as a careful forger would."""
    folder = root / "data" / "train"
    path = folder / f"{number:05d}_stats.json"
    stats = json.loads(path.read_text())
    for kind in stats["files"]:
        content = (folder / f"{number:05d}.{kind}").read_bytes()
        stats["files"][kind] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    path.write_text(json.dumps(stats, sort_keys=True, indent=1, ensure_ascii=False) + "\n")
    finish_dataset(root)


def about(found: Verification, *words: str) -> list[Problem]:
    return [problem for problem in found.problems if all(word in str(problem) for word in words)]

# SPDX-License-Identifier: Apache-2.0
"""Trains Subject-Diffusion whole and without each of its parts, with several seeds, and scores all of them.

COMMAND  python -m benchmarks.subject_diffusion.ablations CONFIG [--output runs/ablations] [--set K=V ...]

Given again it goes on where it stopped; what is trained already is only scored.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from benchmarks.subject_diffusion.__main__ import tables

VARIANTS = {
    "whole": (),
    "no adapter": ("model.adapter=false",),
    "no location map": ("model.location_control=false",),
    "no reference in the text": ("model.cls_fusion=false",),
    "no attention loss": ("model.attention_loss=none",),
    "no box coordinates": ("model.box_coordinates=null",),
}
"""Settings by name; rows a, e, c, g, f and d of the paper's table 3."""


def main() -> None:
    """Train what is not trained yet, then print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("--output", type=Path, default=Path("runs/ablations"))
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each variant")
    parser.add_argument("--share", type=float, default=1.0, help="of the cases, for a trial")
    parser.add_argument("--variants", nargs="*", choices=VARIANTS, default=[*VARIANTS])
    parser.add_argument("--set", action="append", default=[], metavar="K=V")
    parser.add_argument("--sheet", type=Path, help="where to save pictures of the first variant")
    arguments = parser.parse_args()
    exports: dict[str, list[str]] = {name: [] for name in arguments.variants}
    # Seed after seed, so that a sweep that is cut short has one of each.
    for seed in range(arguments.seeds):
        for name in arguments.variants:
            settings = (*arguments.set, *VARIANTS[name], f"seed={seed}")
            exports[name].append(_trained(arguments.config, arguments.output / _folder(name, seed), settings))
    sheet = tables(exports, arguments.seeds, arguments.share, {})
    if arguments.sheet:
        sheet.save(arguments.sheet)


def _folder(name: str, seed: int) -> str:
    return f"{name.replace(' ', '-')}-{seed}"


def _trained(config: Path, run: Path, settings: tuple[str, ...]) -> str:
    """The exported folder of a training, which is done now if it was not."""
    if not (run / "export" / "training.json").exists():
        options = [part for setting in settings for part in ("--set", setting)]
        command = [sys.executable, "-m", "pipeline", "train", str(config), "--output", str(run), *options]
        subprocess.run(command, check=True)
    return str(run / "export")


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""Trains Subject-Diffusion whole and without each of its parts, with several seeds, and scores all of them.

COMMAND  python -m benchmarks.subject_diffusion.ablations CONFIG [--output runs/ablations] [--set K=V ...]

Given again it goes on where it stopped. What is scored is kept in `--scores`, a file a training, and neither
trained nor scored again. With `--show` only these are told.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.subject_diffusion.cases import cases
from benchmarks.subject_diffusion.scores import Scorer, Scores
from benchmarks.subject_diffusion.tables import COUNTS, HEAD, SEED, drawer, less, seeds_of, told
from pipeline.wording import counted

VARIANTS = {
    "whole": (),
    "no adapter": ("model.adapter=false",),
    "no location map": ("model.location_control=false",),
    "no reference in the text": ("model.cls_fusion=false",),
    "no attention loss": ("model.attention_loss=none",),
    "no box coordinates": ("model.box_coordinates=null",),
    "captions as written": ("bare_captions=0",),
}
"""Settings by name; rows a, e, c, g, f and d of the paper's table 3, and our own addition taken away."""
KEPT = Path(__file__).with_name("ablations")
Rounds = dict[int, list[Scores]]
"""Scores of each case by the training's seed."""


def main() -> None:
    """Train and score what is not there yet, then print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("--output", type=Path, default=Path("runs/ablations"))
    parser.add_argument("--scores", type=Path, default=KEPT)
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each variant, also of those told")
    parser.add_argument("--share", type=float, default=1.0, help="of the cases, for a trial")
    parser.add_argument("--variants", nargs="*", choices=VARIANTS, default=[*VARIANTS])
    parser.add_argument("--set", action="append", default=[], metavar="K=V")
    parser.add_argument("--show", action="store_true", help="only tell what is scored")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    # Seed after seed, so that a sweep that is cut short has one of each.
    for seed in () if arguments.show else range(arguments.seeds):
        for name in arguments.variants:
            kept = arguments.scores / f"{_slug(name, seed)}.json"
            settings = [*arguments.set, *VARIANTS[name], f"seed={seed}"]
            if kept.exists():
                _check(kept, settings)
            else:
                export = _trained(arguments.config, arguments.output / _slug(name, seed), settings)
                _keep(kept, {"settings": settings, **_scored(export, seed, arguments.share)})
                print(f"{kept} is there", flush=True)
    _show(arguments.scores, arguments.variants, arguments.seeds)


def _check(kept: Path, settings: Sequence[str]) -> None:
    """That what is scored is what is asked for."""
    if (before := json.loads(kept.read_text())["settings"]) != settings:
        sys.exit(f"{kept} was trained with {before}, not with {settings}; give other --scores and --output")


def _slug(name: str, seed: int) -> str:
    return f"{name.replace(' ', '-')}-{seed}"


def _trained(config: Path, run: Path, settings: Sequence[str]) -> str:
    """The exported folder of a training, which is done now if it was not."""
    if not (run / "export" / "training.json").exists():
        options = [part for setting in settings for part in ("--set", setting)]
        command = [sys.executable, "-m", "pipeline", "train", str(config), "--output", str(run), *options]
        subprocess.run(command, check=True)
    return str(run / "export")


def _scored(export: str, seed: int, share: float) -> dict[str, list[dict[str, float]]]:
    """Of each case, by the number of subjects; a training's seed is that of its pictures, too."""
    draw, scorer, found = drawer(export, {}), Scorer(), {}
    for subjects, count in COUNTS.items():
        asked = cases(max(4, round(count * share)), subjects, SEED)
        rows = scorer(asked, draw(asked, seeds_of(seed, len(asked))))
        found[str(subjects)] = [{name: round(value, 4) for name, value in row.items()} for row in rows]
    return found


def _keep(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(content) + "\n")
    partial.rename(path)


def _show(folder: Path, variants: Sequence[str], seeds: int) -> None:
    for subjects in COUNTS:
        print(f"\n{subjects} held-out subject(s); 95 % intervals over cases, seeds are trainings\n{HEAD}")
        rounds = {name: _rounds(folder, name, str(subjects), seeds) for name in variants}
        for name, own in rounds.items():
            if own:
                print(told(f"{name}, {counted(len(own), 'training')}", _by_case(own)))
        for name, own in rounds.items():
            # Of the same cases and seeds of pictures, so most of what makes cases differ is in neither.
            if name != "whole" and (common := sorted(own.keys() & rounds.get("whole", {}).keys())):
                print(
                    told(f"{name}, less whole", less(*(_of(some, common) for some in (own, rounds["whole"]))))
                )


def _rounds(folder: Path, name: str, subjects: str, seeds: int) -> Rounds:
    files = {seed: folder / f"{_slug(name, seed)}.json" for seed in range(seeds)}
    return {seed: json.loads(path.read_text())[subjects] for seed, path in files.items() if path.exists()}


def _of(rounds: Rounds, seeds: Sequence[int]) -> list[tuple[Scores, ...]]:
    return _by_case({seed: rounds[seed] for seed in seeds})


def _by_case(rounds: Rounds) -> list[tuple[Scores, ...]]:
    return [*zip(*rounds.values(), strict=True)]


if __name__ == "__main__":
    main()

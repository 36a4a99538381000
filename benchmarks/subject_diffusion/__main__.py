# SPDX-License-Identifier: Apache-2.0
"""Held-out identities that Subject-Diffusion draws from references, beside the base that has prompts alone.

COMMAND  python -m benchmarks.subject_diffusion [NAME=FOLDER ...] [--seeds 3] [--guidance 5 4] [--sheet PNG]
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from benchmarks.subject_diffusion.cases import Case, cases
from benchmarks.subject_diffusion.scores import Scorer
from benchmarks.subject_diffusion.tables import COUNTS, HEAD, SEED, base_drawer, drawer, seeds_of, told
from benchmarks.text_to_image.prompted import contact_sheet
from models.subject_diffusion.subject_encoder import squared

_WIDTH = 8
_BASE = "base, without the reference"


def main() -> None:
    """Print a table for one subject and one for two."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=["shipped=miniature:subject_diffusion"])
    parser.add_argument("--seeds", type=int, default=3, help="pictures of each case")
    parser.add_argument("--share", type=float, default=1.0, help="of the cases, for a trial")
    parser.add_argument("--guidance", type=float, nargs=2, help="by the text, by the references")
    parser.add_argument("--sheet", type=Path, help="where to save pictures of the first model")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    scales: dict[str, Any] = {}
    if arguments.guidance:
        scales = dict(zip(("text_guidance", "image_guidance"), arguments.guidance, strict=True))
    models = {name: folder for name, _, folder in (model.partition("=") for model in arguments.models)}
    sheet = tables(models, arguments.seeds, arguments.share, scales)
    if arguments.sheet:
        sheet.save(arguments.sheet)


def tables(models: Mapping[str, str], seeds: int, share: float, scales: Mapping[str, Any]) -> Image.Image:
    """Print them; returns pictures of the first model.

    Args:
        models: folders by name.
        seeds: pictures of each case.
        share: of the cases.
        scales: of the guidance, where they are not the usual ones.
    """
    drawers = {_BASE: base_drawer()} | {name: drawer(folder, scales) for name, folder in models.items()}
    scorer, sheet = Scorer(), []
    for subjects, count in COUNTS.items():
        asked = cases(max(4, round(count * share)), subjects, SEED)
        what = f"{subjects} held-out subject(s), {len(asked)} cases, {seeds} seeds"
        print(f"\n{what}; 95 % intervals over cases\n{HEAD}")
        pictures = {}
        for name, draw in drawers.items():
            images = [draw(asked, seeds_of(number, len(asked))) for number in range(seeds)]
            rounds, pictures[name] = [scorer(asked, each) for each in images], images[0]
            print(told(name, [*zip(*rounds, strict=True)]), flush=True)
        sheet += _sheet_rows(asked[:_WIDTH], pictures[next(iter(models), _BASE)])
    return contact_sheet(sheet, columns=_WIDTH)


def _sheet_rows(asked: Sequence[Case], images: Sequence[Image.Image]) -> list[Image.Image]:
    """References above their pictures; of two subjects first one's references, then the other's."""
    side = images[0].width
    blank = [Image.new("RGB", (side, side), "white")] * (_WIDTH - len(asked))
    rows = []
    for place in range(len(asked[0].references)):
        rows += [*(squared(case.references[place], side) for case in asked), *blank]
    return [*rows, *images[: len(asked)], *blank]


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""Held-out identities that Subject-Diffusion draws from references, beside the base that has prompts alone.

COMMAND  python -m benchmarks.subject_diffusion [NAME=FOLDER[,FOLDER ...] ...] [--seeds 3] [--sheet PNG]

Several folders of one name are trainings of different seeds: each draws its share of the seeds.
"""

import argparse
import statistics
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from benchmarks.subject_diffusion.cases import Case, cases
from benchmarks.subject_diffusion.scores import READ, Scorer, Scores, mean_of
from benchmarks.text_to_image.prompted import contact_sheet
from models.generation import TextToImage
from models.subject_diffusion.drawing import SubjectsToImage
from models.subject_diffusion.subject_encoder import squared

_SEED = 20261126
_COUNTS = {1: 60, 2: 40}
"""Cases of one subject, and of two."""
_COLUMNS = ("identity", "all", *READ, "background", "clip_i", "dino")
_WIDTH = 8
Draw = Callable[[Sequence[Case], Sequence[int]], list[Image.Image]]


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
    models = {name: folders.split(",") for name, _, folders in (m.partition("=") for m in arguments.models)}
    sheet = tables(models, arguments.seeds, arguments.share, scales)
    if arguments.sheet:
        sheet.save(arguments.sheet)


def tables(
    models: Mapping[str, Sequence[str]], seeds: int, share: float, scales: Mapping[str, Any]
) -> Image.Image:
    """Print them; returns pictures of the first model.

    Args:
        models: folders by name.
        seeds: pictures of each case.
        share: of the cases.
        scales: of the guidance, where they are not the usual ones.
    """
    drawers: dict[str, list[Draw]] = {"base, without the reference": [_base()]}
    drawers |= {name: [_subjects(folder, scales) for folder in folders] for name, folders in models.items()}
    scorer, sheet = Scorer(), []
    for subjects, count in _COUNTS.items():
        asked = cases(max(4, round(count * share)), subjects, _SEED)
        what = f"{subjects} held-out subject(s), {len(asked)} cases, {seeds} seeds"
        print(f"\n{what}; 95 % intervals over cases")
        print(f"| model | {' | '.join(_COLUMNS)} |\n|{'---|' * (len(_COLUMNS) + 1)}")
        pictures = {}
        for name, draws in drawers.items():
            rows, pictures[name] = _drawn(asked, draws, scorer, seeds)
            print(f"| {name} | {' | '.join(_told(rows, column) for column in _COLUMNS)} |", flush=True)
        first = next(iter(models), "base, without the reference")
        sheet += _sheet_rows(asked[:_WIDTH], pictures[first])
    return contact_sheet(sheet, columns=_WIDTH)


def _base() -> Draw:
    sampler = TextToImage(batch_size=24)
    pipeline = sampler.load()
    return lambda some, seeds: [*sampler.generate(pipeline, [case.prompt.text for case in some], seeds)]


def _subjects(model: str, scales: Mapping[str, Any]) -> Draw:
    drawing = SubjectsToImage(model=model, batch_size=24, **scales).load()

    def draw(some: Sequence[Case], seeds: Sequence[int]) -> list[Image.Image]:
        prompts = [case.prompt.text for case in some]
        references, labels = [case.references for case in some], [case.labels for case in some]
        boxes = [case.boxes for case in some]
        return [*drawing.generate(prompts, references, labels, boxes, seeds)]

    return draw


def _drawn(
    asked: Sequence[Case], draws: Sequence[Draw], scorer: Scorer, seeds: int
) -> tuple[list[list[Scores]], list[Image.Image]]:
    """The scores of each case by seed, and the first seed's pictures."""
    rounds, first = [], []
    bounds = range(_SEED, _SEED + (seeds + 1) * len(asked), len(asked))
    for number, (begin, end) in enumerate(pairwise(bounds)):
        images = draws[number % len(draws)](asked, range(begin, end))
        rounds.append(scorer(asked, images))
        first = first or images
    return [list(each) for each in zip(*rounds, strict=True)], first


def _told(rows: Sequence[Sequence[Scores]], column: str) -> str:
    """A mean with its interval; of the first column also how far seeds are apart."""
    if column not in rows[0][0]:
        return "-"
    told = str(mean_of([[scores[column] for scores in row] for row in rows]))
    if column != "identity":
        return told
    by_seed = [statistics.mean(row[seed][column] for row in rows) for seed in range(len(rows[0]))]
    return f"{told}, seeds {min(by_seed):.3f} to {max(by_seed):.3f}"


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

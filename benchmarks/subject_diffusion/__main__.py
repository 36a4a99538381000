# SPDX-License-Identifier: Apache-2.0
"""Held-out identities that Subject-Diffusion draws from references, beside the base that has prompts alone.

COMMAND  python -m benchmarks.subject_diffusion [NAME=FOLDER ...] [--seeds 3] [--share 0.1] [--sheet PNG]
"""

import argparse
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from benchmarks.subject_diffusion.cases import Case, cases
from benchmarks.subject_diffusion.scores import Scorer, Scores, mean_of
from benchmarks.text_to_image.prompted import contact_sheet
from models.generation import TextToImage
from models.subject_diffusion.drawing import SubjectsToImage
from models.subject_diffusion.subject_encoder import squared

_SEED = 20261126
_COLUMNS = (
    "identity",
    "all",
    "noun",
    "body",
    "accent",
    "pattern",
    "build",
    "trait",
    "background",
    "clip_i",
    "dino",
)
Draw = Callable[[Sequence[Case], Sequence[int]], list[Image.Image]]


def main() -> None:
    """Print a table for one subject and one for two."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=["shipped=miniature:subject_diffusion"])
    parser.add_argument("--seeds", type=int, default=3, help="pictures of each case")
    parser.add_argument("--share", type=float, default=1.0, help="of the cases, for a trial")
    parser.add_argument(
        "--guidance", type=float, nargs=2, default=None, help="by the text, by the references"
    )
    parser.add_argument("--sheet", type=Path, help="where to save pictures of the last model")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    scorer, drawers = Scorer(), {"base, without the reference": _base()}
    for named in arguments.models:
        name, _, folder = named.partition("=")
        drawers[name] = _subjects(folder or name, arguments.guidance)
    sheets = []
    for subjects, count in ((1, 60), (2, 40)):
        asked = cases(max(4, round(count * arguments.share)), subjects, _SEED)
        what = f"{subjects} held-out subject(s), {len(asked)} cases, {arguments.seeds} seeds"
        print(f"\n{what}; 95 % intervals over cases")
        print(f"| model | {' | '.join(_COLUMNS)} |\n|{'---|' * (len(_COLUMNS) + 1)}")
        images: list[Image.Image] = []
        for name, draw in drawers.items():
            rows, images = _drawn(asked, draw, scorer, arguments.seeds)
            print(f"| {name} | {' | '.join(_told(rows, column) for column in _COLUMNS)} |", flush=True)
        sheets += _sheet_rows(asked[:8], images)
    if arguments.sheet:
        contact_sheet(sheets, columns=8).save(arguments.sheet)


def _base() -> Draw:
    sampler = TextToImage(batch_size=24)
    pipeline = sampler.load()
    return lambda some, seeds: [*sampler.generate(pipeline, [case.prompt.text for case in some], seeds)]


def _subjects(model: str, guidance: Sequence[float] | None) -> Draw:
    scales: dict[str, Any] = (
        {} if guidance is None else {"text_guidance": guidance[0], "image_guidance": guidance[1]}
    )
    drawing = SubjectsToImage(model=model, batch_size=24, **scales).load()
    return lambda some, seeds: [
        *drawing.generate(
            [case.prompt.text for case in some],
            [case.references for case in some],
            [case.labels for case in some],
            None,
            seeds,
        )
    ]


def _drawn(
    asked: Sequence[Case], draw: Draw, scorer: Scorer, seeds: int
) -> tuple[list[list[Scores]], list[Image.Image]]:
    """The scores of each case by seed, and the first seed's pictures."""
    rounds, first = [], []
    for number in range(seeds):
        begin = _SEED + number * len(asked)
        images = draw(asked, range(begin, begin + len(asked)))
        rounds.append(scorer(asked, images))
        first = first or images
    return [list(each) for each in zip(*rounds, strict=True)], first


def _told(rows: Sequence[Sequence[Scores]], column: str) -> str:
    """A mean with its interval; of the first columns also how far seeds are apart."""
    if column not in rows[0][0]:
        return "-"
    told = str(mean_of([[scores[column] for scores in row] for row in rows]))
    if column != "identity":
        return told
    by_seed = [statistics.mean(row[seed][column] for row in rows) for seed in range(len(rows[0]))]
    return f"{told}, seeds {min(by_seed):.3f} to {max(by_seed):.3f}"


def _sheet_rows(asked: Sequence[Case], images: Sequence[Image.Image]) -> list[Image.Image]:
    """References above their pictures; of two subjects the first one's reference, and the second one's."""
    side = images[0].width
    blank = [Image.new("RGB", (side, side), "white")] * (8 - len(asked))
    rows = []
    for place in range(len(asked[0].references)):
        rows += [squared(case.references[place], side) for case in asked] + blank
    return [*rows, *images[: len(asked)], *blank]


if __name__ == "__main__":
    main()

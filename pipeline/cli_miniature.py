# SPDX-License-Identifier: Apache-2.0
"""The commands of the miniature: render scenes, train the small models, score a build against truth."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from models.miniature.who import Who
from pipeline.errors import UserError
from pipeline.wording import counted

miniature = typer.Typer(no_args_is_help=True, help="The procedural world and the small models trained on it.")


class Part(StrEnum):
    """What can be trained."""

    captioner = "captioner"
    detector = "detector"
    segmenter = "segmenter"
    tagger = "tagger"
    autoencoder = "autoencoder"
    clip = "clip"
    clip_large = "clip_large"
    dino = "dino"
    judge = "judge"
    text2image = "text2image"
    text2image_xl = "text2image_xl"


@miniature.command()
def scenes(
    folder: Annotated[Path, typer.Argument(help="Gets images/*.jpg and truth.jsonl")],
    count: Annotated[int, typer.Option(min=1, help="How many")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Which series of scenes")] = 0,
    size: Annotated[int, typer.Option(min=32, help="Pixels of a side")] = 256,
    who: Annotated[Who, typer.Option(help="Subjects that training may see, never sees, or any")] = Who.anyone,
) -> None:
    """Render scenes with their captions, boxes, masks and identities."""
    from models.miniature.world import write_scenes

    try:
        write_scenes(folder, count, seed, size, who)
    except OSError as error:
        raise UserError(
            f"cannot write scenes to {folder}: {error.strerror or error}; give another folder"
        ) from error
    print(f"{counted(count, 'scene')} of seed {seed} in {folder}")


@miniature.command()
def train(
    part: Annotated[Part, typer.Argument(help="Which model")],
    run: Annotated[Path, typer.Option(help="Checkpoints, curves and the result go here")] = Path(
        "runs/miniature"
    ),
    threads: Annotated[int, typer.Option(min=1, help="CPU threads")] = 2,
    device: Annotated[str, typer.Option(help="cpu or cuda; a GPU has recipes of its own")] = "cpu",
    workers: Annotated[int, typer.Option(min=0, help="Processes that make batches ahead")] = 0,
    steps: Annotated[int | None, typer.Option(min=1, help="Another length than the recipe's")] = None,
    begin: Annotated[Path | None, typer.Option(help="A saved text2image pipeline to go on from")] = None,
) -> None:
    """Train a small model as the shipped one was; run again to go on where it stopped."""
    from pipeline.train_miniature import TrainOptions, train_part

    options = TrainOptions(device=device, workers=workers, steps=steps, begin=begin)
    from models.miniature.train.ended import Ended

    try:
        print(f"saved to {train_part(part.value, run, threads, options)}")
    except Ended as end:
        print(f"{end}: stopped; the same command again goes on")


@miniature.command()
def score(
    dataset: Annotated[Path, typer.Argument(help="A dataset built from rendered scenes")],
    truth: Annotated[Path, typer.Argument(help="The scenes' truth.jsonl")],
) -> None:
    """Compare a build with the truth: nouns, boxes and masks."""
    from pipeline.score_miniature import score_lines

    print("\n".join(score_lines(dataset, truth)))

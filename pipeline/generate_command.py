# SPDX-License-Identifier: Apache-2.0
"""Pictures from a prompt: what `generate` does."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from models.backends.protocols import MissingDevice, MissingWeights
from models.generation import TextToImage
from pipeline.errors import UserError
from pipeline.wording import counted


def generate_pictures(
    sampler: TextToImage, prompt: str, count: int, seed: int, negative: str | None, folder: Path
) -> Iterator[str]:
    """Write `PROMPT-SEED.png` for `count` seeds, and tell of each.

    Args:
        sampler: the model, and how it is to sample.
        prompt: what to draw.
        count: pictures.
        seed: of the first; each one has its own, so that any of them can be made again alone.
        negative: what to stay away from.
        folder: for the pictures; made if it is not there.

    Raises:
        UserError: no such weights or device, or the folder cannot be written to.
    """
    try:
        pipeline = sampler.load()
    except (MissingWeights, MissingDevice) as error:
        raise UserError(str(error)) from error
    started = time.monotonic()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for first in range(seed, seed + count, sampler.batch_size):
            seeds = [*range(first, min(first + sampler.batch_size, seed + count))]
            images = sampler.generate(pipeline, [prompt] * len(seeds), seeds, negative)
            for each, image in zip(seeds, images, strict=True):
                path = folder / f"{file_name(prompt)}-{each}.png"
                image.save(path)
                yield str(path)
    except ValueError as error:
        raise UserError(f"the model {sampler.model} says: {error}") from error
    except OSError as error:
        raise UserError(
            f"cannot write to {folder}: {error.strerror or error}; give another --output"
        ) from error
    spent = time.monotonic() - started
    yield f"{counted(count, 'picture')} in {spent:.1f} s ({spent / count:.2f} s each)"


def file_names(prompts: Sequence[str]) -> list[str]:
    """Beginnings of files' names, another one for each prompt, whatever they have in common."""
    found: list[str] = []
    for prompt in prompts:
        name = plain = file_name(prompt)
        number = 1
        while name in found:
            number += 1
            name = f"{plain}-{number}"
        found.append(name)
    return found


def file_name(prompt: str) -> str:
    """A prompt as the beginning of a file's name."""
    plain = "".join(letter if letter.isalnum() else "-" for letter in prompt.lower())
    return "-".join(filter(None, plain.split("-")))[:80] or "no-prompt"

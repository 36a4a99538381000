# SPDX-License-Identifier: Apache-2.0
"""Rendered scenes as arrays on disk, made once and read by every training.

Shapes: N scenes, H = W pixels, S = 3 places for subjects (`count_N` of them are filled).
"""

import os
import shutil
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Literal

import numpy as np

from models.miniature.train.ended import end_with
from models.miniature.world.identity import Identity
from models.miniature.world.render import render_scene
from models.miniature.world.scene import Scene, sample_scene
from models.miniature.world.vocabulary import BACKGROUNDS, BUILDS, COLOURS, NOUNS, PATTERNS, TRAITS

SIDE = 128
TRAIN_SEED = 2_000_000_011
"""Far from any seed that a person types, so that `miniature scenes --seed N` is never training data."""
VALIDATION_SEED = 2_000_000_033
Series = Literal["mixed", "centred", "single", "pair"]
"""One to three subjects; one large one in the middle; one anywhere; two."""
_PLACES = 3
_CHUNK = 500
_TELL = 30.0
"""Seconds between lines of progress."""


def _fields(side: int) -> dict[str, tuple[tuple[int, ...], type]]:
    """Name to shape of one scene, and type."""
    return {
        "image_NHWC": ((side, side, 3), np.uint8),
        "instance_NHW": ((side, side), np.uint8),
        "count_N": ((), np.uint8),
        "noun_NS": ((_PLACES,), np.uint8),
        "colour_NS": ((_PLACES,), np.uint8),
        "accent_NS": ((_PLACES,), np.uint8),
        "pattern_NS": ((_PLACES,), np.uint8),
        "build_NS": ((_PLACES,), np.uint8),
        "trait_NS": ((_PLACES,), np.uint8),
        "box_NS4": ((_PLACES, 4), np.float32),
        "background_N": ((), np.uint8),
    }


@dataclass(frozen=True, slots=True)
class SceneArrays:
    """Memory-mapped arrays, one entry a scene; captions as text."""

    image_NHWC: np.ndarray
    """uint8 sRGB."""
    instance_NHW: np.ndarray
    """uint8: 0 background, k the visible pixels of subject k - 1."""
    count_N: np.ndarray
    noun_NS: np.ndarray
    """Index into NOUNS."""
    colour_NS: np.ndarray
    """Index into COLOURS, of the body."""
    accent_NS: np.ndarray
    """Index into COLOURS."""
    pattern_NS: np.ndarray
    """Index into PATTERNS."""
    build_NS: np.ndarray
    """Index into BUILDS."""
    trait_NS: np.ndarray
    """Index into TRAITS."""
    box_NS4: np.ndarray
    """xyxy pixels, half-open."""
    background_N: np.ndarray
    caption_N: list[str]

    def __len__(self) -> int:
        return len(self.caption_N)


def load_scenes(
    cache: Path, seed: int, count: int, side: int = SIDE, series: Series = "mixed"
) -> SceneArrays:
    """The first `count` scenes of a seed at `side` pixels, rendered now if the cache does not hold them."""
    folder = cache / f"scenes-{series}-{seed}-{count}-{side}"
    if not (folder / "captions.txt").exists():
        _render_all(folder, seed, count, side, series)
    arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in _fields(side)}
    return SceneArrays(**arrays, caption_N=(folder / "captions.txt").read_text().splitlines())


def scene_of(series: Series, seed: int, index: int) -> Scene:
    """Scene number `index` of a seed of a series."""
    if series == "centred":
        return sample_scene(seed, index, layout="centred")
    return sample_scene(seed, index, {"mixed": None, "single": 1, "pair": 2}[series])


def _render_all(folder: Path, seed: int, count: int, side: int, series: Series) -> None:
    # Another training may be rendering the same ones; what is in place is whole.
    partial = folder.with_name(f"{folder.name}.{os.getpid()}.partial")
    try:
        _render_into(partial, seed, count, side, series)
        if folder.exists() and not (folder / "captions.txt").exists():
            shutil.rmtree(folder)
        partial.rename(folder)
    except OSError:
        if not (folder / "captions.txt").exists():
            raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _render_into(folder: Path, seed: int, count: int, side: int, series: Series) -> None:
    folder.mkdir(parents=True)
    arrays = {
        name: np.lib.format.open_memmap(folder / f"{name}.npy", "w+", dtype, (count, *shape))
        for name, (shape, dtype) in _fields(side).items()
    }
    captions: list[str] = []
    starts = range(0, count, _CHUNK)
    ends = [min(start + _CHUNK, count) for start in starts]
    told = time.monotonic()
    with ProcessPoolExecutor(initializer=end_with, initargs=(os.getpid(),)) as pool:
        chunks = pool.map(_render_chunk, repeat(series), repeat(seed), starts, ends, repeat(side))
        for start, end, (chunk, texts) in zip(starts, ends, chunks, strict=True):
            for name, array in arrays.items():
                array[start:end] = chunk[name]
            captions += texts
            if time.monotonic() - told > _TELL:
                told = time.monotonic()
                print(f"rendered {end:,} of {count:,} scenes", flush=True)
    for array in arrays.values():
        array.flush()
    (folder / "captions.txt").write_text("\n".join(captions) + "\n")


def _render_chunk(
    series: Series, seed: int, start: int, end: int, side: int
) -> tuple[dict[str, np.ndarray], list[str]]:
    chunk = {name: np.zeros((end - start, *shape), dtype) for name, (shape, dtype) in _fields(side).items()}
    captions = []
    for row, index in enumerate(range(start, end)):
        rendered = render_scene(scene_of(series, seed, index), side)
        chunk["image_NHWC"][row] = np.asarray(rendered.image)
        chunk["count_N"][row] = len(rendered.subjects)
        chunk["background_N"][row] = list(BACKGROUNDS).index(rendered.background)
        for place, subject in enumerate(rendered.subjects):
            chunk["instance_NHW"][row][subject.mask] = place + 1
            chunk["box_NS4"][row, place] = subject.box
            for name, value in _indices(subject.identity).items():
                chunk[name][row, place] = value
        captions.append(rendered.caption)
    return chunk, captions


def _indices(identity: Identity) -> dict[str, int]:
    return {
        "noun_NS": NOUNS.index(identity.noun),
        "colour_NS": list(COLOURS).index(identity.body),
        "accent_NS": list(COLOURS).index(identity.accent),
        "pattern_NS": PATTERNS.index(identity.pattern),
        "build_NS": list(BUILDS).index(identity.build),
        "trait_NS": TRAITS.index(identity.trait),
    }

# SPDX-License-Identifier: Apache-2.0
"""What each thing that makes the model stages fast is worth on a CPU: the stages as they are, and without it.

Every variant is a process that keeps its models; they take turns on the same hundred scenes, one thread each.

COMMAND  python -m benchmarks.optimisations [--rounds 7]
"""

import argparse
import multiprocessing
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from unittest.mock import patch

import pyarrow as pa

from benchmarks.quality import CONFIG
from benchmarks.rivals.chain import FIRST, LIGHT, pictures, table_of, through
from benchmarks.spread import spread, table_head
from models.backends import blip2, box_segmenter, pixels, runtime
from models.miniature.world import write_scenes
from pipeline.config import load_config
from stages.base import TableFunction

_STAGES = ("caption", "detect", "segment")
_SCENES = 100
Patches = Sequence[tuple[Any, str, Any]]


class Variant(NamedTuple):
    """One thing that is not done."""

    name: str
    patches: Patches
    settings: Sequence[str] = ()
    stages: Sequence[str] = _STAGES


def _as_loaded(self: Any, model: Any, device: Any) -> Any:
    return model.to(device).eval().requires_grad_(False)


class _Processors(pixels.Pixels):
    """Pictures by transformers' processors, with Pillow and NumPy."""

    def __init__(self, processor: Any, device: Any, dtype: Any, size_for: Any) -> None:
        super().__init__(processor, device, dtype, size_for)
        self._processor = processor

    def batch(self, images: Sequence[Any], padded: tuple[int, int]) -> Any:
        """See `Pixels.batch`."""
        found = self._processor([*images], return_tensors="pt")["pixel_values"]
        return found.to(self._device, self._dtype)


VARIANTS = (
    Variant("as it is", ()),
    Variant("freed memory goes back to the system at once", ((runtime, "keep_freed_memory", lambda: False),)),
    Variant("convolutions in torch's own layout", ((runtime.Runtime, "prepared", _as_loaded),)),
    Variant(
        "pictures by transformers' processors",
        ((blip2, "Pixels", _Processors), (box_segmenter, "Pixels", _Processors)),
        stages=("caption", "segment"),
    ),
    Variant(
        "pictures decoded at their own size",
        (),
        ("stages.caption.decode_side=4096", "stages.detect.decode_side=4096"),
        ("caption", "detect"),
    ),
    Variant("one picture at a time", (), tuple(f"stages.{name}.batch_size=1" for name in _STAGES)),
)


def main() -> None:
    """Print a row a variant."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder:
        write_scenes(Path(folder), _SCENES, seed=20261203)
        spawn = multiprocessing.get_context("spawn")
        pools = [
            ProcessPoolExecutor(1, spawn, _load, (place, Path(folder, "images")))
            for place in range(len(VARIANTS))
        ]
        rounds = []
        for number in range(arguments.rounds + 1):
            taken = [
                {name: pool.submit(_seconds, name).result() for name in variant.stages}
                for pool, variant in zip(pools, VARIANTS, strict=True)
            ]
            # The first is for whatever has to start.
            rounds += [taken] if number else []
        for pool in pools:
            pool.shutdown()
    print(table_head("time over that of the stage as it is", *_STAGES))
    for place, variant in enumerate(VARIANTS):
        ratios = {name: [taken[place][name] / taken[0][name] for taken in rounds] for name in variant.stages}
        cells = [spread(ratios[name]) if name in ratios else "" for name in _STAGES]
        print(f"| {variant.name} | {' | '.join(cells)} |")
    told = ", ".join(f"{name} {_SCENES / min(t[0][name] for t in rounds):.0f}" for name in _STAGES)
    print(f"as it is, images/s at best: {told}")


_loaded: dict[str, Callable[[], pa.Table]] = {}


def _load(place: int, scenes: Path) -> None:
    variant = VARIANTS[place]
    for target, name, value in variant.patches:
        patch.object(target, name, value).start()
    table = through(LIGHT, table_of(pictures(scenes)))
    inputs: dict[str, pa.Table] = dict.fromkeys(_STAGES, table)
    for name in FIRST:
        table = through((name,), table)
        inputs |= {"detect": table} if name == "nouns" else {}
    inputs["segment"] = table
    stages = load_config(CONFIG, variant.settings).stages
    for name in variant.stages:
        _loaded[name] = _bound(stages[name].setup(), inputs[name])


def _bound(work: TableFunction, table: pa.Table) -> Callable[[], pa.Table]:
    return lambda: work(table)


def _seconds(name: str) -> float:
    began = time.perf_counter()
    _loaded[name]()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()

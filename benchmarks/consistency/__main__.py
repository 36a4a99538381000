# SPDX-License-Identifier: Apache-2.0
"""What the methods that keep a subject cost, side by side with what they are compared with, in one run.

COMMAND  python -m benchmarks.consistency [--model FOLDER] [--rows ROW ...] [--rounds 5] [--sheet PNG]
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.consistency.measured import Bench, beside, step_seconds
from benchmarks.consistency.subject import chosen_subject
from benchmarks.spread import spread
from models.consistency.cones2.cones2 import Cones2
from models.consistency.cones2.options import Options as Cones
from models.consistency.consistory.consistory import ConsiStory
from models.consistency.consistory.layers import depths_of
from models.consistency.consistory.options import Options
from models.consistency.dco.dco import Dco
from models.consistency.dco.options import Options as DcoOptions
from models.consistency.oneactor.oneactor import OneActor
from models.consistency.oneactor.options import Options as Actor
from models.consistency.plain import Plain
from models.consistency.unet_layout import grid

_PLACES = ("in the snow", "on the beach", "on the grass", "in the kitchen", "in the street")
_SEEDS = [11, 12, 13, 14, 15]


def main() -> None:
    """Print the rows as they are known."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="miniature:text2image")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--rows", nargs="*", choices=_ROWS, default=[*_ROWS], help="only these")
    parser.add_argument("--sheet", type=Path, help="where to save one subject by every method")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    bench = Bench.of(arguments.model, arguments.device, arguments.rounds, arguments.steps)
    print("| measured | | target |\n|---|---|---|")
    for name in arguments.rows:
        for row in _ROWS[name](bench):
            print(f"| {row} |", flush=True)
    if arguments.sheet:
        from benchmarks.consistency.sheet import every_method

        every_method(bench.pipe).save(arguments.sheet)


def _consistory_rows(bench: Bench) -> Iterator[str]:
    subject, prompts = chosen_subject().bare, [f"a cat {place}" for place in _PLACES]
    for name, options in (("clean", Options()), ("parity", Options.parity())):
        method = ConsiStory(options)
        times = beside(
            bench,
            lambda method=method: method.generate(bench.pipe, subject, None, prompts, _SEEDS, bench.sampling),
            lambda: Plain().generate(bench.pipe, subject, None, prompts, _SEEDS, bench.sampling),
        )
        steps, calls = bench.sampling.steps, method.calls
        # 97 with SDXL's timesteps, of which another step is nearest to the one that features are taken at.
        target = "97" if name == "clean" else "112 in the official code"
        yield f"ConsiStory, {name}: calls of the UNet for a set at {steps} steps | {calls} | {target}"
        ratios = [one / (other * calls / steps) for one, other in times]
        what = f"ConsiStory, {name}: time of a set of {len(prompts)} over plain sampling's by calls"
        yield f"{what} | {spread(ratios)} | 1.25"
        yield f"the same: seconds{bench.memory()} | {spread([one for one, _ in times])} | -"
    depth, _ = depths_of(bench.pipe.unet, Options())
    side = bench.pipe.unet.config.sample_size
    rows, columns = grid(depth, side, side)
    window = Options().mask_window or steps
    yield (
        f"ConsiStory: maps kept a picture and subject, whatever the steps and layers | "
        f"{window} x {rows * columns} numbers, {window * rows * columns * 4:,} bytes | window x patches"
    )


def _oneactor_rows(bench: Bench) -> Iterator[str]:
    subject, prompts = chosen_subject().bare, ["a cat in the snow"]
    few, pictures = Actor(steps=2, auxiliaries=4), replace(bench.sampling, output="pil")
    state = OneActor(few).fit(bench.pipe, subject, pictures)
    began, some = time.perf_counter(), Actor(steps=12)
    step = step_seconds(OneActor(some), replace(bench, sampling=pictures), subject)
    whole = time.perf_counter() - began + (Actor().steps - some.steps) * step
    yield (
        f"OneActor: seconds of a step of tuning; of a tuning of {Actor().steps}, by its first {some.steps}"
        f"{bench.memory()} | {step:.2f}; {whole:.0f} | -"
    )
    for name, options in (("fast", few.fast()), ("quality", few)):
        method = OneActor(options)
        times = beside(
            bench,
            lambda method=method: method.generate(
                bench.pipe, subject, state, prompts, _SEEDS[:1], bench.sampling
            ),
            lambda: Plain().generate(bench.pipe, subject, None, prompts, _SEEDS[:1], bench.sampling),
        )
        steps = bench.sampling.steps
        guided = sum(options.guides(step, steps) for step in range(steps))
        rows = (method.rows - 2 * (steps - guided)) / guided
        yield f"OneActor, {name}: rows of a guided step | {rows:g} | {2 if name == 'fast' else 3}"
        yield f"OneActor, {name}: time over plain sampling's | {spread([a / b for a, b in times])} | -"
    yield f"OneActor: bytes of a subject | {state.bytes:,} | 16 KB at SDXL's width"


def _cones_rows(bench: Bench) -> Iterator[str]:
    subject = chosen_subject()
    state = Cones2(Cones(steps=2)).fit(bench.pipe, subject.shown, replace(bench.sampling, output="pil"))
    width = bench.pipe.text_encoder.config.hidden_size
    yield f"Cones 2: bytes of a subject of one token at width {width} | {state.bytes:,} | 6 KB at 1,024"


def _dco_rows(bench: Bench) -> Iterator[str]:
    shown = chosen_subject().shown
    options = DcoOptions(steps=12)
    for batch in (1, 4):
        some = replace(options, batch=batch)
        pairs = [
            tuple(
                step_seconds(Dco(each), bench, shown)
                for each in (some, replace(some, beta=None, consistency=None))
            )
            for _ in range(bench.rounds)
        ]
        ratios = [dco / dreambooth for dco, dreambooth in pairs]
        seconds = spread([dco for dco, _ in pairs])
        what = f"DCO, batch {batch}: step ({seconds} s) over the same DreamBooth step"
        yield f"{what} | {spread(ratios)} | 1.45"


_ROWS = {
    "consistory": _consistory_rows,
    "oneactor": _oneactor_rows,
    "cones2": _cones_rows,
    "dco": _dco_rows,
}


if __name__ == "__main__":
    main()

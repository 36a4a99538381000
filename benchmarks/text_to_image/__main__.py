# SPDX-License-Identifier: Apache-2.0
"""The table of the miniature's text-to-image model, on held-out prompts, and a contact sheet of it.

COMMAND  python -m benchmarks.text_to_image [--model FOLDER] [--share 0.1] [--rows ROW ...] [--sheet PNG] ...
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from PIL import Image

from benchmarks.text_to_image.attention import noun_maps, overlap, recorded, token_place
from benchmarks.text_to_image.embedded import cut_outs, named, neighbours
from benchmarks.text_to_image.judged import judged
from benchmarks.text_to_image.prompted import contact_sheet, fulfilled
from benchmarks.text_to_image.spread import OPEN, open_prompts, same_in_pairs, spread
from models.backends.protocols import BackendError
from models.generation import TextToImage
from models.miniature import WEIGHTS
from models.miniature.judge import Judge, Reading
from models.miniature.world import BACKGROUNDS, NOUNS, Mention, Prompt, held_out_prompts

_SEED = 20261126
_JUDGED = ("noun", "background", "body", "accent", "pattern", "build", "trait")


@dataclass(frozen=True, slots=True)
class Bench:
    """What is measured, and by whom."""

    sampler: TextToImage
    pipeline: Any
    judge: Judge
    share: float

    def count(self, whole: int) -> int:
        """As many, or a share of them for a trial."""
        return max(6, round(whole * self.share))

    def draw(self, prompts: Sequence[Prompt], first_seed: int) -> tuple[list[Image.Image], list[Reading]]:
        """A picture of each prompt, and what the judge sees in it."""
        seeds = range(first_seed, first_seed + len(prompts))
        images = [*self.sampler.generate(self.pipeline, [prompt.text for prompt in prompts], list(seeds))]
        return images, self.judge.read(images)


def main() -> None:
    """Print the rows as they are known."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="miniature:text2image")
    parser.add_argument("--judge", type=Path, default=WEIGHTS / "judge")
    parser.add_argument("--share", type=float, default=1.0, help="of everything, for a trial")
    parser.add_argument("--sheet", type=Path, help="where to save a contact sheet")
    parser.add_argument("--rows", nargs="*", choices=_ROWS, default=[*_ROWS], help="only these")
    parser.add_argument("--guidance", type=float, default=TextToImage.guidance)
    arguments = parser.parse_args()
    if not 0 < arguments.share <= 1:
        parser.error(f"--share {arguments.share}: it must be above 0, and at most 1")
    sampler = TextToImage(model=arguments.model, guidance=arguments.guidance, batch_size=24)
    try:
        judge = Judge.from_pretrained(arguments.judge)
        bench = Bench(sampler, sampler.load(), judge, arguments.share)
    except (BackendError, OSError) as error:
        parser.error(str(error))
    print("| measured | | at least |\n|---|---|---|")
    for name in arguments.rows:
        for row in _ROWS[name](bench):
            print(f"| {row} |", flush=True)
    if arguments.sheet:
        _sheet(bench).save(arguments.sheet)


def _judge_rows(bench: Bench) -> Iterator[str]:
    found = judged(bench.judge, bench.pipeline.vae, bench.count(600))
    for what, accuracy, least in (
        ("held-out renders", found.rendered, 0.97),
        ("autoencoded renders", found.autoencoded, 0.93),
    ):
        told = ", ".join(f"{name} {accuracy[name]:.3f}" for name in _JUDGED)
        yield f"judge on {found.scenes} {what} | {told} | {least} each (first five)"
    yield f"autoencoder, PSNR on the same scenes | {found.psnr:.1f} dB | 26 dB"


def _embedding_rows(bench: Bench) -> Iterator[str]:
    pictures = cut_outs(bench.count(600))
    what = f"{len(pictures)} cut-outs of held-out scenes"
    yield f"{what}; CLIP's choice of noun, and of colour | {_told(named(WEIGHTS / 'clip', pictures))} | -"
    if (WEIGHTS / "dino").is_dir():
        found = neighbours(WEIGHTS / "dino", pictures)
        yield f"{what}; DINO's nearest other one: the same | {_told(found)} | -"


def _told(values: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in values.items())


def _prompt_rows(bench: Bench) -> Iterator[str]:
    results = {}
    for what, count, subjects, somewhere in (
        ("one centred subject", 200, 1, False),
        ("one subject anywhere", 150, 1, True),
        ("two subjects", 150, 2, False),
    ):
        prompts = held_out_prompts(bench.count(count), _SEED, subjects, somewhere)
        results[what] = fulfilled(prompts, bench.draw(prompts, _SEED)[1])
    least = dict(zip(results, (0.85, 0.75, 0.40), strict=True))
    for what, result in results.items():
        asked, right = result.asked["all nouns"], result["all nouns"]
        yield f"all nouns right, {what} ({asked}) | {right:.3f} | {least[what]}"
    for name, target in (("background", 0.98), ("body", 0.85), ("pattern", 0.70)):
        right, asked = (sum(getattr(r, side)[name] for r in results.values()) for side in ("right", "asked"))
        parts = ", ".join(f"{what} {result[name]:.3f}" for what, result in results.items())
        yield f"{name} right where stated ({asked}) | {right / asked:.3f} ({parts}) | {target}"


def _spread_rows(bench: Bench) -> Iterator[str]:
    seeds = bench.count(48)
    _, readings = bench.draw(open_prompts(seeds), _SEED + 10_000)
    told = ", ".join(f"{name} {value:.2f}" for name, value in spread(readings, seeds).items())
    yield f"spread of what is not stated, {seeds} seeds a noun, entropy over the world's | {told} | 0.80"
    sets = [Prompt((Mention(noun),), place) for noun in NOUNS for place in BACKGROUNDS]
    _, readings = bench.draw(sets, _SEED + 20_000)
    same = {name: same_in_pairs(readings, len(BACKGROUNDS), name) for name in OPEN}
    told = ", ".join(f"{name} {value:.2f}" for name, value in same.items())
    yield f"same in pairs of a noun's six backgrounds, {len(sets)} pictures | {told} | body at most 0.35"


def _attention_rows(bench: Bench) -> Iterator[str]:
    for subjects, least in ((1, 0.50), (2, 0.35)):
        prompts = held_out_prompts(bench.count(96), _SEED + 1, subjects)
        found, expected = [], 0
        for start in range(0, len(prompts), bench.sampler.batch_size):
            some = prompts[start : start + bench.sampler.batch_size]
            with recorded(bench.pipeline.unet) as recorders:
                _, readings = bench.draw(some, _SEED + start)
            for place in range(subjects):
                nouns = [prompt.mentions[place].noun for prompt in some]
                pairs = zip(some, nouns, strict=True)
                tokens = [token_place(bench.pipeline.tokenizer, prompt, noun) for prompt, noun in pairs]
                maps = noun_maps(recorders, tokens)
                found += [overlap(*each) for each in zip(maps, readings, nouns, strict=True)]
            expected += subjects * len(some)
        seen = [value for value in found if value is not None]
        what = (
            f"a noun's attention and its subject, {subjects} in the prompt ({len(seen)} of {expected} seen)"
        )
        yield f"{what} | IoU {mean(seen) if seen else float('nan'):.3f} | {least}"


def _speed_rows(bench: Bench) -> Iterator[str]:
    prompts = [Prompt((Mention(noun),), "snow") for noun in NOUNS]
    torch.set_num_threads(1)
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        bench.draw(prompts, 0)
        seconds.append((time.perf_counter() - started) / len(prompts))
    low, middle, high = sorted(seconds)
    steps = bench.sampler.steps
    yield f"{steps} steps with guidance, one thread | {middle:.2f} s an image ({low:.2f} to {high:.2f}) | 1 s"


def _sheet(bench: Bench) -> Image.Image:
    prompts = [
        *held_out_prompts(32, _SEED + 2, 1),
        *held_out_prompts(8, _SEED + 2, 1, somewhere=True),
        *held_out_prompts(8, _SEED + 2, 2),
    ]
    return contact_sheet(bench.draw(prompts, _SEED)[0], columns=8)


_ROWS = {
    "judge": _judge_rows,
    "embeddings": _embedding_rows,
    "prompts": _prompt_rows,
    "spread": _spread_rows,
    "attention": _attention_rows,
    "speed": _speed_rows,
}


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""The full-size models on this machine's device, weights made by chance: speed by stage, and of the chain.

Pictures are JPEGs of 640 x 480, four nouns and four boxes each, captions of 20 tokens. A stage's time is that
of its batch from JPEG bytes to results, one process and nothing beside; the chain is a build, start-up left
out. The share of peak is counted FLOPs over what the device does at most in bfloat16.

COMMAND  python -m benchmarks.full_size [--only detect] [--device cuda] [--seconds 20] [--chain 2000]
         [--layers 2 --pictures 2, where there is no GPU]
"""

import argparse
import io
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.full_size import weights
from benchmarks.full_size.chain import chain_rate
from benchmarks.full_size.fixed import SHARES, WORDS
from models.backends.blip2 import Blip2
from models.backends.grounding_dino import GroundingDino, MmGroundingDino
from models.backends.sam import Sam
from models.miniature.world import render_scene, sample_scene
from pipeline.train.peak import model_flops_utilisation
from stages.images import decoded

SIZE = 640, 480
TOKENS = 20
_BOXES = np.array(SHARES) * np.array([*SIZE, *SIZE])
Work = Callable[[Sequence[bytes]], Any]


@dataclass(frozen=True, slots=True)
class Variant:
    """A backend with its options, and how many pictures it gets at a time."""

    stage: str
    name: str
    backend: Any
    batch: int


def main() -> None:
    """Print a row a variant, and one for the chain."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="variants whose stage or name has this in it")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seconds", type=float, default=20, help="at least, of each variant")
    parser.add_argument("--pictures", type=int, help="of a batch; what suits a GPU of 80 GB if not given")
    parser.add_argument("--layers", type=int, help="of BLIP-2 and SAM, where memory is short")
    parser.add_argument("--chain", type=int, default=0, help="pictures of a build with all of them")
    arguments = parser.parse_args()
    pictures = [_jpeg(index) for index in range(8)]
    print(
        f"{torch.cuda.get_device_name() if torch.cuda.is_available() else 'CPU'}, torch {torch.__version__}"
    )
    print(
        "| stage | variant | batch | images/s | TFLOP an image | share of peak | peak GiB |\n"
        + "|---" * 7
        + "|"
    )
    with TemporaryDirectory() as folder:
        models = _models(Path(folder), arguments.layers, arguments.only or "")
        for variant in variants(models, arguments.device):
            if (arguments.only or "") in f"{variant.stage} {variant.name}":
                changed = replace(variant, batch=arguments.pictures or variant.batch)
                print(_row(changed, pictures, arguments.seconds), flush=True)
        if arguments.chain:
            for together in (False, True):
                given = (Path(folder), models, pictures, arguments.chain, arguments.device, together)
                print(chain_rate(*given), flush=True)


def _models(folder: Path, layers: int | None, only: str) -> dict[str, str]:
    makers: dict[str, Callable[[Path], Path]] = {
        "caption": partial(weights.blip2, layers=layers),
        "detect": weights.grounding_dino,
        "detect mm": partial(weights.grounding_dino, kind="MMGroundingDino"),
        "segment": partial(weights.sam, layers=layers),
    }
    stage = only.split()[0] if only else ""
    return {name: str(make(folder / name)) for name, make in makers.items() if stage in name}


def variants(models: dict[str, str], device: str) -> list[Variant]:
    """What is measured, the plain one of a stage first."""
    given: dict[str, Any] = {"device": device, "dtype": "bfloat16"}
    plain: dict[str, Any] = {"device": device, "dtype": "float32"}
    found = []
    for name, options in {
        "float32": plain,
        "bfloat16": given,
        "compiled": {**given, "compile": True},
    }.items():
        if "caption" in models:
            blip2 = Blip2(model=models["caption"], max_new_tokens=TOKENS, **options)
            found.append(Variant("caption", name, blip2, 64))
        if "segment" in models:
            found.append(Variant("segment", name, Sam(model=models["segment"], **options), 8))
        if "detect" in models:
            dino, mm = models["detect"], models["detect mm"]
            found += [
                Variant("detect", f"{name}, square", GroundingDino(model=dino, **options), 8),
                Variant(
                    "detect", f"{name}, padded to 64", GroundingDino(model=dino, pad_to=64, **options), 8
                ),
                Variant("detect", f"{name}, MM, padded", MmGroundingDino(model=mm, pad_to=64, **options), 8),
            ]
    return sorted(found, key=lambda variant: variant.stage)


def _row(variant: Variant, pictures: Sequence[bytes], seconds: float) -> str:
    work = _work(variant.stage, variant.backend.load())
    batch = [pictures[place % len(pictures)] for place in range(variant.batch)]
    # Whatever is compiled or tried out is by the second time.
    for _ in range(2 if variant.backend.compile else 1):
        work(batch)
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    spans: list[float] = []
    while sum(spans) < seconds:
        began = time.perf_counter()
        work(batch)
        spans.append(time.perf_counter() - began)
    flops = None if variant.backend.compile else _flops(work, pictures)
    device, _ = variant.backend.place()
    per_image = median(spans) / variant.batch
    share = model_flops_utilisation(flops, per_image, device)
    peak = torch.cuda.max_memory_reserved() / 2**30 if torch.cuda.is_available() else 0
    return (
        f"| {variant.stage} | {variant.name} | {variant.batch} | {1 / per_image:.3g} "
        f"({variant.batch / max(spans):.3g} to {variant.batch / min(spans):.3g}) | "
        f"{'' if flops is None else f'{flops / 1e12:.2f}'} | {'' if share is None else f'{share:.2f}'} | "
        f"{f'{peak:.1f}' if peak else ''} |"
    )


def _flops(work: Work, pictures: Sequence[bytes]) -> float:
    """Of one picture."""
    with FlopCounterMode(display=False) as counter:
        work(pictures[:1])
    return counter.get_total_flops()


def _work(stage: str, loaded: Any) -> Work:
    """From JPEGs to results, as the stage itself does it."""
    if stage == "caption":
        return lambda batch: loaded.caption([decoded(data, at_least=448) for data in batch])
    if stage == "detect":
        return lambda batch: loaded.detect(
            [decoded(data, at_least=800) for data in batch], [[*WORDS]] * len(batch), 0.5
        )
    return lambda batch: loaded.segment([decoded(data) for data in batch], [_BOXES] * len(batch))


def _jpeg(index: int) -> bytes:
    stream = io.BytesIO()
    render_scene(sample_scene(7, index), 480).image.resize(SIZE).save(stream, "JPEG", quality=90)
    return stream.getvalue()


if __name__ == "__main__":
    main()

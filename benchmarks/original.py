# SPDX-License-Identifier: Apache-2.0
"""The authors' packages beside transformers: the same weights, the same pictures, in turns.

COMMAND  .venv-original/bin/python -m benchmarks.original [--rounds 5] [--pictures 2] [--side 400]

`make test-original` makes that environment. Models are of the sizes of SwinT-OGC and SAM ViT-B with weights
made by chance: speed does not depend on them.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from PIL.Image import Image
from transformers import AutoTokenizer

from benchmarks.spread import spread
from models.backends.grounding_dino import GroundingDino
from models.backends.original.convert import converted
from models.backends.original.dino_layout import BertLayout, DinoLayout, SwinLayout
from models.backends.original.dino_model import built
from models.backends.original.groundingdino_py import GroundingDinoPy
from models.backends.original.segment_anything import SegmentAnything
from models.backends.sam import Sam
from models.backends.weights import located
from models.miniature.world import render_scene, sample_scene

_TEXT = located("miniature:detector")
_SWIN_T = DinoLayout(
    SwinLayout(96, (2, 2, 6, 2), (3, 6, 12, 24), 7),
    BertLayout(768, 12, 3072, 30522, 512),
    *(256, 8, 6, 6, 2048, 4, 4, 4, 900),
)
_PHRASES = ["cat", "red mug", "dog"]
_BOXES = np.array([[0.2, 0.2, 0.8, 0.8], [0.0, 0.1, 0.5, 0.9], [0.4, 0.3, 1.0, 1.0]])


def main() -> None:
    """Print a row a model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pictures", type=int, default=2)
    parser.add_argument(
        "--side", type=int, default=400, help="pixels of a picture's shorter side, as detectors see it"
    )
    arguments = parser.parse_args()
    pictures = [
        render_scene(sample_scene(11, index), 480).image.resize((640, 480))
        for index in range(arguments.pictures)
    ]
    print("| seconds a picture | transformers | the authors' package | transformers over theirs |")
    print("|---|---|---|---|")
    with TemporaryDirectory() as folder:
        print(
            _row(
                f"Grounding DINO, SwinT, {arguments.side} pixels",
                *_detectors(Path(folder), arguments.side),
                pictures,
                arguments.rounds,
            )
        )
        print(_row("SAM, ViT-B, 3 boxes", *_segmenters(Path(folder)), pictures, arguments.rounds))


Work = Callable[[Sequence[Image]], Any]


def _detectors(folder: Path, side: int) -> tuple[Work, Work]:
    torch.manual_seed(0)
    path = folder / "swint.pth"
    torch.save(built(_SWIN_T, AutoTokenizer.from_pretrained(_TEXT)).state_dict(), path)
    converted(path, folder / "dino", _TEXT, 8)
    sides: dict[str, Any] = {"short_side": side, "long_side": side * 5 // 3}
    pair = (
        GroundingDino(model=str(folder / "dino"), **sides).load(),
        GroundingDinoPy(model=str(path), text=_TEXT, **sides).load(),
    )
    ours, theirs = (lambda images, it=it: it.detect(images, [_PHRASES] * len(images), 0.3) for it in pair)
    return ours, theirs


def _segmenters(folder: Path) -> tuple[Work, Work]:
    from segment_anything import sam_model_registry  # pyright: ignore[reportMissingImports]

    torch.manual_seed(0)
    path = folder / "vit_b.pth"
    torch.save(sam_model_registry["vit_b"]().state_dict(), path)
    converted(path, folder / "sam", _TEXT, 8)
    pair = Sam(model=str(folder / "sam")).load(), SegmentAnything(model=str(path)).load()
    ours, theirs = (
        lambda images, it=it: it.segment(images, [_BOXES * np.array([*i.size] * 2) for i in images])
        for it in pair
    )
    return ours, theirs


def _row(name: str, ours: Work, theirs: Work, pictures: Sequence[Image], rounds: int) -> str:
    for work in (ours, theirs):
        work(pictures[:1])
    times = [[_seconds(work, pictures) for work in (ours, theirs)] for _ in range(rounds)]
    first, second = zip(*times, strict=True)
    ratios = [one / other for one, other in times]
    return f"| {name} | {spread(first)} | {spread(second)} | {spread(ratios)} |"


def _seconds(work: Work, pictures: Sequence[Image]) -> float:
    began = time.perf_counter()
    for picture in pictures:
        work([picture])
    return (time.perf_counter() - began) / len(pictures)


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""Scenes as files: `images/*.jpg` and one line of truth a scene."""

import json
from dataclasses import asdict
from errno import EEXIST
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from models.miniature.world.render import Rendered, render_scene
from models.miniature.world.scene import sample_scene


def truth_record(file: str, rendered: Rendered) -> dict[str, Any]:
    """All that is true of a picture, as JSON values.

    Boxes are xyxy pixels, half-open; masks are COCO run lengths of the visible pixels.
    """
    objects = [
        {
            "noun": subject.identity.noun,
            "box": list(subject.box),
            "rle": _run_lengths(subject.mask),
            "identity": asdict(subject.identity),
            "identity_id": subject.identity.id,
        }
        for subject in rendered.subjects
    ]
    return {
        "file": file,
        "caption": rendered.caption,
        "background": rendered.background,
        "width": rendered.image.width,
        "height": rendered.image.height,
        "objects": objects,
    }


def write_scenes(folder: Path, count: int, seed: int, size: int = 256) -> None:
    """Render scenes 0 to count - 1 of a seed into `folder/images` and `folder/truth.jsonl`.

    The truth appears when all pictures are there.

    Raises:
        FileExistsError: if `folder/images` holds anything that would be no picture of these scenes.
    """
    images, partial = folder / "images", folder / "truth.jsonl.partial"
    images.mkdir(parents=True, exist_ok=True)
    names = [f"{index:06d}.jpg" for index in range(count)]
    if others := {path.name for path in images.iterdir()} - set(names):
        raise FileExistsError(EEXIST, f"{images} holds other files, such as {min(others)}")
    (folder / "truth.jsonl").unlink(missing_ok=True)
    with partial.open("w", encoding="utf-8") as truth:
        for index, file in enumerate(names):
            rendered = render_scene(sample_scene(seed, index), size)
            rendered.image.save(images / file, quality=92, subsampling=0)
            truth.write(json.dumps(truth_record(file, rendered)) + "\n")
    partial.replace(folder / "truth.jsonl")


def _run_lengths(mask: np.ndarray) -> dict[str, Any]:
    encoded = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    counts = encoded["counts"]
    return {"size": list(mask.shape), "counts": counts.decode() if isinstance(counts, bytes) else counts}

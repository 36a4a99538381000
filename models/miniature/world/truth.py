# SPDX-License-Identifier: Apache-2.0
"""Scenes as files: `images/*.jpg` and one line of truth a scene."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from errno import EEXIST
from itertools import count as numbers
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from models.miniature.who import Who
from models.miniature.world.render import Rendered, render_scene
from models.miniature.world.scene import Scene, sample_scene
from models.miniature.world.split import held_out_identity


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


def scenes_of(seed: int, who: Who = Who.anyone) -> Iterator[Scene]:
    """The scenes of a seed that show such subjects, in order, for ever."""
    return (scene for scene in (sample_scene(seed, index) for index in numbers()) if _shows(scene, who))


def write_scenes(folder: Path, count: int, seed: int, size: int = 256, who: Who = Who.anyone) -> None:
    """Render the first scenes of a seed into `folder/images` and `folder/truth.jsonl`.

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
        for file, scene in zip(names, islice(scenes_of(seed, who), count), strict=True):
            rendered = render_scene(scene, size)
            rendered.image.save(images / file, quality=92, subsampling=0)
            truth.write(json.dumps(truth_record(file, rendered)) + "\n")
    partial.replace(folder / "truth.jsonl")


def _run_lengths(mask: np.ndarray) -> dict[str, Any]:
    encoded = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    counts = encoded["counts"]
    return {"size": list(mask.shape), "counts": counts.decode() if isinstance(counts, bytes) else counts}


def _shows(scene: Scene, who: Who) -> bool:
    held = [held_out_identity(placement.identity) for placement in scene.placements]
    return who == Who.anyone or all(each == (who == Who.held_out) for each in held)

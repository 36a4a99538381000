# SPDX-License-Identifier: Apache-2.0
"""All masks of a sample in one 8-bit picture: 0 is background, i is entity i."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask


def label_map(entities: Sequence[dict[str, Any]], width: int, height: int) -> np.ndarray:
    """Paint the entities' masks, the best on top.

    Args:
        entities: in the order of their ids 1 to n, each with its `rle`.
        width: of the picture, in pixels.
        height: of the picture, in pixels.

    Returns:
        uint8 (height, width).

    Raises:
        ValueError: if ids are not 1 to n, if there are more than 255, or if a mask is missing or has
            another size.
    """
    if [entity["id"] for entity in entities] != list(range(1, len(entities) + 1)) or len(entities) > 255:
        raise ValueError("entities must have the ids 1 to n, at most 255, in this order")
    labels = np.zeros((height, width), np.uint8)
    for entity in reversed(entities):
        rle = entity["rle"]
        if rle is None or rle["size"] != [height, width]:
            raise ValueError(f"entity {entity['id']} has no mask of {width} x {height} pixels")
        labels[coco_mask.decode(rle).astype(bool)] = entity["id"]
    return labels


def encode_png(labels: np.ndarray) -> bytes:
    """An 8-bit grey PNG; not a palette one, whose ids readers turn into colours."""
    stream = io.BytesIO()
    Image.fromarray(labels, mode="L").save(stream, format="PNG", compress_level=6)
    return stream.getvalue()

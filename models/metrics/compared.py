# SPDX-License-Identifier: Apache-2.0
"""Pictures compared two by two, in each region: with the others of their set, and with given ones.

Whoever draws no subject where there should be one has failed: it is as unlike as can be, and not left out.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from PIL.Image import Image

from models.metrics.image_set import ImageSet, Pictured, Scores
from models.metrics.regions import Ground, Region, cut_out, without

Seen = list[Any | None]
"""What a model sees in some views of pictures; None where there is no view."""
Look = Callable[[Sequence[Image]], Sequence[Any]]
Compare = Callable[[Any, Any], float]


def compared(
    images: ImageSet,
    name: str,
    regions: Sequence[Region],
    ground: Ground,
    look: Look,
    compare: Compare,
    failed: float,
) -> list[Scores]:
    """Values `<name>_<region>_pairs`, `<name>_<region>_reference` and `<name>_style` of each picture.

    Of several subjects it is their mean. A style is of the whole picture.

    Args:
        images: the set.
        name: of the metric.
        regions: to compare.
        ground: that views are laid on.
        look: from views to what is compared.
        compare: two of these.
        failed: the value where a subject is not found.
    """
    scores: list[Scores] = [{} for _ in images.pictures]
    for region in regions:
        pairs, given = [], []
        for subject, references in _of_region(images, region):
            ours = _seen([_view(each, region, subject, ground) for each in images.pictures], look)
            theirs = _seen([_view(each, region, 0, ground) for each in references], look)
            pairs.append(_others(ours, compare, failed))
            given.append([_mean(one, theirs, compare, failed) for one in ours])
        for kind, values in (("pairs", pairs), ("reference", given)):
            for place, of_subjects in enumerate(zip(*values, strict=True)):
                known = [value for value in of_subjects if value is not None]
                if known and len(known) == len(of_subjects):
                    scores[place][f"{name}_{region}_{kind}"] = float(np.mean(known))
    if images.style:
        ours, theirs = look([each.image for each in images.pictures]), look(images.style)
        for known, one in zip(scores, ours, strict=True):
            known[f"{name}_style"] = float(np.mean([compare(one, other) for other in theirs]))
    return scores


def _of_region(images: ImageSet, region: Region) -> Iterator[tuple[int, Sequence[Pictured]]]:
    """Subjects of a region with their references: what is around them is the same for all."""
    references = images.references or tuple(() for _ in images.words)
    if region == "subject":
        yield from enumerate(references)
    else:
        yield 0, [picture for some in references for picture in some]


def _view(picture: Pictured, region: Region, subject: int, ground: Ground) -> Image | None:
    if region == "whole":
        return picture.image
    if region == "background":
        return without(picture.image, picture.masks, ground)
    return cut_out(picture.image, picture.masks[subject], ground)


def _seen(views: Sequence[Image | None], look: Look) -> Seen:
    seen = iter(look([view for view in views if view is not None]))
    return [None if view is None else next(seen) for view in views]


def _others(ours: Seen, compare: Compare, failed: float) -> list[float | None]:
    return [
        _mean(one, [*ours[:place], *ours[place + 1 :]], compare, failed) for place, one in enumerate(ours)
    ]


def _mean(one: Any | None, others: Seen, compare: Compare, failed: float) -> float | None:
    if not others:
        return None
    return float(
        np.mean([failed if one is None or other is None else compare(one, other) for other in others])
    )

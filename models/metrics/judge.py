# SPDX-License-Identifier: Apache-2.0
"""What the miniature's judge reads: a network that was trained on rendered truth, for measuring alone.

A picture's truth is a mapping with any of `background`, the name of one; `stated`, of each subject the
attributes that the prompt states; `identities`, of each subject all attributes, where it is a given one;
`boxes`, of each subject x1, y1, x2, y2 in [0, 1] where it was asked to be; `style`, the name of one, which is
taken off again where the picture shows it, since the judge has learnt to read pictures without.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from models.backends.runtime import Runtime
from models.backends.weights import located
from models.metrics.image_set import ImageSet, Measure, Scores
from models.miniature.world import MARKS
from models.miniature.world.styles import STYLES

if TYPE_CHECKING:
    from PIL.Image import Image

    from models.miniature.judge import Judge, Reading, SeenSubject

ATTRIBUTES = MARKS[1:]
"""What has to be the same for two subjects to be one; the noun is seen to before."""
_STYLED = 0.9
"""The share of a picture's pixels that shows that it is in a style; renders without one have 0.6 at most."""
Found = Sequence["SeenSubject | None"]


@dataclass(frozen=True, kw_only=True)
class MiniatureJudge(Runtime):
    """Shares of pictures in which something is right; in [0, 1]."""

    name: ClassVar[str] = "judge"
    better: ClassVar[str] = "higher"
    model: str = "miniature:judge"
    """Local folder, or `miniature:NAME`."""

    def load(self) -> Measure:
        """The judge.

        Raises:
            MissingWeights: it is not there.
        """
        from models.miniature.judge import Judge

        self.place()
        return _Loaded(Judge.from_pretrained(Path(located(self.model))))


class _Loaded:
    def __init__(self, judge: Judge) -> None:
        self._judge = judge

    def __call__(self, images: ImageSet) -> list[Scores]:
        truths = images.truth or tuple({} for _ in images.pictures)
        pictures = [_plain(each.image, truth) for each, truth in zip(images.pictures, truths, strict=True)]
        readings = self._judge.read(pictures)
        found = [assigned(images.words, r, truth) for r, truth in zip(readings, truths, strict=True)]
        scores: list[Scores] = []
        for place, (reading, truth) in enumerate(zip(readings, truths, strict=True)):
            others = found[:place] + found[place + 1 :]
            scores.append(
                {
                    "judge_noun": float(np.mean([seen is not None for seen in found[place]])),
                    **_by_truth(found[place], reading, truth),
                    **_by_style(images.pictures[place].image, truth),
                    **_by_others(found[place], others),
                }
            )
        return scores


def _plain(image: Image, truth: Mapping[str, Any]) -> Image:
    """What a picture shows, without its style if it is in that."""
    style = STYLES.get(truth.get("style", ""))
    return style.undone(image) if style and style.shown(image) >= _STYLED else image


def _by_style(image: Image, truth: Mapping[str, Any]) -> Scores:
    style = STYLES.get(truth.get("style", ""))
    return {"judge_style": float(style.shown(image) >= _STYLED)} if style else {}


def assigned(words: Sequence[str], reading: Reading, truth: Mapping[str, Any]) -> Found:
    """The subject that is seen for each word, None where none is; of several the one that fits best.

    Args:
        words: what the subjects are called; the last word is the noun.
        reading: of the picture.
        truth: of the picture; what it says of a subject decides between several of its noun.
    """
    left, found = [*reading.subjects], []
    wanted = truth.get("identities") or truth.get("stated") or [{} for _ in words]
    for word, attributes in zip(words, wanted, strict=True):
        candidates = [seen for seen in left if seen.identity.noun == word.split()[-1]]
        best = max(candidates, key=lambda seen: _agreed(seen, attributes or {}), default=None)
        found.append(best)
        left = [seen for seen in left if seen is not best]
    return found


def _agreed(seen: SeenSubject, attributes: Mapping[str, Any]) -> int:
    return sum(getattr(seen.identity, name) == value for name, value in attributes.items())


def _by_truth(found: Found, reading: Reading, truth: Mapping[str, Any]) -> Scores:
    scores: Scores = {}
    if truth.get("background"):
        scores["judge_background"] = float(reading.background == truth["background"])
    stated: Sequence[Mapping[str, Any]] = truth.get("stated") or []
    if any(stated):
        right = [_right(seen, each) for seen, each in zip(found, stated, strict=True) if each]
        scores["judge_stated"] = float(np.mean(right))
    identities: Sequence[Mapping[str, Any]] = truth.get("identities") or []
    if identities and all(identities):
        pairs = [*zip(found, identities, strict=True)]
        for name in ATTRIBUTES:
            scores[f"judge_{name}_reference"] = float(np.mean([_right(s, {name: i[name]}) for s, i in pairs]))
        whole = [_right(seen, {name: one[name] for name in ATTRIBUTES}) for seen, one in pairs]
        scores["judge_identity_reference"] = float(np.mean(whole))
        scores["judge_all_reference"] = float(all(whole))
    if truth.get("boxes"):
        inside = [_inside(seen, box) for seen, box in zip(found, truth["boxes"], strict=True)]
        scores["judge_position"] = float(np.mean(inside))
    return scores


def _right(seen: SeenSubject | None, attributes: Mapping[str, Any]) -> bool:
    return seen is not None and _agreed(seen, attributes) == len(attributes)


def _inside(seen: SeenSubject | None, box: Sequence[float]) -> bool:
    """Whether the middle of what is seen lies where it was asked to be."""
    if seen is None:
        return False
    side = len(seen.mask)
    x, y = ((seen.box[axis] + seen.box[axis + 2]) / 2 / side for axis in (0, 1))
    return box[0] <= x <= box[2] and box[1] <= y <= box[3]


def _by_others(found: Found, others: Sequence[Found]) -> Scores:
    """How many of the set's other pictures show the same."""
    if not others:
        return {}
    shares = {name: _alike(found, others, (name,)) for name in ATTRIBUTES}
    shares["identity"] = _alike(found, others, ATTRIBUTES)
    return {f"judge_{name}_pairs": share for name, share in shares.items()}


def _alike(found: Found, others: Sequence[Found], names: Sequence[str]) -> float:
    same = [
        one is not None
        and its is not None
        and all(getattr(one.identity, name) == getattr(its.identity, name) for name in names)
        for other in others
        for one, its in zip(found, other, strict=True)
    ]
    return float(np.mean(same))

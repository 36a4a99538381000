# SPDX-License-Identifier: Apache-2.0
"""What a row of an evaluation asks for: one picture of a set.

A set is all prompts of one method, one choice of subjects and one seed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from stages.setting import Setting


@dataclass(frozen=True, kw_only=True)
class Individual:
    """One particular subject, or a style."""

    name: str
    word: str
    """What prompts call it."""
    references: tuple[str, ...] = ()
    """Given pictures, see `models.references`."""
    digests: tuple[str | None, ...] = ()
    """Of the pictures, see `models.references.digest_of_reference`; pictures may be any if not given."""
    captions: tuple[str, ...] = ()
    """Of the pictures, each with the word once; simple ones where not given."""
    prompt: str | None = None
    """That it is first drawn with, by methods that draw it themselves; of the word alone if not given."""

    @property
    def given(self) -> list[tuple[str, str | None]]:
        """Each picture's name and digest."""
        return list(zip(self.references, self.digests or (None,) * len(self.references), strict=True))


@dataclass(frozen=True, kw_only=True)
class SetRow:
    """One picture; rows of a set differ in prompt, truth and place alone."""

    setting: str
    """Name of the method with its options."""
    method: Setting
    name: str
    """Of the set's subjects."""
    seed: int
    individuals: tuple[Individual, ...]
    prompt: str
    place: int
    """Of the prompt in the set, from 0."""
    boxes: tuple[tuple[float, float, float, float], ...] | None = None
    """Where each subject is asked to be: x1, y1, x2, y2 in [0, 1]."""
    truth: Mapping[str, Any] = field(default_factory=dict)
    """What is known of the picture, for `models.metrics.judge`."""
    style: Individual | None = None
    """That the picture is to be in, where a set has one."""
    teacher: Setting | None = None
    """The setting that the subjects are learnt by; the method's own if None."""

    @property
    def words(self) -> tuple[str, ...]:
        """What the prompt calls the subjects."""
        return tuple(each.word for each in self.individuals)

    def text(self) -> str:
        """As JSON on one line."""
        return json.dumps(asdict(self), ensure_ascii=False, sort_keys=True)

    @classmethod
    def read(cls, text: str) -> Self:
        """What `text` wrote.

        Raises:
            ValueError: it is something else.
        """
        try:
            told = json.loads(text)
            individuals = tuple(_individual(each) for each in told.pop("individuals"))
            boxes, teacher, style = (told.pop(name) for name in ("boxes", "teacher", "style"))
            placed = None if boxes is None else tuple((b[0], b[1], b[2], b[3]) for b in boxes)
            return cls(
                **{**told, "method": Setting(**told["method"])},
                individuals=individuals,
                boxes=placed,
                style=None if style is None else _individual(style),
                teacher=None if teacher is None else Setting(**teacher),
            )
        except (KeyError, TypeError, IndexError, AttributeError) as error:
            raise ValueError(f"this is no row of an evaluation: {text[:80]}") from error


def _individual(told: Mapping[str, Any]) -> Individual:
    lists = {name: tuple(told[name]) for name in ("references", "digests", "captions")}
    return Individual(**{**told, **lists})

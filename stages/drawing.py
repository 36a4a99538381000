# SPDX-License-Identifier: Apache-2.0
"""How a set is drawn: its subjects learnt where the method learns, then all prompts by their seeds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.consistency.method import Cost, Sampling, Subject, Tell, silent
from models.consistency.registry import Entry, entry
from models.consistency.seeds import picture_seeds
from models.metrics.image_set import Pictured
from models.metrics.regions import cut_out
from stages.set_row import Individual, SetRow
from stages.setting import Setting

if TYPE_CHECKING:
    from PIL.Image import Image

    from models.consistency.state import State
    from models.generation import TextToImage

References = tuple[tuple[Pictured, ...], ...]


class Drawing:
    """Draws sets; keeps the models that it has loaded."""

    def __init__(self, sampler: TextToImage, negative: str | None, folder: Path) -> None:
        """
        Args:
            sampler: the model that methods work in.
            negative: prompt, for methods that take one.
            folder: for what is learnt of subjects.
        """
        self._sampler, self._negative, self._folder = sampler, negative, folder
        self._pipes: dict[str, Any] = {}

    def __call__(
        self, rows: Sequence[SetRow], references: References, tell: Tell = silent
    ) -> tuple[list[Image], Cost]:
        """A picture a row.

        Args:
            rows: of one set.
            references: given pictures of each subject, with their masks.
            tell: of progress.

        Raises:
            BackendError: weights or devices are missing.
            ValueError: the method cannot do this with this model.
        """
        first, setting = rows[0], rows[0].method
        kind, method = entry(setting.method), setting.built()
        pipe = self._pipe(kind, setting)
        sampling = self._sampling(kind)
        states, seconds = self._states(kind, first, references, pipe, sampling, tell)
        subject = _subject(first.individuals, kind, setting, references, rows)
        composed, more = _composed(kind, states), _placed(kind, method, first)
        images, drawn = [], 0.0
        for some in self._batches(kind, rows):
            # Of a seed and a place: the same noise whatever draws it, and in whichever batch.
            seeds = [picture_seeds(row.seed, 1, row.place)[0] for row in some]
            prompts = [row.prompt for row in some]
            images += method.generate(pipe, subject, composed, prompts, seeds, sampling, tell, **more)
            drawn += method.cost().image_seconds * len(some)
        return images, Cost(seconds, drawn / len(rows), sum(state.bytes for state in states))

    def _batches(self, kind: Entry, rows: Sequence[SetRow]) -> Iterator[Sequence[SetRow]]:
        """As many pictures at a time as the sampler may draw; all where they see each other."""
        size = len(rows) if kind.anchored else self._sampler.batch_size
        for start in range(0, len(rows), size):
            yield rows[start : start + size]

    def _pipe(self, kind: Entry, setting: Setting) -> Any:
        name = setting.model or "miniature:subject_diffusion" if kind.cut_out else self._sampler.model
        if name not in self._pipes:
            self._pipes[name] = self._loaded(kind, name)
        return self._pipes[name]

    def _loaded(self, kind: Entry, name: str) -> Any:
        if not kind.cut_out:
            return self._sampler.load()
        from models.subject_diffusion.drawing import SubjectsToImage

        names = ("device", "dtype", "threads", "size")
        return (
            SubjectsToImage(model=name, **{each: getattr(self._sampler, each) for each in names})
            .load()
            .pipeline
        )

    def _sampling(self, kind: Entry) -> Sampling:
        sampler = self._sampler
        negative = None if kind.cut_out else self._negative
        return Sampling(
            steps=sampler.steps,
            guidance=sampler.guidance,
            height=sampler.size,
            width=sampler.size,
            negative=negative,
        )

    def _states(
        self,
        kind: Entry,
        row: SetRow,
        references: References,
        pipe: Any,
        sampling: Sampling,
        tell: Tell,
    ) -> tuple[list[State], float]:
        """What is learnt of each subject, or of all together by a method that draws them itself."""
        from models.consistency.learned import learned

        if not kind.tuned:
            return [], 0.0
        teacher = row.teacher or row.method
        alone = [(each,) for each in row.individuals] if kind.pictures else [row.individuals]
        given = [(each,) for each in references] if kind.pictures else [references]
        found, seconds = [], 0.0
        for individuals, pictures in zip(alone, given, strict=True):
            subject = _subject(individuals, kind, teacher, pictures, ())
            folder = self._folder / teacher.method / _name_of(self._sampler, teacher, individuals)
            state, took = learned(folder, lambda s=subject: teacher.built().fit(pipe, s, sampling, tell))
            found.append(state)
            seconds += took
        return found, seconds


def _name_of(sampler: TextToImage, teacher: Setting, individuals: Sequence[Individual]) -> str:
    """A folder's name: readable, and no other subjects', options' or model's."""
    how = {name: value for name, value in asdict(teacher).items() if name not in ("curve", "about")}
    told = json.dumps([asdict(sampler), how, *(asdict(each) for each in individuals)], sort_keys=True)
    names = "+".join(
        "".join(c if c.isalnum() or c in "-_" else "-" for c in each.name) for each in individuals
    )
    return f"{names[:80]}-{hashlib.sha256(told.encode()).hexdigest()[:8]}"


def _subject(
    individuals: Sequence[Individual],
    kind: Entry,
    setting: Setting,
    references: References,
    rows: Sequence[SetRow],
) -> Subject:
    """As the method is told of it; `rows` are empty while it is learnt."""
    shown = [each[: setting.given] for each in references]
    captions = [each.captions[: setting.given] for each in individuals]
    if kind.cut_out:
        pictures = tuple(_alone(each) for each in shown)
        captions = []
    elif rows and kind.tuned:
        # What was learnt of them is enough.
        pictures, captions = (), []
    else:
        pictures = tuple(picture.image for each in shown for picture in each)
    return Subject(
        words=tuple(each.word for each in individuals),
        pictures=pictures,
        captions=tuple(caption for each in captions for caption in each) if pictures else (),
        prompt=individuals[0].prompt if len(individuals) == 1 else None,
    )


def _alone(pictures: Sequence[Pictured]) -> Image:
    """The first picture in which the subject was found, cut out."""
    for picture in pictures:
        if (found := cut_out(picture.image, picture.masks[0], "white")) is not None:
            return found
    raise ValueError("the subject was found in none of its pictures; give others, or lower the threshold")


def _composed(kind: Entry, states: Sequence[State]) -> Any:
    if not states:
        return None
    if kind.method.endswith(":Cones2"):
        from models.consistency.cones2.cones2 import composed

        return composed([*states])
    return [*states] if kind.merges and len(states) > 1 else states[0]


def _placed(kind: Entry, method: Any, row: SetRow) -> dict[str, Any]:
    """Where subjects are asked to be, for methods that can be told."""
    if row.boxes is None:
        return {}
    if kind.cut_out:
        return {"boxes": [*row.boxes]}
    if kind.method.endswith(":Cones2") and method.options.layout_weight:
        from models.consistency.cones2.layout import layout_of_boxes

        return {"layout": layout_of_boxes([*row.boxes])}
    return {}

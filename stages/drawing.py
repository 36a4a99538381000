# SPDX-License-Identifier: Apache-2.0
"""How a set is drawn: its subjects learnt where the method learns, then all prompts by their seeds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.consistency.method import Cost, Sampling, Tell, silent
from models.consistency.registry import Entry, entry
from models.consistency.seeds import picture_seeds
from stages.learning import Given, states_of, subject_of
from stages.set_row import SetRow
from stages.setting import Setting

if TYPE_CHECKING:
    from PIL.Image import Image

    from models.consistency.state import State
    from models.generation import TextToImage


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

    def __call__(self, rows: Sequence[SetRow], given: Given, tell: Tell = silent) -> tuple[list[Image], Cost]:
        """A picture a row.

        Args:
            rows: of one set.
            given: pictures of the subjects and of the style.
            tell: of progress.

        Raises:
            BackendError: weights or devices are missing.
            ValueError: the method cannot do this with this model.
        """
        first, setting = rows[0], rows[0].method
        kind, method = entry(setting.method), setting.built()
        pipe, sampling = self._pipe(kind, setting), self._sampling(kind)
        states, seconds = states_of(first, given, self._folder, self._sampler, pipe, sampling, tell)
        # What was learnt of subjects is enough.
        shown = [() for _ in first.individuals] if kind.tuned else given.subjects
        subject = subject_of(first.individuals, kind, setting, shown)
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

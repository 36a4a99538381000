# SPDX-License-Identifier: Apache-2.0
"""Training samples by their position in the order; one that cannot be used is replaced, and counted.

Shapes: see `example.py` and `dice.py`.
"""

from collections import Counter
from dataclasses import dataclass
from functools import partial

from PIL import Image
from torch.utils.data import Dataset

from models.subject_diffusion.template import BadPrompt, Template
from pipeline.errors import UserError
from pipeline.train.dice import Dice, picture_rng, substitute_start, throw
from pipeline.train.example import Example, Frame, Unusable, example_of
from pipeline.train.order import Order, Place
from pipeline.train.records import BadRecord, record_of
from pipeline.train.rules import Rules
from pipeline.train.shards import Shards

_ATTEMPTS = 1000


@dataclass(frozen=True, slots=True)
class Sample:
    """What a position gives."""

    example: Example
    dice: Dice
    skipped: tuple[str, ...]
    """Why each sample that would have come first was not used."""
    row: int | None = None
    """Number in the dataset, where the example is the same whenever it comes."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How samples are made of what the shards hold."""

    rules: Rules
    frame: Frame
    template: Template
    latent_CHW: tuple[int, int, int]
    seed: int = 0
    block: int = 8
    """Shards whose rows are mixed."""
    fixed: bool = False
    """Whether a row gives the same example in every epoch."""
    bare_captions: float = 0.0
    """See `TrainConfig`."""


class Samples(Dataset[Sample]):
    """Every sample, for ever."""

    def __init__(self, shards: Shards, reading: Reading) -> None:
        """
        Args:
            shards: of the dataset.
            reading: how its samples are used.

        Raises:
            UserError: the dataset has no sample.
        """
        try:
            self.order = Order(shards.sizes, reading.seed, reading.block)
        except ValueError as error:
            raise UserError(f"{error}: every row of the dataset was rejected or failed") from error
        self._shards, self._reading = shards, reading

    def __getitem__(self, position: int) -> Sample:
        """The sample of a position, or the first usable one of those that follow a drawn place.

        Raises:
            UserError: none of 1,000 samples, or of all, can be used; with the reasons. Or a shard cannot be
                read.
        """
        reading, skipped = self._reading, []
        size = self.order.epoch_size
        start = substitute_start(reading.seed, position, size)
        for attempt in range(min(size, _ATTEMPTS) + 1):
            place = self.order.at(position if attempt == 0 else (start + attempt) % size)
            try:
                example = self._example(place, position, attempt)
            except (BadRecord, BadPrompt, Unusable) as error:
                skipped.append(_reason(error))
                continue
            dice = throw(reading.seed, position, reading.latent_CHW)
            return Sample(example, dice, tuple(skipped), self.order.number(place) if reading.fixed else None)
        raise UserError(
            f"no usable sample among {len(skipped)}: {_told(skipped)}; "
            "loosen `rules`, or build another dataset"
        )

    def _example(self, place: Place, position: int, attempt: int) -> Example:
        reading = self._reading
        if reading.fixed:
            position, attempt = self.order.number(place), 0
        rng = picture_rng(reading.seed, position, attempt)
        record = record_of(self._members(place))
        other = partial(self._picture, int(rng.integers(self.order.epoch_size)))
        example = example_of(record, reading.rules, reading.frame, rng, other, reading.bare_captions)
        # What the template refuses, such as a caption that has the placeholder in it, is told now.
        reading.template.encode([example.caption], [example.labels])
        return example

    def _picture(self, position: int) -> Image.Image:
        """Any picture of the dataset, for what is behind a reference."""
        return record_of(self._members(self.order.at(position))).image

    def _members(self, place: Place) -> dict[str, bytes]:
        try:
            return self._shards.read(place)
        except OSError as error:
            raise UserError(
                f"cannot read {self._shards.name(place)}: {error}; see what `subjectforge verify` says"
            ) from error


def _reason(error: ValueError) -> str:
    return str(error) if isinstance(error, Unusable) else f"{type(error).__name__}: {error}"


def _told(reasons: list[str]) -> str:
    return ", ".join(f"{reason} ({count})" for reason, count in Counter(reasons).most_common(5))

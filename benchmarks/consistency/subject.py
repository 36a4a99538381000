# SPDX-License-Identifier: Apache-2.0
"""The subject that methods are shown with: a cat of the miniature's world that no training has seen."""

from dataclasses import dataclass

from PIL import Image

from models.consistency.method import Subject
from models.miniature.world import (
    BACKGROUNDS,
    Identity,
    Placement,
    Rendered,
    Scene,
    held_out_identity,
    render_scene,
)
from pipeline.train.reference import cut_out

_PLACES = ("grass", "beach", "street", "kitchen")
_PIXELS = 128


@dataclass(frozen=True, slots=True)
class Chosen:
    """An identity and pictures of it."""

    identity: Identity
    pictures: tuple[Image.Image, ...]
    alone: Image.Image
    """The first of them, cut out: RGBA."""

    @property
    def bare(self) -> Subject:
        """By its word alone, for methods that draw it themselves."""
        return Subject(words=(self.identity.noun,))

    @property
    def shown(self) -> Subject:
        """With its pictures, and what else is to be seen on them."""
        noun = self.identity.noun
        captions = tuple(f"a {noun} {BACKGROUNDS[place]}" for place in _PLACES)
        return Subject(words=(noun,), pictures=self.pictures, captions=captions)


def chosen_subject() -> Chosen:
    """The same each time."""
    identity = Identity("cat", "orange", "blue", "striped", "stocky", 1)
    if not held_out_identity(identity):
        raise ValueError(f"{identity.id} is not held out from training")
    scenes = [_rendered(identity, number) for number in range(len(_PLACES))]
    (subject,) = scenes[0].subjects
    alone = cut_out(scenes[0].image, subject.mask, subject.box)
    return Chosen(identity, tuple(scene.image for scene in scenes), alone)


def _rendered(identity: Identity, number: int) -> Rendered:
    angle, mirror = (-8.0, 5.0, 0.0, 9.0)[number], number % 2 == 1
    placement = Placement(identity, (0.5, 0.52), 0.68, angle, mirror)
    return render_scene(Scene(_PLACES[number], (placement,), (20261127, number)), _PIXELS)

# SPDX-License-Identifier: Apache-2.0
"""What is asked: held-out identities, each with a reference picture, in places that are named and no more."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from models.miniature.world import (
    BACKGROUNDS,
    NOUNS,
    Identity,
    Mention,
    Placement,
    Prompt,
    Scene,
    held_out_identity,
    render_scene,
    sample_identity,
)
from models.subject_diffusion.placing import Box, usual_boxes
from pipeline.train.reference import cut_out

_PIXELS = 128
_BOXES = {1: usual_boxes(1), 2: [(0.04, 0.28, 0.48, 0.72), (0.52, 0.28, 0.96, 0.72)]}


@dataclass(frozen=True, slots=True)
class Case:
    """A prompt with its subjects."""

    identities: tuple[Identity, ...]
    """In the order of their nouns' names, as in the prompt."""
    references: tuple[Image.Image, ...]
    """Cut out of another picture: RGBA."""
    prompt: Prompt

    @property
    def labels(self) -> tuple[str, ...]:
        """The nouns."""
        return tuple(identity.noun for identity in self.identities)

    @property
    def boxes(self) -> list[Box]:
        """Where the subjects are to be, of the sizes that the world gives them."""
        return _BOXES[len(self.identities)]


def cases(count: int, subjects: int, seed: int) -> list[Case]:
    """Different held-out identities before the backgrounds in turn, the same for the same arguments."""
    rng, places = np.random.default_rng((seed, subjects)), list(BACKGROUNDS)
    found = []
    for number in range(count):
        nouns = sorted(rng.choice(NOUNS, subjects, replace=False).tolist())
        identities = tuple(_held_out(noun, rng) for noun in nouns)
        references = tuple(_reference(identity, (seed, number, k)) for k, identity in enumerate(identities))
        mentions = tuple(Mention(noun) for noun in nouns)
        found.append(Case(identities, references, Prompt(mentions, places[number % len(places)])))
    return found


def _held_out(noun: str, rng: np.random.Generator) -> Identity:
    while True:
        identity = sample_identity(rng, noun)
        if held_out_identity(identity):
            return identity


def _reference(identity: Identity, seed: Sequence[int]) -> Image.Image:
    rng = np.random.default_rng(seed)
    placement = Placement(
        identity=identity,
        centre=(0.5, 0.5),
        side=0.7,
        angle=float(rng.uniform(-10, 10)),
        mirror=bool(rng.random() < 0.5),
    )
    scene = Scene(str(rng.choice(list(BACKGROUNDS))), (placement,), tuple(seed))
    rendered = render_scene(scene, _PIXELS)
    (subject,) = rendered.subjects
    return cut_out(rendered.image, subject.mask, subject.box)

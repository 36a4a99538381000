# SPDX-License-Identifier: Apache-2.0
"""Sets of rendered pictures whose every subject is known."""

from dataclasses import asdict, replace

import numpy as np
from PIL import Image

from models.metrics.image_set import ImageSet, Pictured
from models.miniature.world import BACKGROUNDS, Identity, Placement, Scene, render_scene

CAT = Identity("cat", "orange", "blue", "striped", "regular", 1)
PLACES = ("beach", "grass", "kitchen", "night", "snow")
PIXELS = 96


def rendered(identity, place, number=0, centre=(0.5, 0.5), side=0.65):
    placement = Placement(identity, centre, side, 0.0, False)
    scene = render_scene(Scene(place, (placement,), (77, number)), PIXELS)
    return Pictured(scene.image, (scene.subjects[0].mask,))


def set_of(identities, places=PLACES, references=(), **more):
    """A picture of each identity, in these places, one a prompt."""
    pictures = tuple(
        rendered(who, place, n) for n, (who, place) in enumerate(zip(identities, places, strict=True))
    )
    word = identities[0].noun
    prompts = tuple(f"a {word} {BACKGROUNDS[place]}" for place in places)
    truth = tuple({"background": place, "identities": [asdict(CAT)]} for place in places)
    return ImageSet((word,), prompts, pictures, (tuple(references),), truth, **more)


def others(count=5):
    """Cats, no two alike."""
    looks = [("red", "white", "plain"), ("blue", "pink", "spotted"), ("green", "yellow", "striped")]
    looks += [("purple", "orange", "plain"), ("white", "red", "spotted")]
    return [Identity("cat", *look, "regular", 0) for look in looks[:count]]


def noise(images):
    """The same set with noise for pictures; masks stay."""
    rng = np.random.default_rng(0)
    pictures = tuple(
        Pictured(Image.fromarray(rng.integers(0, 256, (PIXELS, PIXELS, 3), np.uint8)), each.masks)
        for each in images.pictures
    )
    return replace(images, pictures=pictures)


def noisier(images, share):
    """The first picture, and the same with so much of it noise, at most 1."""
    first = images.pictures[0]
    grain = np.random.default_rng(0).integers(0, 256, (PIXELS, PIXELS, 3)).astype(np.float32)
    mixed = ((1 - share) * np.asarray(first.image, np.float32) + share * grain).astype(np.uint8)
    other = Pictured(Image.fromarray(mixed), first.masks)
    return replace(images, pictures=(first, other), prompts=images.prompts[:2], truth=images.truth[:2])


def same(images):
    """All pictures of a set are its first one."""
    return replace(images, pictures=(images.pictures[0],) * len(images.pictures))


def without_subject(images, place):
    """The set with nothing found in one picture."""
    pictures = [*images.pictures]
    pictures[place] = Pictured(pictures[place].image, (None,))
    return replace(images, pictures=tuple(pictures))


def mean(scores, name):
    return float(np.mean([each[name] for each in scores]))

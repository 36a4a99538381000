# SPDX-License-Identifier: Apache-2.0
"""What one may ask a text-to-image model of the world for: a sentence, and what a picture must then show.

Unlike a caption, a prompt leaves attributes open. What it states is checked; what it does not is the
model's choice, which should vary from seed to seed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.miniature.world.caption import article
from models.miniature.world.identity import Identity
from models.miniature.world.vocabulary import BACKGROUNDS, COLOURS, NOUNS, PATTERNS


@dataclass(frozen=True, slots=True, order=True)
class Mention:
    """What a prompt says of one subject; None where it says nothing."""

    noun: str
    body: str | None = None
    pattern: str | None = None

    @property
    def text(self) -> str:
        """`a striped red cat`."""
        words = " ".join(filter(None, (self.pattern, self.body, self.noun)))
        return f"{article(words)} {words}"

    def fits(self, identity: Identity) -> bool:
        """Whether a subject is what is asked for."""
        asked = ((self.noun, identity.noun), (self.body, identity.body), (self.pattern, identity.pattern))
        return all(wanted in (None, shown) for wanted, shown in asked)


@dataclass(frozen=True, slots=True, order=True)
class Prompt:
    """One or two subjects, sorted by noun, and where they are."""

    mentions: tuple[Mention, ...]
    background: str | None = None
    somewhere: bool = False
    """Whether a single subject stands anywhere, at any size, instead of large in the middle."""

    @property
    def text(self) -> str:
        """`a red cat somewhere in the snow`, `a cat and a blue mug on the beach`."""
        subjects = " and ".join(mention.text for mention in sorted(self.mentions))
        place = None if self.background is None else BACKGROUNDS[self.background]
        return " ".join(filter(None, (subjects, "somewhere" if self.somewhere else None, place)))


def prompt_about(
    identities: Sequence[Identity], background: str, somewhere: bool, rng: np.random.Generator
) -> Prompt:
    """A prompt that a picture of these subjects fulfils; what it states is drawn.

    A body colour is stated in half of the cases, a pattern in two of five, the background in nine of ten.
    """
    mentions = tuple(
        Mention(
            identity.noun,
            identity.body if rng.random() < 0.5 else None,
            identity.pattern if rng.random() < 0.4 else None,
        )
        for identity in sorted(identities)
    )
    return Prompt(mentions, background if rng.random() < 0.9 else None, somewhere)


def sample_mention(rng: np.random.Generator, noun: str, body: bool, pattern: bool) -> Mention:
    """A noun with a drawn colour and pattern, where they are to be stated."""
    return Mention(
        noun, str(rng.choice(list(COLOURS))) if body else None, str(rng.choice(PATTERNS)) if pattern else None
    )


def sample_prompt(rng: np.random.Generator, subjects: int, somewhere: bool = False) -> Prompt:
    """A uniformly drawn prompt with a background.

    Args:
        rng: what is drawn from.
        subjects: how many, 1 or 2; never of the same noun.
        somewhere: see `Prompt.somewhere`.
    """
    nouns = sorted(rng.choice(NOUNS, size=subjects, replace=False))
    mentions = tuple(
        sample_mention(rng, str(noun), bool(rng.random() < 0.5), bool(rng.random() < 0.4)) for noun in nouns
    )
    return Prompt(mentions, str(rng.choice(list(BACKGROUNDS))), somewhere)

# SPDX-License-Identifier: Apache-2.0
"""The sentence that describes a scene."""

from collections.abc import Sequence

from models.miniature.world.identity import Identity
from models.miniature.world.vocabulary import BACKGROUNDS


def caption_of(identities: Sequence[Identity], background: str) -> str:
    """`a red cat and a blue mug in the snow`: subjects in the order of their nouns' names."""
    subjects = [_subject(identity) for identity in sorted(identities)]
    head = ", ".join(subjects[:-1])
    listed = f"{head} and {subjects[-1]}" if head else subjects[-1]
    return f"{listed} {BACKGROUNDS[background]}"


def article(words: str) -> str:
    """`a` or `an`, as the words after it want it."""
    return "an" if words[0] in "aeiou" else "a"


def _subject(identity: Identity) -> str:
    return f"{article(identity.body)} {identity.body} {identity.noun}"

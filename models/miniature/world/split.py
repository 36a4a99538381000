# SPDX-License-Identifier: Apache-2.0
"""What no training of a generative or embedding model ever sees, decided by hashes: the split is this file.

- One in ten combinations of noun, body colour and pattern: no subject with it is in a training picture.
- One in eight prompts, word for word, and every prompt that states a held-out combination.
"""

from collections.abc import Iterator
from hashlib import sha256
from itertools import product

import numpy as np

from models.miniature.world.identity import Identity
from models.miniature.world.prompt import Prompt, sample_prompt
from models.miniature.world.vocabulary import COLOURS, NOUNS, PATTERNS


def held_out_identity(identity: Identity) -> bool:
    """Whether training never shows a subject with this noun, body colour and pattern."""
    return held_out_combination(identity.noun, identity.body, identity.pattern)


def held_out_combination(noun: str, body: str, pattern: str) -> bool:
    """Whether a noun, a body colour and a pattern never occur together in training."""
    return _share(f"combination {noun} {body} {pattern}") < 0.1


def held_out_combinations() -> Iterator[tuple[str, str, str]]:
    """All of them, as noun, body colour and pattern."""
    return (each for each in product(NOUNS, COLOURS, PATTERNS) if held_out_combination(*each))


def held_out_prompt(prompt: Prompt) -> bool:
    """Whether no training picture is ever described by this prompt."""
    stated = [mention for mention in prompt.mentions if mention.body and mention.pattern]
    if any(
        held_out_combination(mention.noun, mention.body or "", mention.pattern or "") for mention in stated
    ):
        return True
    return _share(f"prompt {prompt.text}") < 0.125


def held_out_prompts(count: int, seed: int, subjects: int = 1, somewhere: bool = False) -> list[Prompt]:
    """Different held-out prompts, the same ones for the same arguments; see `sample_prompt`."""
    rng = np.random.default_rng((seed, subjects, int(somewhere)))
    found: dict[Prompt, None] = {}
    while len(found) < count:
        prompt = sample_prompt(rng, subjects, somewhere)
        if held_out_prompt(prompt):
            found[prompt] = None
    return list(found)


def _share(text: str) -> float:
    """A number in [0, 1) that is the text's own."""
    return int.from_bytes(sha256(text.encode()).digest()[:4], "big") / 2**32

# SPDX-License-Identifier: Apache-2.0
"""What the generative and embedding models train on: scenes of three layouts, without what is held out.

Shapes: N scenes, S = 3 places for subjects, B scenes of a batch, C = 3 channels, H = W = 64 pixels.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.miniature.train.scenes import TRAIN_SEED, SceneArrays, Series, load_scenes
from models.miniature.world.identity import Identity
from models.miniature.world.prompt import Prompt, prompt_about
from models.miniature.world.split import held_out_combinations, held_out_prompt
from models.miniature.world.vocabulary import BACKGROUNDS, BUILDS, COLOURS, NOUNS, PATTERNS, TRAITS

PIXELS = 64
LAYOUTS: tuple[Series, ...] = ("centred", "single", "pair")
COUNTS: dict[Series, int] = {"centred": 40_000, "single": 20_000, "pair": 30_000}
_COLOURS, _BACKGROUNDS, _BUILDS = list(COLOURS), list(BACKGROUNDS), list(BUILDS)


@dataclass(frozen=True, slots=True)
class Layout:
    """The scenes of one layout, and which of them may be trained on."""

    series: Series
    scenes: SceneArrays
    rows: np.ndarray
    """int64: those without a held-out identity."""

    def identities(self, row: int) -> list[Identity]:
        """Who is in a scene, by place."""
        arrays = self.scenes
        return [
            Identity(
                noun=NOUNS[arrays.noun_NS[row, place]],
                body=_COLOURS[arrays.colour_NS[row, place]],
                accent=_COLOURS[arrays.accent_NS[row, place]],
                pattern=PATTERNS[arrays.pattern_NS[row, place]],
                build=_BUILDS[arrays.build_NS[row, place]],
                trait=TRAITS[arrays.trait_NS[row, place]],
            )
            for place in range(arrays.count_N[row])
        ]

    def prompt(self, row: int, rng: np.random.Generator) -> Prompt:
        """A prompt that describes the scene and is not held out; what it states is drawn."""
        background = _BACKGROUNDS[self.scenes.background_N[row]]
        while True:
            prompt = prompt_about(self.identities(row), background, self.series == "single", rng)
            if not held_out_prompt(prompt):
                return prompt


def load_layouts(cache: Path, share: float = 1.0) -> dict[Series, Layout]:
    """All layouts by name, rendered now if the cache does not hold them.

    Args:
        cache: a folder.
        share: of the scenes; less than 1 for a trial.
    """
    layouts = {}
    for place, (series, count) in enumerate(COUNTS.items()):
        scenes = load_scenes(cache, TRAIN_SEED + 1000 + place, round(count * share), PIXELS, series)
        layouts[series] = Layout(series, scenes, np.flatnonzero(~_held_out(scenes)))
    return layouts


def _held_out(scenes: SceneArrays) -> np.ndarray:
    """Which scenes show a subject whose noun, body colour and pattern are held out, bool (N,)."""
    table = np.zeros((len(NOUNS), len(COLOURS), len(PATTERNS)), bool)
    for noun, body, pattern in held_out_combinations():
        table[NOUNS.index(noun), _COLOURS.index(body), PATTERNS.index(pattern)] = True
    held_NS = table[scenes.noun_NS, scenes.colour_NS, scenes.pattern_NS]
    there_NS = np.arange(held_NS.shape[1]) < np.asarray(scenes.count_N)[:, None]
    return (held_NS & there_NS).any(axis=1)

# SPDX-License-Identifier: Apache-2.0
"""How much of its own noun each residual of Cones 2 takes away or adds.

The states of all nouns in a plain sentence, less their mean, are what tells nouns apart; a residual is
written as a sum of these, by least squares, and what it has of its own noun is printed: -1 takes all of it.

Shapes: W words, D width of a state.

COMMAND  python -m benchmarks.consistency.nouns RUN/_meta/subjects/cones2
"""

import argparse
from pathlib import Path

import torch
from torch import Tensor

from models.consistency.cones2.cones2 import checked
from models.consistency.offsets import places_of
from models.consistency.state import State
from models.generation import TextToImage
from models.miniature.world import NOUNS


def main() -> None:
    """Print a line a state, and the range."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("states", type=Path, help="a folder of states")
    folder = parser.parse_args().states
    noun_WD = noun_states()
    own = {}
    for path in sorted(folder.glob("*/state.json")):
        state = State.load(path.parent)
        checked(state)
        share_W = torch.linalg.lstsq(noun_WD.T, state.tensors["residual"][0, :, None]).solution[:, 0]
        own[path.parent.name] = float(share_W[NOUNS.index(state.about["words"][0])])
        print(f"{path.parent.name}: {own[path.parent.name]:+.2f}")
    print(f"{len(own)} residuals, from {min(own.values()):+.2f} to {max(own.values()):+.2f}")


@torch.no_grad()
def noun_states() -> Tensor:
    """Of each noun in "a NOUN on the grass", less the mean of all, float32 (W, D)."""
    pipe = TextToImage(model="miniature:text2image").load()
    texts = [f"a {noun} on the grass" for noun in NOUNS]
    states_WLD = pipe.encode_prompt(texts, "cpu", 1, False)[0]
    tokens = [int(places_of(pipe, [text], (noun,)).token[0]) for text, noun in zip(texts, NOUNS, strict=True)]
    noun_WD = states_WLD[torch.arange(len(NOUNS)), tokens]
    return noun_WD - noun_WD.mean(0)


if __name__ == "__main__":
    main()

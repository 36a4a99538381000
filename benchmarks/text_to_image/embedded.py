# SPDX-License-Identifier: Apache-2.0
"""What the miniature's CLIP and DINO know of subjects that are cut out of scenes which neither has seen.

Shapes: B cut-outs, C = 3 channels, H = W = 64 pixels, D width, K answers.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import CLIPModel, CLIPTokenizer, ViTModel

from models.miniature.train.clip_batch import Picture, before_grey, picture, pixel_values
from models.miniature.train.layouts import PIXELS, Layout
from models.miniature.train.scenes import VALIDATION_SEED, load_scenes
from models.miniature.world import COLOURS, NOUNS, Mention

_OF_SCENES = 29
"""Added to the seed, so that these are not the scenes of another row."""


def cut_outs(count: int) -> list[Picture]:
    """Each round one subject of a held-out scene, with some of the background."""
    with TemporaryDirectory() as folder:
        scenes = load_scenes(Path(folder), VALIDATION_SEED + _OF_SCENES, count, PIXELS, "single")
        layout, rng = Layout("single", scenes, np.arange(count)), np.random.default_rng(0)
        return [picture(layout, row, True, rng) for row in range(count)]


@torch.inference_mode()
def named(clip: Path, pictures: list[Picture]) -> dict[str, float]:
    """How often CLIP chooses the right noun of 12, and the right colour of 8 with the noun given."""
    model = CLIPModel.from_pretrained(clip, dtype=torch.float32).eval()
    tokenizer = CLIPTokenizer.from_pretrained(clip)
    image_BD = F.normalize(_output(model.get_image_features(pixel_values=pixel_values(pictures))), dim=-1)

    def described(mentions: list[Mention]) -> Tensor:
        texts = [mention.text for mention in mentions]
        tokens = tokenizer(texts, padding="max_length", return_tensors="pt").input_ids
        return F.normalize(_output(model.get_text_features(input_ids=tokens)), dim=-1)

    nouns = (image_BD @ described([Mention(noun) for noun in NOUNS]).T).argmax(1)
    coloured_KD = described([Mention(noun, colour) for noun in NOUNS for colour in COLOURS])
    table = coloured_KD.view(len(NOUNS), len(COLOURS), -1)
    right = {"noun": 0, "colour": 0}
    for place, each in enumerate(pictures):
        identity = each.identities[0]
        right["noun"] += NOUNS[int(nouns[place])] == identity.noun
        colour = int((table[NOUNS.index(identity.noun)] @ image_BD[place]).argmax())
        right["colour"] += list(COLOURS)[colour] == identity.body
    return {name: count / len(pictures) for name, count in right.items()}


def _output(found: object) -> Tensor:
    """The features, which newer versions of the library wrap."""
    return found if isinstance(found, Tensor) else found.pooler_output  # pyright: ignore[reportAttributeAccessIssue]


@torch.inference_mode()
def neighbours(dino: Path, pictures: list[Picture]) -> dict[str, float]:
    """How often a cut-out on grey and the one that DINO finds most like it agree, by attribute."""
    model = ViTModel.from_pretrained(dino, dtype=torch.float32, add_pooling_layer=False).eval()
    state_BD = F.normalize(model(before_grey(pictures)).last_hidden_state[:, 0], dim=-1)
    nearest = (state_BD @ state_BD.T).fill_diagonal_(-1).argmax(1).tolist()
    found = [each.identities[0] for each in pictures]
    pairs = [(one, found[other]) for one, other in zip(found, nearest, strict=True)]
    return {
        name: sum(getattr(one, name) == getattr(other, name) for one, other in pairs) / len(pairs)
        for name in ("noun", "body", "pattern")
    }

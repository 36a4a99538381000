# SPDX-License-Identifier: Apache-2.0
"""How much of an identity a picture shows: read by the judge, and compared by CLIP and DINO.

Shapes: N pictures, D width of an embedding.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from transformers import CLIPVisionModelWithProjection, ViTModel

from benchmarks.subject_diffusion.cases import Case
from models.miniature import WEIGHTS
from models.miniature.judge import Judge, Reading, SeenSubject
from models.miniature.judge.accuracy import READ
from models.miniature.world import MARKS
from models.subject_diffusion.subject_encoder import squared
from pipeline.evaluate.statistics import Estimate, estimate

_SIDE = 64
_GREY, _WHITE = (128, 128, 128), (255, 255, 255)
Scores = Mapping[str, float]


class Scorer:
    """Scores pictures of cases."""

    def __init__(self) -> None:
        self._judge = Judge.from_pretrained(WEIGHTS / "judge")
        self._clip = CLIPVisionModelWithProjection.from_pretrained(WEIGHTS / "clip", dtype=torch.float32)
        there = (WEIGHTS / "dino").is_dir()
        self._dino = (
            ViTModel.from_pretrained(WEIGHTS / "dino", dtype=torch.float32, add_pooling_layer=False)
            if there
            else None
        )

    def __call__(self, cases: Sequence[Case], images: Sequence[Image.Image]) -> list[Scores]:
        """Of each case and its picture; of two subjects the mean, and `all` for both being right."""
        readings = self._judge.read(images)
        found = [_read(case, reading) for case, reading in zip(cases, readings, strict=True)]
        several = zip(cases, images, readings, strict=True)
        shown = [_shown(case, image, reading) for case, image, reading in several]
        for name, similar in self._similarities(cases, shown).items():
            for scores, value in zip(found, similar, strict=True):
                scores[name] = value
        return [*found]

    @torch.inference_mode()
    def _similarities(
        self, cases: Sequence[Case], shown: Sequence[Sequence[Image.Image]]
    ) -> dict[str, list[float]]:
        """Cosine of each case's subjects in the picture with their references, the mean of a case's."""
        ours = [image for each in shown for image in each]
        theirs = [image for case in cases for image in case.references]
        kinds = {"clip_i": lambda images: self._clip(_pixels(images, _WHITE)).image_embeds}
        dino = self._dino
        if dino is not None:
            kinds["dino"] = lambda images: dino(_pixels(images, _GREY)).last_hidden_state[:, 0]
        values = {}
        for name, embed in kinds.items():
            both = F.cosine_similarity(embed(ours), embed(theirs)).tolist()
            rest = iter(both)
            values[name] = [float(np.mean([next(rest) for _ in case.references])) for case in cases]
        return values


def _subject(noun: str, reading: Reading) -> SeenSubject | None:
    """The largest one of a noun."""
    return next((seen for seen in reading.subjects if seen.identity.noun == noun), None)


def _read(case: Case, reading: Reading) -> dict[str, float]:
    rows = []
    for identity in case.identities:
        seen = _subject(identity.noun, reading)
        row = {
            name: float(seen is not None and getattr(seen.identity, name) == getattr(identity, name))
            for name in READ
        }
        rows.append({**row, "identity": float(all(row[name] for name in MARKS))})
    means = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
    whole = float(all(row["identity"] for row in rows))
    return {**means, "all": whole, "background": float(reading.background == case.prompt.background)}


def _shown(case: Case, image: Image.Image, reading: Reading) -> list[Image.Image]:
    """Each subject cut out of the picture; what is not seen is the whole picture."""
    small = image.resize((_SIDE, _SIDE), Image.Resampling.BILINEAR)
    found = []
    for identity in case.identities:
        seen = _subject(identity.noun, reading)
        if seen is None:
            found.append(small.convert("RGBA"))
            continue
        cut = np.dstack([np.asarray(small), seen.mask.astype(np.uint8) * 255])
        found.append(Image.fromarray(cut).crop(seen.box))
    return found


def _pixels(images: Sequence[Image.Image], ground: tuple[int, int, int]) -> Tensor:
    """float32 (N, 3, 64, 64) in [-1, 1], before a colour."""
    before = []
    for image in images:
        plain = Image.new("RGBA", image.size, (*ground, 255))
        plain.alpha_composite(image)
        # Not on white again, but in a square of it.
        before.append(np.asarray(squared(plain.convert("RGB"), _SIDE)))
    return torch.from_numpy(np.stack(before)).movedim(-1, 1).float() / 127.5 - 1


def mean_of(rows: Sequence[Sequence[float]]) -> Estimate:
    """Mean of a row a case and a column a seed; the interval is of cases drawn anew.

    Args:
        rows: values of each case.
    """
    return estimate([float(np.mean(row)) for row in rows])

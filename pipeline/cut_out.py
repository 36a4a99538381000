# SPDX-License-Identifier: Apache-2.0
"""References cut out of pictures by the builder's own detector and segmenter."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from models.backends.blip2 import Blip2
from models.backends.grounding_dino import GroundingDino
from models.backends.protocols import BackendError, Detection
from models.backends.sam import Sam
from models.backends.spacy_tagger import SpacyTagger
from models.miniature.world.vocabulary import BACKGROUNDS
from models.subject_diffusion.export import TOLD
from pipeline.errors import UserError
from pipeline.train.reference import cut_out
from stages.base import Stage
from stages.caption import Caption
from stages.detect import Detect
from stages.nouns import NOT_DEPICTABLE, Nouns
from stages.segment import Segment


@dataclass(frozen=True, slots=True)
class Reference:
    """A subject, cut out."""

    picture: Image.Image
    """RGBA, in a square."""
    label: str
    source: Path
    box: tuple[float, float, float, float] | None
    """Where it was found, xyxy in pixels of its picture; None if the picture was cut out already."""
    score: float | None
    """Of the detection."""


def usual_stages(model: str) -> dict[str, Stage]:
    """The builder's models that go with a Subject-Diffusion model: the small ones with a small one."""
    if not _is_miniature(model):
        return {"caption": Caption(), "nouns": Nouns(), "detect": Detect(), "segment": Segment()}
    return {
        "caption": Caption(captioner=Blip2(model="miniature:captioner", max_new_tokens=24)),
        # What the world's captions say about the place is no subject.
        "nouns": Nouns(
            tagger=SpacyTagger(model="miniature:tagger"), stop_nouns=(*NOT_DEPICTABLE, *BACKGROUNDS)
        ),
        "detect": Detect(detector=GroundingDino(model="miniature:detector")),
        "segment": Segment(segmenter=Sam(model="miniature:segmenter")),
    }


def _is_miniature(model: str) -> bool:
    """Whether a model was trained on the procedural world, as shipped or by a training that tells so."""
    if model.startswith("miniature:"):
        return True
    try:
        told = json.loads((Path(model) / TOLD).read_text())
        return str(told["config"]["base"]).startswith("miniature:")
    except (OSError, ValueError, KeyError, TypeError):
        return False


def split_reference(text: str) -> tuple[Path, str | None]:
    """`PICTURE[:LABEL]` as its parts; a file whose whole name that is comes first."""
    name, colon, label = text.rpartition(":")
    if not colon or Path(text).exists():
        return Path(text), None
    return Path(name), label.strip() or None


class CuttingOut:
    """Finds the subjects of references with the models of a build."""

    def __init__(self, stages: Mapping[str, Stage]) -> None:
        """
        Args:
            stages: of a build, by name; their models are loaded when they are needed.
        """
        self._stages, self._loaded = stages, {}

    def __call__(self, text: str, image: Image.Image | None = None) -> Reference:
        """The subject of `PICTURE[:LABEL]`.

        Without a label it is what the picture's caption names and the detector is surest of. A picture of
        which something is transparent is taken as it is, and needs a label.

        Args:
            text: of the reference.
            image: its picture, where that is open already; see `opened`.

        Raises:
            UserError: no such picture, or no such thing in it, or weights are missing.
        """
        path, label = split_reference(text)
        image = image or opened(path)
        if image.mode == "RGBA":
            return self._as_it_is(image, label, path)
        return self._found(image, label, path)

    @property
    def used(self) -> dict[str, dict[str, str | None]]:
        """The models that it took so far, by what they do."""
        backends = {field: getattr(self._stages[stage], field) for stage, field in self._loaded}
        return {
            field: {
                "kind": type(backend).__name__,
                "model": backend.model,
                "revision": getattr(backend, "revision", None),
            }
            for field, backend in backends.items()
        }

    def _as_it_is(self, image: Image.Image, label: str | None, path: Path) -> Reference:
        if label is None:
            raise UserError(f"say what {path} shows: --reference {path}:LABEL")
        opaque = image.getchannel("A").getbbox()
        if opaque is None:
            raise UserError(f"all of {path} is transparent; give a picture with a subject")
        mask_HW = np.asarray(image.getchannel("A")) > 127
        return Reference(_square(image.convert("RGB"), mask_HW, opaque, path), label, path, None, None)

    def _found(self, image: Image.Image, label: str | None, path: Path) -> Reference:
        phrases = [label] if label else self._named(image, path)
        detect: Any = self._stages["detect"]
        (found,) = self._model("detect", "detector").detect([image], [phrases], detect.box_threshold)
        if not found:
            raise UserError(
                f"no {' and no '.join(phrases)} found in {path}; give another label, or a picture with the "
                "background made transparent"
            )
        best: Detection = max(found, key=lambda each: each.score)
        boxes = [np.array([best.box], np.float64)]
        ((mask,),) = self._model("segment", "segmenter").segment([image], boxes)
        square = _square(image, mask.pixels, best.box, path)
        return Reference(square, phrases[best.phrase], path, best.box, best.score)

    def _named(self, image: Image.Image, path: Path) -> list[str]:
        """Lemmas of what a caption of the picture names."""
        (caption,) = self._model("caption", "captioner").caption([image])
        nouns: Any = self._stages["nouns"]
        (phrases,) = self._model("nouns", "tagger").noun_phrases([caption])
        lemmas = dict.fromkeys(each.lemma for each in phrases if each.lemma not in nouns.stop_nouns)
        if not lemmas:
            raise UserError(f"its caption, {caption!r}, names nothing in {path}; give {path}:LABEL")
        return [*lemmas]

    def _model(self, stage: str, field: str) -> Any:
        if (stage, field) not in self._loaded:
            if stage not in self._stages:
                raise UserError(f"the build that cuts references out has no stage '{stage}'")
            backend = getattr(self._stages[stage], field)
            try:
                backend.check()
                self._loaded[stage, field] = backend.load()
            except BackendError as error:
                raise UserError(
                    f"the {field} that cuts references out: {error}, or give --builder"
                ) from error
        return self._loaded[stage, field]


def opened(path: Path) -> Image.Image:
    """A picture, upright; RGBA where something is transparent, RGB otherwise.

    Raises:
        UserError: there is none, or it cannot be read.
    """
    try:
        with Image.open(path) as image:
            return upright(image)
    except FileNotFoundError as error:
        raise UserError(f"no picture {path}; give --reference PICTURE[:LABEL]") from error
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"{path} is no picture that can be read: {error}") from error


def upright(image: Image.Image) -> Image.Image:
    """RGBA where something is transparent, RGB otherwise, turned as its file says."""
    image = ImageOps.exif_transpose(image)
    if "A" not in image.getbands() and "transparency" not in image.info:
        return image.convert("RGB")
    with_alpha = image.convert("RGBA")
    opaque = with_alpha.getchannel("A").getextrema() == (255, 255)
    return with_alpha.convert("RGB") if opaque else with_alpha


def _square(image: Image.Image, mask_HW: np.ndarray, box: Sequence[float], path: Path) -> Image.Image:
    try:
        return cut_out(image, mask_HW, (box[0], box[1], box[2], box[3]))
    except ValueError as error:
        raise UserError(f"{path}: {error}; give another label or picture") from error

# SPDX-License-Identifier: Apache-2.0
"""The methods by name, imported when they are asked for; a third party's is `module:Class`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

_HERE = "models.consistency"


@dataclass(frozen=True, slots=True)
class Entry:
    """A method and its usual options."""

    method: str
    """`module:Class`."""
    options: str
    """`module:Class` of its options."""
    about: str
    tuned: bool = False
    """Whether a subject has to be learnt first."""
    pictures: bool = False
    """Whether that takes pictures of it."""
    anchored: bool = False
    """Whether it can keep anchors for later prompts, drawn or given ones."""
    merges: bool = False
    """Whether several states are added up, each with a strength."""
    cut_out: bool = False
    """Whether it draws with Subject-Diffusion's own pipeline, and with cut-outs of the subjects."""
    preset: Callable[[Any], Any] | None = None
    """From the default options to this method's."""

    def defaults(self) -> Any:
        """Its options."""
        usual = _loaded(self.options)()
        return usual if self.preset is None else self.preset(usual)

    def build(self, options: Any) -> Any:
        """The method."""
        return _loaded(self.method)(options)


def _loaded(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)


_CONSISTORY = f"{_HERE}.consistory.consistory:ConsiStory", f"{_HERE}.consistory.options:Options"
_ONEACTOR = f"{_HERE}.oneactor.oneactor:OneActor", f"{_HERE}.oneactor.options:Options"
_CONES = f"{_HERE}.cones2.cones2:Cones2", f"{_HERE}.cones2.options:Options"
_DCO = f"{_HERE}.dco.dco:Dco", f"{_HERE}.dco.options:Options"

METHODS: dict[str, Entry] = {
    "plain": Entry(f"{_HERE}.plain:Plain", f"{_HERE}.options:NoOptions", "the model alone"),
    "consistory": Entry(
        *_CONSISTORY, "ConsiStory: pictures of a set see the subject in each other", anchored=True
    ),
    "consistory-parity": Entry(
        *_CONSISTORY,
        "the same with the official code's side effects",
        anchored=True,
        preset=lambda usual: usual.parity(),
    ),
    "oneactor": Entry(*_ONEACTOR, "OneActor: one drawn picture, learnt as offsets of its word", tuned=True),
    "oneactor-fast": Entry(
        *_ONEACTOR,
        "the same without exclusion, at the plain model's cost",
        tuned=True,
        preset=lambda usual: usual.fast(),
    ),
    "cones2": Entry(*_CONES, "Cones 2: residuals of words, and a layout", tuned=True, pictures=True),
    "dco": Entry(
        *_DCO,
        "DCO: low-rank changes that stay close to the model",
        tuned=True,
        merges=True,
        pictures=True,
    ),
    "dco-style": Entry(
        *_DCO,
        "the same for the style of a picture",
        tuned=True,
        merges=True,
        pictures=True,
        preset=lambda usual: usual.style(),
    ),
    "dreambooth": Entry(
        *_DCO,
        "DreamBooth with low-rank changes",
        tuned=True,
        merges=True,
        pictures=True,
        preset=lambda usual: usual.dreambooth(),
    ),
    "dreambooth-prior": Entry(
        *_DCO,
        "the same with prior preservation",
        tuned=True,
        merges=True,
        pictures=True,
        preset=lambda usual: usual.dreambooth(prior=True),
    ),
    "lora-merge": Entry(
        *_DCO,
        "low-rank changes of several states added up, with the model's own guidance",
        tuned=True,
        merges=True,
        pictures=True,
        preset=lambda usual: usual.merged(),
    ),
    "textual-inversion": Entry(
        *_DCO,
        "Textual Inversion: a learnt word",
        tuned=True,
        pictures=True,
        preset=lambda usual: usual.textual_inversion(),
    ),
    "ip-adapter": Entry(
        f"{_HERE}.ip_adapter:IpAdapter",
        f"{_HERE}.options:IpAdapterOptions",
        "IP-Adapter: a picture beside the text; needs its weights",
    ),
    "subject-diffusion": Entry(
        f"{_HERE}.subject_diffusion:SubjectDiffusion",
        f"{_HERE}.options:SubjectDiffusionOptions",
        "Subject-Diffusion: references in the text and the layers; --model is the export of its training",
        cut_out=True,
    ),
}


def entry(name: str) -> Entry:
    """A method by name, or by `module:Class` with its `Options` beside it and `tuned` if it learns.

    Raises:
        KeyError: there is none of that name.
        ImportError: a third party's cannot be imported.
        AttributeError: it has no such class.
    """
    if ":" not in name:
        return METHODS[name]
    module, _, _ = name.partition(":")
    learns = bool(getattr(_loaded(name), "tuned", False))
    return Entry(name, f"{module}:Options", "a third party's", tuned=learns)

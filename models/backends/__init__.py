# SPDX-License-Identifier: Apache-2.0
"""The neural jobs of the builder, each behind a small protocol.

A backend is a frozen dataclass that is its own configuration: cheap to build, and `load()` brings the
weights. Names are looked up here; `my_package.module:MyDetector` is accepted wherever a name is.
"""

from importlib import import_module

BACKENDS: dict[str, dict[str, str]] = {
    "captioner": {"blip2": "models.backends.blip2:Blip2"},
    "tagger": {"spacy": "models.backends.spacy_tagger:SpacyTagger"},
    "detector": {
        "grounding_dino": "models.backends.grounding_dino:GroundingDino",
        "mm_grounding_dino": "models.backends.grounding_dino:MmGroundingDino",
        "groundingdino_py": "models.backends.original.groundingdino_py:GroundingDinoPy",
    },
    "segmenter": {
        "sam": "models.backends.sam:Sam",
        "segment_anything": "models.backends.original.segment_anything:SegmentAnything",
    },
    "similarity": {"clip": "models.backends.clip:Clip"},
}
"""Job to name to `module:Class`."""


def backend_class(job: str, name: str) -> type:
    """The configuration class of a backend.

    Raises:
        LookupError: if the name is neither in the table nor an importable `module:Class`.
    """
    target = BACKENDS[job].get(name, name)
    module, _, attribute = target.partition(":")
    if not attribute:
        known = ", ".join(BACKENDS[job])
        raise LookupError(f"no {job} is called '{name}'; known: {known}, or give 'package.module:Class'")
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise LookupError(f"{job} '{name}' cannot be imported: {error}") from error

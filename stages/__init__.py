# SPDX-License-Identifier: Apache-2.0
"""Units of work: columns in, columns out. No Ray, no CLI."""

from importlib import import_module

STAGES: dict[str, str] = {
    "read": "stages.read:Read",
    "filter_image": "stages.filter_image:FilterImage",
    "caption": "stages.caption:Caption",
    "nouns": "stages.nouns:Nouns",
    "detect": "stages.detect:Detect",
    "select": "stages.select:Select",
    "segment": "stages.segment:Segment",
    "score": "stages.score:Score",
    "write": "stages.write:Write",
}
"""Name to `module:Class`, in the order in which the builder runs them."""

EVALUATION: dict[str, str] = {
    "references": "stages.references:References",
    "generate": "stages.generate:Generate",
    "find": "stages.find:Find",
    "measure": "stages.measure:Measure",
    "write": "stages.write:Write",
}
"""The same of an evaluation's stages."""


def stage_class(name: str) -> type:
    """The class of a stage; `my_package.module:MyStage` is accepted as a name.

    Raises:
        LookupError: if there is no such stage.
    """
    module, _, attribute = {**EVALUATION, **STAGES}.get(name, name).partition(":")
    if not attribute:
        raise LookupError(
            f"no stage is called '{name}'; known: {', '.join(STAGES)}, or 'package.module:Class'"
        )
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise LookupError(f"stage '{name}' cannot be imported: {error}") from error

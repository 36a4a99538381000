# SPDX-License-Identifier: Apache-2.0
"""A method with its options, as an evaluation has them under a name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from annotated_types import Ge


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What one row of the table is about."""

    method: str
    """Of `models.consistency.registry`, or `module:Class`."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """That differ from the method's own."""
    learned_as: str | None = None
    """The name of another setting whose subjects are used, as they were learnt there."""
    given: Annotated[int, Ge(1)] | None = None
    """How many of a subject's pictures the method is shown; all if null."""
    model: str | None = None
    """Of methods with a model of their own, such as Subject-Diffusion's export."""
    curve: str | None = None
    """Settings of the same curve are points of one line in the report, in their order."""
    together: bool = False
    """Whether the subjects of a set are learnt together, as joint DreamBooth does, and for each set anew."""
    style: Mapping[str, Any] | None = None
    """How a set's style is learnt, by methods that add up what they have learnt: `method` and `options`."""
    about: str = ""
    """For people."""

    def of_style(self) -> Setting:
        """The setting that styles are learnt by.

        Raises:
            ValueError: there is none.
        """
        if self.style is None:
            raise ValueError("the set has a style; say how it is learnt, such as style: {method: dco-style}")
        return Setting(**self.style)

    def built(self) -> Any:
        """The method.

        Raises:
            KeyError: there is none of that name.
            ValueError: an option makes no sense.
            TypeError: there is no such option.
        """
        from dataclasses import replace

        from models.consistency.registry import entry

        kind = entry(self.method)
        listed = {name: _frozen(value) for name, value in self.options.items()}
        return kind.build(replace(kind.defaults(), **listed))


def _frozen(value: Any) -> Any:
    """Options are tuples where configurations have lists."""
    return tuple(_frozen(each) for each in value) if isinstance(value, list | tuple) else value

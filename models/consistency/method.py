# SPDX-License-Identifier: Apache-2.0
"""What all methods have in common: a subject is learnt once, or not at all, and drawn for many prompts.

A method works inside of a diffusers pipeline, and leaves it exactly as it found it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from models.consistency.finite import checked_latents

if TYPE_CHECKING:
    from PIL import Image

    from models.consistency.state import State

Tell = Callable[[int, int, str], None]
"""Is told of progress: what is done, of how much, and what is being done."""


def silent(_done: int, _of: int, _what: str) -> None:
    """Tells nobody."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """The particular thing that is to stay the same."""

    words: tuple[str, ...]
    """What prompts call it; several subjects have a word each."""
    pictures: tuple[Image.Image, ...] = ()
    """Of it, where it is a given one."""
    captions: tuple[str, ...] = ()
    """Of the pictures, with the word; simple ones where not given."""
    prompt: str | None = None
    """That it is first drawn with, where a method draws it; of the words alone if not given."""

    def __post_init__(self) -> None:
        """Check that there is one.

        Raises:
            ValueError: there is no word, or an empty one.
        """
        if isinstance(self.words, str):
            raise ValueError(f"words are {self.words!r}; give a tuple, such as ({self.words!r},)")
        if not self.words or not all(word.strip() for word in self.words):
            raise ValueError("a subject needs a word that prompts call it, such as cat")

    @property
    def text(self) -> str:
        """That prompt."""
        return self.prompt or "a " + " and a ".join(self.words)


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How a pipeline samples; the same for every method."""

    steps: int = 50
    guidance: float = 5.0
    height: int | None = None
    width: int | None = None
    """Pixels; the model's own if not given."""
    negative: str | None = None
    output: str = "pil"
    """`latent` for latents instead of pictures."""
    more: Mapping[str, Any] = field(default_factory=dict)
    """Whatever else the pipeline takes, by name: IP-Adapter's pictures, ControlNet's, a guidance rescale."""

    def arguments(self, prompts: Sequence[str], seeds: Sequence[int]) -> dict[str, Any]:
        """For a call of the pipeline; each picture has a generator of its own."""
        import torch

        side = {name: value for name, value in (("height", self.height), ("width", self.width)) if value}
        return {
            "prompt": [*prompts],
            "negative_prompt": None if self.negative is None else [self.negative] * len(prompts),
            "num_inference_steps": self.steps,
            "guidance_scale": self.guidance,
            "generator": [torch.Generator().manual_seed(seed) for seed in seeds],
            "output_type": self.output,
            **side,
            **self.more,
        }

    def draw(self, pipe: Any, prompts: Sequence[str], seeds: Sequence[int], tell: Tell, **more: Any) -> Any:
        """Pictures or latents by the pipeline's own call.

        Args:
            pipe: a borrowed one.
            prompts: of each picture.
            seeds: of each.
            tell: of progress.
            more: arguments of the call that are a method's own.

        Raises:
            FloatingPointError: the latents are no numbers in the end.
        """
        last: dict[str, Any] = {}
        told = self._telling(tell, last)
        arguments = {**self.arguments(prompts, seeds), **more, "callback_on_step_end": told}
        images = pipe(**arguments).images
        checked_latents(last.get("latents"))
        return images

    def _telling(self, tell: Tell, last: dict[str, Any]) -> Callable[..., dict[str, Any]]:
        """What a pipeline calls after each step; the user's own, if there is one, as well.

        `last` gets what the pipeline tells of the last one.
        """
        other = self.more.get("callback_on_step_end")

        def told(pipe: Any, step: int, at: Any, values: dict[str, Any]) -> dict[str, Any]:
            tell(step + 1, self.steps, "drawing")
            last.update(values)
            return values if other is None else other(pipe, step, at, values)

        return told


def check_asked(prompts: Sequence[str], seeds: Sequence[int]) -> None:
    """See that there is something to draw, and a seed for each picture.

    Raises:
        ValueError: there is not.
    """
    if isinstance(prompts, str) or not prompts:
        raise ValueError(f"prompts are {prompts!r}; give a list with at least one")
    if len(prompts) != len(seeds):
        raise ValueError(f"there are {len(seeds)} seeds for {len(prompts)} prompts; give one for each")


@dataclass(frozen=True, slots=True)
class Cost:
    """Of a method on a pipeline, as measured."""

    tuning_seconds: float = 0.0
    """Once a subject."""
    image_seconds: float = 0.0
    """For each picture."""
    subject_bytes: int = 0
    """Of what is kept."""


class ConsistencyMethod(Protocol):
    """Keeps a subject the same."""

    def fit(self, pipe: Any, subject: Subject, sampling: Sampling, tell: Tell = silent) -> State | None:
        """Learn a subject; None of a method that learns nothing."""
        ...

    def generate(
        self,
        pipe: Any,
        subject: Subject,
        state: State | None,
        prompts: Sequence[str],
        seeds: Sequence[int],
        sampling: Sampling,
        tell: Tell = silent,
    ) -> Any:
        """A picture for each prompt and its seed, or their latents (B, C, H, W)."""
        ...

    def cost(self) -> Cost:
        """Of what was done last."""
        ...

# SPDX-License-Identifier: Apache-2.0
"""Whether pictures show what held-out prompts state."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from PIL import Image

from models.miniature.judge import Reading
from models.miniature.world import Mention, Prompt


@dataclass(slots=True)
class Fulfilled:
    """Of how many prompts of a kind, how many were fulfilled, by what they state."""

    right: Counter[str] = field(default_factory=Counter)
    asked: Counter[str] = field(default_factory=Counter)

    def add(self, prompt: Prompt, reading: Reading) -> None:
        """Count one picture. Attributes are looked at in subjects of the right noun, else they are wrong."""
        self._count("background", reading.background == prompt.background)
        found = [_subject(mention, reading) for mention in prompt.mentions]
        self._count("all nouns", all(each is not None for each in found))
        for mention, seen in zip(prompt.mentions, found, strict=True):
            for name, stated in (("body", mention.body), ("pattern", mention.pattern)):
                if stated is not None:
                    self._count(name, seen is not None and getattr(seen, name) == stated)

    def _count(self, name: str, right: bool) -> None:
        self.asked[name] += 1
        self.right[name] += right

    def __getitem__(self, name: str) -> float:
        """Share of right ones."""
        return self.right[name] / max(1, self.asked[name])


def fulfilled(prompts: Sequence[Prompt], readings: Sequence[Reading]) -> Fulfilled:
    """Count all of them."""
    result = Fulfilled()
    for prompt, reading in zip(prompts, readings, strict=True):
        result.add(prompt, reading)
    return result


def _subject(mention: Mention, reading: Reading):  # noqa: ANN202
    """The largest subject with the mention's noun."""
    return next((seen.identity for seen in reading.subjects if seen.identity.noun == mention.noun), None)


def contact_sheet(images: Sequence[Image.Image], columns: int, scale: int = 2) -> Image.Image:
    """Pictures side by side in rows."""
    side = images[0].width * scale
    rows = -(-len(images) // columns)
    sheet = Image.new("RGB", (columns * side, rows * side), "white")
    for place, image in enumerate(images):
        big = image.resize((side, side), Image.Resampling.NEAREST)
        sheet.paste(big, (place % columns * side, place // columns * side))
    return sheet

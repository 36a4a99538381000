# SPDX-License-Identifier: Apache-2.0
"""Prompts that name their subjects once more, with a placeholder for each reference (section 3.2).

Shapes: B samples, L tokens of a prompt, K subjects, T supervised tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from models.subject_diffusion.options import Options

if TYPE_CHECKING:
    from transformers import CLIPTokenizer


class BadPrompt(ValueError):
    """A prompt or a label that the template cannot hold."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """Prompts as the text encoder gets them, and where in them the subjects are."""

    ids_BL: Tensor
    """int64."""
    place_BK: Tensor
    """int64, of each subject's placeholder; 0 where there is no such subject."""
    there_BK: Tensor
    """bool, whether there is."""
    supervised_BT: Tensor
    """int64, places in the suffixes of all tokens of a label, and of the placeholder."""
    subject_BT: Tensor
    """int64, whose token it is."""
    told_BT: Tensor
    """bool, False for what fills the rows up."""

    def to(self, device: torch.device) -> Encoded:
        """The same on a device."""
        return Encoded(*(getattr(self, name).to(device) for name in self.__slots__))


@dataclass(frozen=True, slots=True)
class Template:
    """Joins prompts and labels for one tokenizer."""

    tokenizer: CLIPTokenizer
    options: Options

    @property
    def placeholder_id(self) -> int:
        """The token that references are put in place of.

        Raises:
            BadPrompt: the tokenizer has no such token; see `fusion.with_placeholder`.
        """
        found = self._ids(self.options.placeholder)
        if len(found) != 1:
            raise BadPrompt(
                f"the tokenizer splits the placeholder {self.options.placeholder!r} into {len(found)}"
            )
        return found[0]

    def encode(self, prompts: Sequence[str], labels: Sequence[Sequence[str]]) -> Encoded:
        """A row a prompt; a prompt too long is cut at its end, its subjects never.

        Args:
            prompts: without the suffix.
            labels: what each prompt's subjects are, at most `max_subjects`.

        Raises:
            BadPrompt: a prompt or label has the placeholder in it, a label is empty, there are too many, or
                they leave no room for a prompt.
        """
        rows = [self._row(prompt.strip(), some) for prompt, some in zip(prompts, labels, strict=True)]
        places = [[row[-1] for row in named] for _, named in rows]
        tokens = [[place for row in named for place in row] for _, named in rows]
        owners = [[subject for subject, row in enumerate(named) for _ in row] for _, named in rows]
        widest = max((len(row) for row in tokens), default=0)
        return Encoded(
            ids_BL=torch.tensor([ids for ids, _ in rows], dtype=torch.int64),
            place_BK=_filled(places, self.options.max_subjects),
            there_BK=_there(places, self.options.max_subjects),
            supervised_BT=_filled(tokens, widest),
            subject_BT=_filled(owners, widest),
            told_BT=_there(tokens, widest),
        )

    def _row(self, prompt: str, labels: Sequence[str]) -> tuple[list[int], list[list[int]]]:
        """Token ids, and for each subject the places of its tokens in the suffix, the placeholder's last."""
        if len(labels) > self.options.max_subjects:
            raise BadPrompt(f"{len(labels)} subjects; this model takes {self.options.max_subjects}")
        suffixes = [self._suffix(label) for label in labels]
        words, room = self._words(prompt, "prompt"), self._room(labels, suffixes)
        ids, named = [self._special("bos"), *words[:room]], []
        for suffix, offsets in suffixes:
            named.append([len(ids) + offset for offset in offsets])
            ids += suffix
        ids.append(self._special("eos"))
        return ids + [self._special("pad")] * (self._length - len(ids)), named

    def unread(self, prompt: str, labels: Sequence[str]) -> int:
        """How many tokens at a prompt's end there is no room for.

        Raises:
            BadPrompt: see `encode`.
        """
        room = self._room(labels, [self._suffix(label) for label in labels])
        return max(0, len(self._words(prompt, "prompt")) - room)

    @property
    def _length(self) -> int:
        return int(self.tokenizer.model_max_length)

    def _room(self, labels: Sequence[str], suffixes: Sequence[tuple[list[int], list[int]]]) -> int:
        """For a prompt, in tokens."""
        room = self._length - 2 - sum(len(ids) for ids, _ in suffixes)
        if room < 0:
            raise BadPrompt(f"the labels {', '.join(map(repr, labels))} are too long for a prompt")
        return room

    def _suffix(self, label: str) -> tuple[list[int], list[int]]:
        """A subject's tokens, and where among them those of its label and its placeholder are."""
        named = self._words(label, "label")
        if not named:
            raise BadPrompt("a label is empty")
        before, rest = self.options.suffix.split("{label}")
        between, after = rest.split("{placeholder}")
        ids = [*self._ids(before), *named, *self._ids(between)]
        first, last = len(self._ids(before)), len(ids)
        return [*ids, self.placeholder_id, *self._ids(after)], [*range(first, first + len(named)), last]

    def _words(self, text: str, what: str) -> list[int]:
        ids = self._ids(text.strip())
        if self.placeholder_id in ids:
            raise BadPrompt(
                f"the {what} {text!r} has {self.options.placeholder!r} in it, which stands for subjects"
            )
        return ids

    def _ids(self, text: str) -> list[int]:
        return self.tokenizer(text, add_special_tokens=False, verbose=False).input_ids

    def _special(self, name: str) -> int:
        return int(getattr(self.tokenizer, f"{name}_token_id"))


def _filled(rows: Sequence[Sequence[int]], width: int) -> Tensor:
    return torch.tensor([[*row, *[0] * (width - len(row))] for row in rows], dtype=torch.int64)


def _there(rows: Sequence[Sequence[int]], width: int) -> Tensor:
    return torch.tensor([[place < len(row) for place in range(width)] for row in rows], dtype=torch.bool)

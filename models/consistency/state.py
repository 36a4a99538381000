# SPDX-License-Identifier: Apache-2.0
"""What a method has learnt of a subject, on disk as safetensors and JSON, and for which model that is."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from math import isclose
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from models.file_mode import as_usual

_SAME = 1e-2
"""Relative difference of numbers that another precision may make."""
_WEIGHTS = 8


class BadState(ValueError):
    """A state is damaged, or of another method or model than it is used with."""


@dataclass(frozen=True)
class State:
    """Of one subject, or of several together."""

    method: str
    about: Mapping[str, Any]
    """Plain data: backbone, words, sizes, settings."""
    tensors: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        """Of the tensors."""
        return sum(tensor.nbytes for tensor in self.tensors.values())

    def save(self, folder: Path) -> None:
        """As `state.json` and `state.safetensors`.

        Raises:
            OSError: it cannot be written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        save_file(
            {name: each.detach().cpu().contiguous() for name, each in self.tensors.items()},
            folder / "state.safetensors",
        )
        as_usual(folder / "state.safetensors")
        about = {"method": self.method, **self.about}
        (folder / "state.json").write_text(json.dumps(about, indent=1) + "\n")

    @classmethod
    def load(cls, folder: Path) -> State:
        """What `save` wrote.

        Raises:
            BadState: there is none, or it is damaged.
        """
        try:
            about = json.loads((folder / "state.json").read_text())
            if not isinstance(about, dict) or not isinstance(about.get("method"), str):
                raise ValueError("state.json does not say of which method")
            return cls(about.pop("method"), about, load_file(folder / "state.safetensors"))
        except (OSError, ValueError, SafetensorError) as error:
            raise BadState(f"{folder} holds no state of a method: {error}; tune the subject again") from error

    def check(self, method: str, wanted: Mapping[str, Any]) -> None:
        """See that it goes with what it is used for.

        Args:
            method: that uses it.
            wanted: what `about` has to hold.

        Raises:
            BadState: it does not, with what differs.
        """
        if self.method != method:
            raise BadState(f"the state is one of {self.method}, not of {method}; give one that {method} made")
        made = json.loads(json.dumps(dict(self.about)))
        for name, value in json.loads(json.dumps(dict(wanted))).items():
            for path, before, now in _differing(name, made.get(name), value):
                raise BadState(
                    f"the state was made with {path} {before}, and is used with {now}; "
                    "use the same, or tune the subject again"
                )

    def holds(self, width: int | None = None, **dimensions: int) -> None:
        """See that tensors are there.

        Args:
            width: of their last dimension; any if not given.
            dimensions: how many each has, by name.

        Raises:
            BadState: one is not, or is another one.
        """
        words = self.about.get("words")
        if not isinstance(words, list) or not words or not all(isinstance(word, str) for word in words):
            raise BadState("the state is damaged: it does not say of which words; tune the subject again")
        for name, wanted in dimensions.items():
            if name not in self.tensors or self.tensors[name].ndim != wanted:
                raise BadState(f"the state is damaged: it has no {name} as it should be; tune again")
            if width is not None and self.tensors[name].shape[-1] != width:
                found = self.tensors[name].shape[-1]
                raise BadState(f"the state's {name} is {found} wide, the model's texts {width}; tune again")


def _differing(path: str, before: Any, now: Any) -> Iterator[tuple[str, Any, Any]]:
    """Where two values of plain data are not the same, whatever their capitals and last digits."""
    if isinstance(before, dict) and isinstance(now, dict):
        for name in now:
            yield from _differing(f"{path}.{name}", before.get(name), now[name])
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        if any([*_differing(path, one, other)] for one, other in zip(before, now, strict=True)):
            yield path, before, now
    elif isinstance(before, float) and isinstance(now, float):
        if not isclose(before, now, rel_tol=_SAME, abs_tol=_SAME / 10):
            yield path, before, now
    elif isinstance(before, str) and isinstance(now, str):
        if before.casefold() != now.casefold():
            yield path, before, now
    elif before != now:
        yield path, before, now


def text_width(pipe: Any) -> int:
    """Of a text's states as a pipeline's UNet takes them."""
    width = pipe.unet.config.cross_attention_dim
    return width if isinstance(width, int) else width[0]


def backbone(pipe: Any) -> dict[str, Any]:
    """What a pipeline's model is known by: layout, and a few weights.

    Another precision makes no difference, nor what else a pipeline does with the model, as with ControlNet.
    """
    # An IP-Adapter comes and goes.
    apart = ("_", "encoder_hid")
    config = {name: value for name, value in dict(pipe.unet.config).items() if not name.startswith(apart)}
    layout = sha256(json.dumps(config, sort_keys=True, default=str).encode()).hexdigest()[:16]
    return {
        "unet": layout,
        "text": int(pipe.text_encoder.config.hidden_size),
        "encoders": sum(hasattr(pipe, name) for name in ("text_encoder", "text_encoder_2")),
        "weights": _some_weights(pipe.unet.conv_in.weight),
        "attention": _some_weights(_last_attention(pipe.unet)),
        "embeddings": _some_weights(pipe.text_encoder.get_input_embeddings().weight[:_WEIGHTS]),
    }


def _last_attention(unet: Any) -> Tensor:
    """A weight that fused changes are in; low-rank ones beside it are not looked at."""
    named = [each for name, each in unet.named_parameters() if ".to_q." in name and "lora" not in name]
    return named[-1]


def _some_weights(weight: Tensor) -> list[float]:
    every = max(1, weight.numel() // _WEIGHTS)
    return [round(value, 6) for value in weight.detach().flatten()[::every][:_WEIGHTS].float().tolist()]

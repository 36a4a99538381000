# SPDX-License-Identifier: Apache-2.0
"""What a method has learnt of a subject, on disk as safetensors and JSON, and for which model that is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from models.file_mode import as_usual


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
            return cls(about.pop("method"), about, load_file(folder / "state.safetensors"))
        except (OSError, ValueError, KeyError, SafetensorError) as error:
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
            if made.get(name) != value:
                raise BadState(
                    f"the state was made with {name} {made.get(name)}, and is used with {value}; "
                    "use the same, or tune the subject again"
                )


def backbone(pipe: Any) -> dict[str, Any]:
    """What a pipeline's model is known by: class and layout; another precision makes no difference."""
    config = {name: value for name, value in dict(pipe.unet.config).items() if not name.startswith("_")}
    layout = sha256(json.dumps(config, sort_keys=True, default=str).encode()).hexdigest()[:16]
    return {
        "pipeline": type(pipe).__name__,
        "unet": layout,
        "text": int(pipe.text_encoder.config.hidden_size),
    }

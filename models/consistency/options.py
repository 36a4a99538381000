# SPDX-License-Identifier: Apache-2.0
"""Options of methods that have none, or hardly any."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class NoOptions:
    """None."""


@dataclass(frozen=True, kw_only=True)
class IpAdapterOptions:
    """Where an IP-Adapter's weights are, and how much it counts."""

    adapter: str = "h94/IP-Adapter"
    """Folder or hub name."""
    subfolder: str = "sdxl_models"
    weight_name: str = "ip-adapter_sdxl.safetensors"
    image_encoder: str = "image_encoder"
    """Folder of its picture encoder, within the subfolder."""
    scale: float = 0.6


@dataclass(frozen=True, kw_only=True)
class SubjectDiffusionOptions:
    """How much Subject-Diffusion's references count."""

    image_guidance: float | None = None
    """By the references; 1 is none, the model's usual one if not given."""
    alpha: float = 0.0
    """Share of the steps, from the end, that see the prompt alone (equation 4)."""

    def __post_init__(self) -> None:
        """Check what a type cannot say.

        Raises:
            ValueError: a number makes no sense.
        """
        if self.image_guidance is not None and self.image_guidance < 1:
            raise ValueError(f"image_guidance is {self.image_guidance}; it must be 1 or more")
        if not 0 <= self.alpha <= 1:
            raise ValueError(f"alpha is {self.alpha}; it must be in [0, 1]")

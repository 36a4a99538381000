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

# SPDX-License-Identifier: Apache-2.0
"""A Stable Diffusion UNet with gated attention to references between self- and cross-attention, and with a
location map among its inputs."""

from __future__ import annotations

import re
from typing import Any

from diffusers import UNet2DConditionModel
from torch import nn

from models.subject_diffusion.location_map import widened
from models.subject_diffusion.options import Options
from models.subject_diffusion.subject_unet import SubjectUNet

_TRAINED = re.compile(r"attn2\.to_[kv]\.|\.fuser\.|^conv_in\.")


def adapted(base: UNet2DConditionModel, options: Options) -> UNet2DConditionModel:
    """A copy of the base that computes what the base does until it is trained.

    Gates are 0 and so are the map's weights, whatever map and references are (spec section 6.1).

    Raises:
        ValueError: the base has gated attention already.
    """
    # Names that begin so say which values were not given, and would undo the change of one.
    config = {name: value for name, value in base.config.items() if not name.startswith("_")}
    if config["attention_type"] != "default":
        raise ValueError(f"the base's attention is {config['attention_type']!r} already")
    config["attention_type"] = "gated" if options.adapter else "default"
    unet: Any = SubjectUNet.from_config(config)
    # Not the UNet's own `to`, which warns of every change of precision.
    nn.Module.to(unet, base.device, base.dtype)
    missing, unexpected = unet.load_state_dict(base.state_dict(), strict=False)
    if unexpected or any(".fuser." not in name for name in missing):
        raise ValueError(f"the base's weights do not fit its configuration: {[*unexpected, *missing][:3]}")
    if options.location_control:
        unet.conv_in = widened(unet.conv_in)
        unet.register_to_config(in_channels=unet.conv_in.in_channels)
    return unet


def trained_names(unet: nn.Module) -> list[str]:
    """Names of the parameters that training changes: keys and values of the text, gates, the input."""
    return [name for name, _ in unet.named_parameters() if _TRAINED.search(name)]

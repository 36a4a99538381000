# SPDX-License-Identifier: Apache-2.0
"""A Stable Diffusion UNet with gated attention to references between self- and cross-attention, and with a
location map among its inputs: diffusers' own UNet, whose weights load without this package.

Shapes: B samples, S tokens of the references, D their width.
"""

from __future__ import annotations

import re
from typing import Any

from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from models.subject_diffusion.location_map import widened
from models.subject_diffusion.options import Options

_TRAINED = re.compile(r"attn2\.to_[kv]\.|\.fuser\.|^conv_in\.")


class GivenTokens(nn.Module):
    """Stands where GLIGEN makes its tokens: ours are made once a sample, not once a step."""

    def forward(self, objs: Tensor) -> Tensor:
        """Tokens (B, S, D) as they are."""
        return objs


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
    unet: Any = UNet2DConditionModel.from_config(config)
    # Not the UNet's own `to`, which warns of every change of precision.
    nn.Module.to(unet, base.device, base.dtype)
    if options.adapter:
        unet.position_net = GivenTokens()
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


def attending(tokens_BSD: Tensor | None) -> dict[str, Any]:
    """Keyword arguments of the UNet that make it attend to these; none for what the base does."""
    return {} if tokens_BSD is None else {"cross_attention_kwargs": {"gligen": {"objs": tokens_BSD}}}

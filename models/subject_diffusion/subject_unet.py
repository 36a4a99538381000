# SPDX-License-Identifier: Apache-2.0
"""diffusers' UNet with gated attention to tokens that are given to it.

Shapes: B samples, S tokens, D their width.
"""

from diffusers import UNet2DConditionModel
from torch import Tensor, nn


class GivenTokens(nn.Module):
    """Stands where GLIGEN makes its tokens: ours are made once a sample, not once a step."""

    def forward(self, objs: Tensor) -> Tensor:
        """Tokens (B, S, D) as they are."""
        return objs


class SubjectUNet(UNet2DConditionModel):
    """A UNet whose gated attention sees `cross_attention_kwargs={"gligen": {"objs": ...}}`."""

    def _set_pos_net_if_use_gligen(self, attention_type: str, cross_attention_dim: int) -> None:
        if attention_type == "gated":
            self.position_net = GivenTokens()

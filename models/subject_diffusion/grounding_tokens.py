# SPDX-License-Identifier: Apache-2.0
"""What the gated attention sees of the references: patch features, each with the box of its subject.

Shapes: B samples, K subjects, P patches, V width of a patch, F width of a box feature, D width of a token.
"""

import torch
from diffusers.models.embeddings import get_fourier_embeds_from_boundingbox
from torch import Tensor, nn

BANDS = 8
"""Frequencies 100^(i / 8); GLIGEN's, without a factor of 2 pi."""
BOX_WIDTH = BANDS * 2 * 4


class GroundingTokens(nn.Module):
    """Dense image adapter's token builder (section 3.3; GLIGEN, Li et al. 2023, equation 7)."""

    def __init__(self, patches: int, patch_width: int, token_width: int) -> None:
        """
        Args:
            patches: of a reference; what stands for an absent one is learnt for each of them.
            patch_width: of the subject encoder's patches.
            token_width: of the UNet's cross-attention.
        """
        super().__init__()
        self.null_patch = nn.Parameter(torch.zeros(patches, patch_width))
        self.null_box = nn.Parameter(torch.zeros(patches, BOX_WIDTH))
        width = patch_width + BOX_WIDTH
        self.mlp = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, token_width), nn.GELU(), nn.Linear(token_width, token_width)
        )

    def forward(
        self,
        patches_BKPV: Tensor,
        boxes_BK4: Tensor,
        there_BK: Tensor,
        boxed_BK: Tensor,
    ) -> Tensor:
        """Tokens (B, K * P, D), one subject after another.

        Args:
            patches_BKPV: of the references.
            boxes_BK4: xyxy in [0, 1] of the picture's sides.
            there_BK: bool, whether there is such a subject; of one that is not nothing is read.
            boxed_BK: bool, whether its box is told.
        """
        # `where` and no product: what stands for an absent subject may be anything, even NaN.
        patches_BKPV = torch.where(there_BK[..., None, None], patches_BKPV, self.null_patch)
        told_BK1 = (there_BK & boxed_BK)[..., None]
        boxes_BK4 = torch.where(told_BK1, boxes_BK4, 0.0)
        box_BKF = get_fourier_embeds_from_boundingbox(BANDS, boxes_BK4)
        box_BKPF = torch.where(told_BK1[..., None], box_BKF[:, :, None].to(patches_BKPV.dtype), self.null_box)
        return self.mlp(torch.cat([patches_BKPV, box_BKPF], dim=-1)).flatten(1, 2)

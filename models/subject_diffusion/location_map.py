# SPDX-License-Identifier: Apache-2.0
"""Where subjects are to be, as one more channel of the UNet's input: 0 inside of any box, 1 outside.

Shapes: B samples, K subjects, C latent channels, H = rows and W = columns of latent cells.
"""

import torch
from torch import Tensor, nn


def location_map(boxes_BK4: Tensor, there_BK: Tensor, height: int, width: int) -> Tensor:
    """The product over subjects of 1 less the rectangle (section 3.3), float32 (B, 1, H, W) of 0 and 1.

    A cell is inside where its middle is, which is what a nearest resize of the full-size map gives.

    Args:
        boxes_BK4: xyxy in [0, 1] of the picture's sides.
        there_BK: bool, whether there is such a subject.
        height: of the latents.
        width: of the latents.
    """
    across_W = (torch.arange(width, device=boxes_BK4.device) + 0.5) / width
    down_H = (torch.arange(height, device=boxes_BK4.device) + 0.5) / height
    left, top, right, bottom = boxes_BK4.unbind(-1)
    columns_BKW = (across_W >= left[..., None]) & (across_W < right[..., None])
    rows_BKH = (down_H >= top[..., None]) & (down_H < bottom[..., None])
    inside_BKHW = rows_BKH[..., :, None] & columns_BKW[..., None, :] & there_BK[..., None, None]
    return (~inside_BKHW.any(1, keepdim=True)).float()


def without_location(map_B1HW: Tensor) -> Tensor:
    """What stands for "not told where": zeros, as if a subject were everywhere (spec section 2.6)."""
    return torch.zeros_like(map_B1HW)


def widened(convolution: nn.Conv2d) -> nn.Conv2d:
    """The same convolution with one more input channel, whose weights are 0."""
    wider = nn.Conv2d(
        convolution.in_channels + 1,
        convolution.out_channels,
        convolution.kernel_size,  # pyright: ignore[reportArgumentType]
        convolution.stride,  # pyright: ignore[reportArgumentType]
        convolution.padding,  # pyright: ignore[reportArgumentType]
        device=convolution.weight.device,
        dtype=convolution.weight.dtype,
    )
    with torch.no_grad():
        wider.weight.zero_()
        wider.weight[:, :-1] = convolution.weight
        if convolution.bias is not None and wider.bias is not None:
            wider.bias.copy_(convolution.bias)
    return wider

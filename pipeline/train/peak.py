# SPDX-License-Identifier: Apache-2.0
"""How much of a device's arithmetic a training uses."""

import torch

_PEAK_BF16 = {
    "H200": 989e12,
    "H100": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "L4": 121e12,
    "A10G": 70e12,
    "RTX 4090": 165e12,
    "RTX 3090": 71e12,
}
"""Dense FLOP/s in bfloat16 with float32 sums, by the makers' data sheets (SXM where there are several)."""


def peak_flops(device: torch.device) -> float | None:
    """FLOP/s of a device in bfloat16; None of one that is not in the table."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    return next((peak for part, peak in _PEAK_BF16.items() if part in name), None)


def model_flops_utilisation(flops: float | None, seconds: float, device: torch.device) -> float | None:
    """Share of the device's peak; None of unknown devices.

    Args:
        flops: of the model's forward and backward passes, without what is computed twice.
        seconds: that they took.
        device: that they ran on.
    """
    peak = peak_flops(device)
    return None if flops is None or peak is None else flops / seconds / peak

# SPDX-License-Identifier: Apache-2.0
"""How much of a device's arithmetic a training uses."""

import re

import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

_PEAK_BF16 = {
    "H200": 989e12,
    "H100 PCIe": 756e12,
    "H100 NVL": 835e12,
    "H100": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "L40": 181e12,
    "L4": 121e12,
    "A10G": 70e12,
    "RTX 4090": 165e12,
    "RTX 3090": 71e12,
}
"""Dense FLOP/s in bfloat16 with float32 sums, by the makers' data sheets (SXM where no other is named)."""


def counted_flops() -> FlopCounterMode:
    """Counts while its block runs (`get_total_flops`); torch's own leaves out fused attention on a CPU."""
    return FlopCounterMode(
        display=False,
        custom_mapping={
            torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: lambda query, key, value, *_, **__: (
                sdpa_flop_count(query, key, value)
            ),
            torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: (
                lambda grad, query, key, value, *_, **__: sdpa_backward_flop_count(grad, query, key, value)
            ),
        },
    )


def peak_flops(device: torch.device) -> float | None:
    """FLOP/s of a device in bfloat16; None of one that is not in the table."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    return next((peak for part, peak in _PEAK_BF16.items() if re.search(rf"\b{part}\b", name)), None)


def model_flops_utilisation(flops: float | None, seconds: float, device: torch.device) -> float | None:
    """Share of the device's peak; None of unknown devices.

    Args:
        flops: of the model's forward and backward passes, without what is computed twice.
        seconds: that they took.
        device: that they ran on.
    """
    peak = peak_flops(device)
    return None if flops is None or peak is None else flops / seconds / peak

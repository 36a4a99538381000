# SPDX-License-Identifier: Apache-2.0
"""Otsu's threshold of many maps at once, on their device, as scikit-image has it for one.

Shapes: R maps, P places, K = 256 bins.
"""

import torch
from torch import Tensor

_BINS = 256


def above_otsu(maps_RP: Tensor) -> Tensor:
    """Which places of each map are above its threshold, bool (R, P); none of a constant one.

    Args:
        maps_RP: any finite numbers.
    """
    maps_RP = maps_RP.double()
    return maps_RP > otsu(maps_RP)[:, None]


def otsu(maps_RP: Tensor) -> Tensor:
    """The thresholds, float64 (R,): the bin's middle that parts a map into the two most different classes."""
    maps_RP = maps_RP.double()
    least_R1, most_R1 = maps_RP.amin(1, keepdim=True), maps_RP.amax(1, keepdim=True)
    width_R1 = (most_R1 - least_R1) / _BINS
    places_RP = ((maps_RP - least_R1) / width_R1.clamp(min=torch.finfo(torch.float64).tiny)).floor()
    count_RK = torch.zeros(len(maps_RP), _BINS, dtype=torch.float64, device=maps_RP.device)
    count_RK.scatter_add_(1, places_RP.long().clamp(0, _BINS - 1), torch.ones_like(maps_RP))
    middle_RK = least_R1 + width_R1 * (torch.arange(_BINS, device=maps_RP.device) + 0.5)
    best_R1 = _between(count_RK, middle_RK).argmax(1, keepdim=True)
    return torch.where(most_R1 > least_R1, middle_RK.gather(1, best_R1), least_R1)[:, 0]


def _between(count_RK: Tensor, middle_RK: Tensor) -> Tensor:
    """Variance between what is up to each bin and what is above it, (R, K - 1)."""
    mass_RK = count_RK * middle_RK
    below_RK, below_mass_RK = count_RK.cumsum(1), mass_RK.cumsum(1)
    above_RK = count_RK.flip(1).cumsum(1).flip(1)
    above_mass_RK = mass_RK.flip(1).cumsum(1).flip(1)
    # The outermost bins are never empty, so no class is.
    means_RK = below_mass_RK / below_RK, above_mass_RK / above_RK
    return below_RK[:, :-1] * above_RK[:, 1:] * (means_RK[0][:, :-1] - means_RK[1][:, 1:]) ** 2

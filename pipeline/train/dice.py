# SPDX-License-Identifier: Apache-2.0
"""All that is drawn for a sample in training: a pure function of seed and position, whatever the device, the
number of processes or of loader workers.

Shapes: C latent channels, H, W latent cells.
"""

from dataclasses import dataclass

import numpy as np

_NOISE, _PICTURE, _SUBSTITUTE = range(3)


@dataclass(frozen=True, slots=True)
class Dice:
    """What the objective needs of chance."""

    noise_CHW: np.ndarray
    """float32, standard normal: what is added to the latents."""
    posterior_CHW: np.ndarray
    """float32, standard normal: which of the latents that a picture may have."""
    time: float
    """In [0, 1): how far into the schedule of noise."""
    drop: float
    """In [0, 1): what the sample goes without, see `condition_drop.dropped`."""


def throw(seed: int, position: int, latent_CHW: tuple[int, int, int]) -> Dice:
    """The dice of a position.

    Args:
        seed: of the training.
        position: of the sample in the order.
        latent_CHW: shape of the latents.
    """
    rng = np.random.default_rng((seed, position, _NOISE))
    time, drop = rng.random(2)
    noise_CHW, posterior_CHW = rng.standard_normal((2, *latent_CHW), np.float32)
    return Dice(noise_CHW, posterior_CHW, float(time), float(drop))


def picture_rng(seed: int, position: int, attempt: int) -> np.random.Generator:
    """For crop and references of a position's sample, or of its n-th substitute."""
    return np.random.default_rng((seed, position, _PICTURE, attempt))


def substitute_start(seed: int, position: int, samples: int) -> int:
    """From which place in the order on a substitute is looked for."""
    return int(np.random.default_rng((seed, position, _SUBSTITUTE)).integers(samples))

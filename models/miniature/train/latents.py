# SPDX-License-Identifier: Apache-2.0
"""Training scenes as latents on disk, each as it is and mirrored: encoded once, read many times.

Shapes: N scenes, B a batch, C latent channels, H = W = 16 latent cells.
"""

import hashlib
import json
import os
import time
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor

from models.miniature.train.layouts import Layout

_BATCH = 100
_TELL = 30.0
"""Seconds between lines of progress."""


def load_latents(cache: Path, layout: Layout, autoencoder: AutoencoderKL, device: str = "cpu") -> np.ndarray:
    """float16 (N, 2, C, H, W), scaled to a spread of 1; made now if the cache does not hold those of this
    autoencoder. Entry [:, 1] is of the mirrored picture."""
    count, cells = len(layout.scenes), layout.scenes.image_NHWC.shape[1] // 4
    path = cache / f"latents-{layout.series}-{count}-{_mark(autoencoder)}.npy"
    if not path.exists():
        partial = path.with_suffix(f".{os.getpid()}.partial")
        shape = (count, 2, autoencoder.config.latent_channels, cells, cells)  # pyright: ignore[reportAttributeAccessIssue]
        autoencoder = autoencoder.to(device)  # pyright: ignore[reportArgumentType]
        latents = np.lib.format.open_memmap(partial, "w+", np.float16, shape)
        told = time.monotonic()
        for start in range(0, count, _BATCH):
            pixels = torch.from_numpy(layout.scenes.image_NHWC[start : start + _BATCH].copy())
            image_BCHW = pixels.to(device).permute(0, 3, 1, 2).float() / 127.5 - 1
            for mirrored in (0, 1):
                encoded = encode(autoencoder, image_BCHW.flip(-1) if mirrored else image_BCHW)
                latents[start : start + _BATCH, mirrored] = encoded.half().cpu().numpy()
            if time.monotonic() - told > _TELL:
                told = time.monotonic()
                print(f"encoded {start + _BATCH:,} of {count:,} scenes", flush=True)
        latents.flush()
        partial.replace(path)
    return np.load(path, mmap_mode="r")


@torch.inference_mode()
def encode(autoencoder: AutoencoderKL, image_BCHW: Tensor) -> Tensor:
    """Scaled latents (B, C, H, W) of pictures in [-1, 1]: the mean of the posterior."""
    mean = autoencoder.encode(image_BCHW).latent_dist.mean  # pyright: ignore[reportAttributeAccessIssue]
    return mean * autoencoder.config.scaling_factor  # pyright: ignore[reportAttributeAccessIssue]


def _mark(autoencoder: AutoencoderKL) -> str:
    """A name for exactly these weights."""
    # Names that begin so say where it was loaded from, and by what.
    config = {name: value for name, value in autoencoder.config.items() if not name.startswith("_")}
    digest = hashlib.sha256(json.dumps(config, sort_keys=True, default=str).encode())
    for value in autoencoder.state_dict().values():
        digest.update(value.float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]

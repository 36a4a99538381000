# SPDX-License-Identifier: Apache-2.0
"""IP-Adapter (Ye et al. 2023, arXiv 2308.06721): a picture beside the text, by diffusers' own code.

Its weights are somebody else's; there is nothing to learn for a subject.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from logging import CRITICAL, getLogger
from typing import Any

import torch

from models.backends.protocols import MissingWeights
from models.consistency.borrowed import borrowed
from models.consistency.method import Cost, Sampling, Subject, Tell, silent
from models.consistency.options import IpAdapterOptions
from models.consistency.state import State
from models.consistency.untuned import Untuned


class IpAdapter(Untuned):
    """Gives the subject's first picture to the pipeline with each prompt."""

    name = "ip-adapter"
    usual = IpAdapterOptions

    def generate(
        self,
        pipe: Any,
        subject: Subject,
        state: State | None,
        prompts: Sequence[str],
        seeds: Sequence[int],
        sampling: Sampling,
        tell: Tell = silent,
    ) -> Any:
        """See `ConsistencyMethod.generate`.

        Raises:
            ValueError: there is no picture of the subject, or the pipeline has such an adapter already.
            MissingWeights: the adapter's cannot be had.
        """
        if not subject.pictures:
            raise ValueError("IP-Adapter needs a picture of the subject")
        if getattr(pipe.unet, "encoder_hid_proj", None) is not None:
            raise ValueError("the pipeline has an IP-Adapter already; give one without")
        began = time.perf_counter()
        with torch.no_grad(), borrowed(pipe) as ours:
            try:
                self._load(ours)
                pictures = [[subject.pictures[0]] * len(prompts)]
                images = sampling.draw(ours, prompts, seeds, tell, ip_adapter_image=pictures)
            finally:
                ours.unload_ip_adapter()
        self._cost = Cost(image_seconds=(time.perf_counter() - began) / len(prompts))
        return images

    def _load(self, pipe: Any) -> None:
        options = self.options
        # It tells of every attempt; what came of them all is the exception.
        getLogger("huggingface_hub").setLevel(CRITICAL)
        try:
            pipe.load_ip_adapter(
                options.adapter,
                subfolder=options.subfolder,
                weight_name=options.weight_name,
                image_encoder_folder=options.image_encoder,
            )
        except (OSError, ValueError) as error:
            raise MissingWeights(
                f"no IP-Adapter '{options.adapter}' ({options.weight_name}): give its folder as adapter"
            ) from error
        pipe.set_ip_adapter_scale(options.scale)

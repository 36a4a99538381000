# SPDX-License-Identifier: Apache-2.0
"""The model alone, with nothing that keeps a subject: what every method is compared with."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import torch

from models.consistency.borrowed import borrowed
from models.consistency.method import Cost, Sampling, Subject, Tell, check_asked, silent
from models.consistency.options import NoOptions
from models.consistency.state import State
from models.consistency.untuned import Untuned


class Plain(Untuned):
    """Draws each prompt by itself."""

    name = "plain"
    usual = NoOptions

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
        """See `ConsistencyMethod.generate`."""
        check_asked(prompts, seeds)
        began = time.perf_counter()
        with torch.no_grad(), borrowed(pipe) as ours:
            images = sampling.draw(ours, prompts, seeds, tell)
        self._cost = Cost(image_seconds=(time.perf_counter() - began) / len(prompts))
        return images

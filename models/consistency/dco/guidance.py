# SPDX-License-Identifier: Apache-2.0
"""Consistency guidance (section 4.2): the text guides the untuned model, the subject what tuning changed.

Shapes: B pictures, R = G * B rows of a call with G halves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from models.consistency.call_rows import with_rows
from models.consistency.dco.adapters import without
from models.consistency.text import Texts


@dataclass
class Guidance:
    """Changes a UNet's calls; the pipeline then guides as it always does."""

    pipe: Any
    consistency: float | None
    """w_con; None for the tuned model's own guidance, where only rows are counted."""
    tuned: Texts
    """Of the prompts with the subjects' words."""
    strengths: Mapping[str, float]
    """Of the adapters that make the tuned model."""
    rows: int = 0
    """That the UNet has computed so far."""

    def __call__(
        self, forward: Callable[..., Any], sample: Tensor, timestep: Any, *more: Any, **named: Any
    ) -> Any:
        """See `borrowed.intercepted`; pipelines ask for tuples."""
        if self.consistency is None:
            self.rows += len(sample)
            return forward(sample, timestep, *more, **named)
        with without(self.pipe.unet, self.strengths):
            self.rows += len(sample)
            untuned = forward(sample, timestep, *more, **named)[0]
        if not self.consistency:
            return (untuned,)
        pictures = len(self.tuned.states_BLD)
        last = slice(-pictures, None)
        self.rows += pictures
        subject = forward(sample[last], timestep, *more, **self._for_subject(named, len(sample), last))[0]
        scale = self.pipe.guidance_scale if len(sample) > pictures else 1.0
        towards = untuned[last] + self.consistency / scale * (subject - untuned[last])
        return (torch.cat([untuned[:-pictures], towards]),)

    def _for_subject(self, named: Mapping[str, Any], rows: int, last: slice) -> dict[str, Any]:
        some = with_rows(named, rows, lambda each: each[last])
        some["encoder_hidden_states"] = self.tuned.states_BLD.to(named["encoder_hidden_states"].dtype)
        if self.tuned.added:
            pooled = self.tuned.added["text_embeds"]
            some["added_cond_kwargs"] = {**some["added_cond_kwargs"], "text_embeds": pooled}
        return some

# SPDX-License-Identifier: Apache-2.0
"""Subject-Diffusion (Ma et al. 2023, arXiv 2307.11410) as a method among others, without learning a subject.

Its pipeline is one of its own, with the weights of a training; the others' pipelines do not take references.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import torch

from models.consistency.method import Cost, Sampling, Subject, Tell, silent
from models.consistency.options import SubjectDiffusionOptions
from models.consistency.state import State
from models.consistency.untuned import Untuned
from models.subject_diffusion.placing import Box


class SubjectDiffusion(Untuned):
    """Gives each subject's cut-out to the pipeline with each prompt."""

    name = "subject-diffusion"
    usual = SubjectDiffusionOptions

    def generate(
        self,
        pipe: Any,
        subject: Subject,
        state: State | None,
        prompts: Sequence[str],
        seeds: Sequence[int],
        sampling: Sampling,
        tell: Tell = silent,
        boxes: Sequence[Box] | None = None,
    ) -> Any:
        """See `ConsistencyMethod.generate`.

        Args:
            pipe: a `SubjectDiffusionPipeline`.
            subject: its words, and a cut-out for each: RGBA, or RGB on white.
            state: none.
            prompts: as with other methods; the pipeline adds the subjects' words itself.
            seeds: of each.
            sampling: how to sample; without a negative prompt.
            tell: of progress, before the first picture and after the last.
            boxes: where each subject is to be, x0, y0, x1, y1 in [0, 1]; usual places if not given.

        Raises:
            ValueError: there is not just one cut-out for each word, the pipeline is another one, or it is
                asked for what it does not know.
        """
        if not hasattr(pipe, "subjects"):
            raise ValueError(
                "Subject-Diffusion draws with the export of its training; give that as the model"
            )
        if len(subject.pictures) != len(subject.words):
            several = f"{len(subject.pictures)} for {len(subject.words)}"
            raise ValueError(f"Subject-Diffusion needs one picture for each subject; there are {several}")
        if sampling.negative or sampling.more:
            raise ValueError(
                "Subject-Diffusion knows no negative prompts, and no arguments of other pipelines"
            )
        began = time.perf_counter()
        tell(0, sampling.steps, "drawing")
        with torch.no_grad():
            images = pipe(
                [*prompts],
                [[*subject.pictures]] * len(prompts),
                [[*subject.words]] * len(prompts),
                None if boxes is None else [[*boxes]] * len(prompts),
                num_inference_steps=sampling.steps,
                text_scale=sampling.guidance,
                image_scale=self.options.image_guidance,
                alpha=self.options.alpha,
                height=sampling.height,
                width=sampling.width,
                generator=[torch.Generator().manual_seed(seed) for seed in seeds],
                output_type=sampling.output,
            ).images
        tell(sampling.steps, sampling.steps, "drawing")
        self._cost = Cost(image_seconds=(time.perf_counter() - began) / len(prompts))
        return images

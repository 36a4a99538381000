# SPDX-License-Identifier: Apache-2.0
"""The shipped judge and CLIP, on scenes that no training has seen."""

import pytest
import torch
from transformers import CLIPModel, CLIPProcessor

from models.miniature import WEIGHTS
from models.miniature.judge import Judge
from models.miniature.train.scenes import VALIDATION_SEED, scene_of
from models.miniature.world import NOUNS, Mention, render_scene


@pytest.fixture(scope="module")
def truths():
    layouts = ("centred", "single", "pair")
    return [render_scene(scene_of(layouts[i % 3], VALIDATION_SEED, i), 64) for i in range(45)]


def test_the_judge_reads_what_is_there(truths):
    readings = Judge.from_pretrained(WEIGHTS / "judge").read([truth.image for truth in truths])
    told = [(reading.background, {seen.identity for seen in reading.subjects}) for reading in readings]
    true = [(truth.background, {subject.identity for subject in truth.subjects}) for truth in truths]
    assert sum(map(tuple.__eq__, told, true)) >= 0.9 * len(truths)


def test_clip_knows_a_cut_out_subject_by_its_noun(truths):
    subjects = [(truth.image, subject) for truth in truths for subject in truth.subjects]
    crops = [image.crop(tuple(map(int, subject.box))).resize((64, 64)) for image, subject in subjects]
    model, processor = (kind.from_pretrained(WEIGHTS / "clip") for kind in (CLIPModel, CLIPProcessor))
    texts = [Mention(noun).text for noun in NOUNS]
    inputs = processor(text=texts, images=crops, return_tensors="pt", padding="max_length")
    with torch.inference_mode():
        best = model.float()(**inputs).logits_per_image.argmax(1).tolist()
    right = [NOUNS[k] == subject.identity.noun for k, (_, subject) in zip(best, subjects, strict=True)]
    assert sum(right) >= 0.8 * len(right)

# SPDX-License-Identifier: Apache-2.0
"""Segment and score on real pictures with the miniature's segmenter."""

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from models.backends.sam import Sam
from models.miniature.world import render_scene, sample_scene
from stages.columns import ENTITY
from stages.score import Score, renumbered
from stages.segment import Segment
from tests.tables import jpeg, ok_rows


@pytest.fixture(scope="module")
def scene():
    return render_scene(sample_scene(46, 1, count=2), 256)


@pytest.fixture(scope="module")
def segmented(scene):
    unknown = {field.name: None for field in ENTITY.fields}
    entities = [
        unknown | {"id": place, "lemma": s.identity.noun, "box": list(map(float, s.box)), "contained_in": -1}
        for place, s in enumerate(scene.subjects, 1)
    ]
    table = ok_rows(image=[jpeg(scene.image)], entities=[entities])
    return Segment(segmenter=Sam(model="miniature:segmenter")).setup()(table)


def entities_of(table):
    (row,) = table.to_pylist()
    return row["entities"]


def test_masks_are_those_of_their_boxes_and_measured_exactly(scene, segmented):
    for subject, entity in zip(scene.subjects, entities_of(segmented), strict=True):
        mask = coco_mask.decode(entity["rle"]).astype(bool)
        assert mask.shape == subject.mask.shape
        assert (mask & subject.mask).sum() / (mask | subject.mask).sum() > 0.75
        assert entity["area"] == mask.sum()
        left, top, right, bottom = entity["mask_box"]
        assert mask[top:bottom, left:right].sum() == mask.sum()
        assert (mask.any(0).sum(), mask.any(1).sum()) <= (right - left, bottom - top)


def test_fill_is_the_masks_share_of_its_box(segmented):
    for entity in entities_of(Score().setup()(segmented)):
        x1, y1, x2, y2 = entity["box"]
        assert entity["fill"] == np.float32(min(1, entity["area"] / ((x2 - x1) * (y2 - y1))))
        assert entity["clip_sim"] is None


def test_what_is_too_small_goes_and_what_is_left_is_numbered_again(segmented):
    smaller, larger = sorted(entities_of(segmented), key=lambda entity: entity["area"])
    (row,) = Score(min_mask_area=smaller["area"] + 1).setup()(segmented).to_pylist()
    assert [(e["id"], e["lemma"]) for e in row["entities"]] == [(1, larger["lemma"])]
    (row,) = Score(min_mask_area=larger["area"] + 1).setup()(segmented).to_pylist()
    assert (row["status"], row["reason"], row["entities"]) == ("rejected", "too_few_masks", [])


def test_containment_follows_its_entity_through_renumbering():
    entities = [{"id": 2, "contained_in": 5}, {"id": 4, "contained_in": 3}, {"id": 5, "contained_in": -1}]
    assert [(e["id"], e["contained_in"]) for e in renumbered(entities)] == [(1, 3), (2, -1), (3, -1)]

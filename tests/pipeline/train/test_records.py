# SPDX-License-Identifier: Apache-2.0
import io
import json

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from pipeline.train.captions import Phrase
from pipeline.train.records import BadRecord, record_of


def encoded(image, kind):
    stream = io.BytesIO()
    image.save(stream, kind)
    return stream.getvalue()


JPG = encoded(Image.new("RGB", (40, 30), (200, 10, 10)), "JPEG")
LABELS = np.zeros((30, 40), np.uint8)
LABELS[5:15, 10:20], LABELS[10:25, 25:35] = 1, 2
PNG = encoded(Image.fromarray(LABELS), "PNG")
BACKGROUND = {"value": 0, "label": "background"}


def entry(value=1, label="cat", logit=0.9, box=(10, 5, 20, 15)):
    return {"value": value, "label": label, "logit": logit, "box": box}


def members(fields, **others):
    return {"jpg": JPG, "png": PNG, "json": json.dumps(fields).encode(), "txt": b"alt", **others}


def test_run_lengths_keep_overlaps():
    mask = np.zeros((30, 40), np.uint8)
    mask[3:20, 8:30] = 1
    counts = coco_mask.encode(np.asfortranarray(mask))["counts"].decode()
    entity = {"id": 1, "box": [8, 3, 30, 20], "det_score": 0.7, "rle": {"size": [30, 40], "counts": counts}}
    found = record_of(members({"caption": "a cat", "mask": [BACKGROUND, entry()], "entities": [entity]}))
    (candidate,) = found.candidates
    assert (candidate.label, candidate.box, candidate.score) == ("cat", (8, 3, 30, 20), 0.7)
    assert np.array_equal(candidate.mask_HW, mask == 1)
    assert found.image.size == (40, 30)
    assert found.caption == "a cat"


def test_phrases_say_where_nouns_begin():
    noun = {"text": "red cat", "lemma": "cat", "span": [2, 9], "head": "cat", "head_span": [6, 9]}
    found = record_of(
        members({"caption": "a red cat", "mask": [BACKGROUND], "entities": [], "nouns": [noun]})
    )
    assert found.phrases == (Phrase("cat", 2, 6),)
    with pytest.raises(BadRecord, match="KeyError"):
        record_of(members({"mask": [BACKGROUND], "nouns": [{"lemma": "cat"}]}))


def test_label_maps():
    fields = {"caption": "a cat", "mask": [BACKGROUND, entry(), entry(2, "dog", 0.5, (25, 10, 35, 25))]}
    palette = Image.fromarray(LABELS).convert("P")
    for png in (PNG, encoded(palette, "PNG")):
        found = record_of(members(fields, png=png))
        assert [each.label for each in found.candidates] == ["cat", "dog"]
        assert np.array_equal(found.candidates[1].mask_HW, LABELS == 2)


def test_boxes_and_names_come_by_area():
    fields = {"bboxes": [[10, 5, 20, 15], [25, 10, 35, 25]], "cat_names": ["cat", "dog"]}
    found = record_of(members(fields))
    assert found.caption == "alt"
    scores = {each.label: each.score for each in found.candidates}
    assert 0.3 < scores["cat"] < scores["dog"] <= 1


@pytest.mark.parametrize(
    ("fields", "others", "said"),
    [
        ({"caption": "x"}, {}, "neither entities, nor mask, nor bboxes"),
        ([], {}, "no object"),
        ({"mask": [BACKGROUND, {"value": 1}]}, {}, "KeyError"),
        ({"mask": [BACKGROUND, entry(box=(1, 2, 3))]}, {}, "ValueError"),
        ({"mask": []}, {"png": encoded(Image.new("L", (8, 8)), "PNG")}, "label map of"),
        ({"mask": []}, {"png": encoded(Image.new("RGB", (40, 30)), "PNG")}, "mode is RGB"),
        ({"mask": []}, {"jpg": JPG[:200]}, "OSError"),
        ({"mask": []}, {"json": b"{"}, "JSONDecodeError"),
        ({"bboxes": [[1, 2, 3, 4]], "cat_names": []}, {}, "ValueError"),
    ],
)
def test_what_cannot_be_trained_on(fields, others, said):
    with pytest.raises(BadRecord, match=said):
        record_of(members(fields, **others))


@pytest.mark.parametrize("member", ["jpg", "json", "png"])
def test_a_member_that_is_missing(member):
    some = members({"mask": [BACKGROUND, entry()]})
    del some[member]
    with pytest.raises(BadRecord, match=f"no {member}"):
        record_of(some)

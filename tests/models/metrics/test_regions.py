# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from PIL import Image

from models.metrics import METRICS, metric_class
from models.metrics.regions import COLOURS, cut_out, without


def picture():
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8))


def mask_of(box):
    mask = np.zeros((20, 30), bool)
    mask[box[1] : box[3], box[0] : box[2]] = True
    return mask


def test_a_cut_out_is_square_and_holds_the_subject_alone():
    image, mask = picture(), mask_of((5, 4, 15, 8))
    found = np.asarray(cut_out(image, mask, "grey"))
    assert found.shape == (10, 10, 3)
    assert (found[3:7] == np.asarray(image)[4:8, 5:15]).all()
    assert (found[:3] == COLOURS["grey"]).all()
    assert (found[7:] == COLOURS["grey"]).all()


def test_what_is_around_a_subject_is_all_but_the_subjects():
    image = picture()
    found = np.asarray(without(image, [mask_of((0, 0, 4, 4)), None, mask_of((10, 10, 12, 12))], "white"))
    hidden = mask_of((0, 0, 4, 4)) | mask_of((10, 10, 12, 12))
    assert (found[hidden] == 255).all()
    assert (found[~hidden] == np.asarray(image)[~hidden]).all()


def test_nothing_marked_is_nothing_to_cut_out():
    assert cut_out(picture(), None, "grey") is None
    assert cut_out(picture(), mask_of((0, 0, 0, 0)), "grey") is None
    assert without(picture(), [None], "grey") == picture()


def test_a_mask_of_another_picture_is_refused():
    with pytest.raises(ValueError, match="a mask of"):
        without(picture(), [np.ones((3, 3), bool)], "grey")


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_is_there_and_says_which_way_is_better(name):
    metric = metric_class(name)
    assert metric.name == name
    assert metric.better in ("higher", "lower")


def test_a_metric_of_another_package_is_taken():
    assert metric_class("models.metrics.dino:Dino") is metric_class("dino")
    with pytest.raises(LookupError, match="known: clip_t"):
        metric_class("fid")
    with pytest.raises(LookupError, match="cannot be imported"):
        metric_class("no.such:Metric")

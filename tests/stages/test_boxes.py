# SPDX-License-Identifier: Apache-2.0
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from stages.boxes import areas, containers, intersections, ious, suppressed

coordinates = hnp.arrays(np.float64, (6, 4), elements=st.floats(0, 100, width=32))


def boxes_of(raw):
    return np.concatenate(
        [np.minimum(raw[:, :2], raw[:, 2:]), np.maximum(raw[:, :2], raw[:, 2:]) + 1], axis=1
    )


@given(coordinates)
def test_iou_is_symmetric_bounded_and_one_with_itself(raw):
    box_N4 = boxes_of(raw)
    iou_NN = ious(box_N4, box_N4)
    assert np.allclose(iou_NN, iou_NN.T)
    assert np.allclose(np.diag(iou_NN), 1)
    assert ((iou_NN >= 0) & (iou_NN <= 1 + 1e-9)).all()


@given(coordinates)
def test_intersection_is_never_larger_than_either_box(raw):
    box_N4 = boxes_of(raw)
    shared = intersections(box_N4, box_N4)
    assert (shared <= np.minimum(areas(box_N4)[:, None], areas(box_N4)[None]) + 1e-6).all()


def test_intersection_counts_pixels_of_half_open_boxes():
    assert intersections(np.array([[0, 0, 2, 2]]), np.array([[1, 1, 3, 3], [2, 0, 4, 2]])).tolist() == [
        [1, 0]
    ]


def overlapping(iou):
    """Two boxes of width 1 whose IoU is as given."""
    shift = (1 - iou) / (1 + iou)
    return np.array([[0, 0, 1, 1], [shift, 0, 1 + shift, 1]])


def test_suppression_keeps_one_of_two_above_the_limit_and_both_below():
    same = np.array([0, 0])
    assert suppressed(overlapping(0.6), same, 0.5, 1.0) == [0]
    assert suppressed(overlapping(0.4), same, 0.5, 1.0) == [0, 1]


def test_suppression_has_its_own_limit_across_labels():
    different = np.array([0, 1])
    assert suppressed(overlapping(0.6), different, 0.5, 0.8) == [0, 1]
    assert suppressed(overlapping(0.9), different, 0.5, 0.8) == [0]


@given(coordinates, st.floats(0.05, 0.95))
def test_kept_boxes_never_overlap_more_than_allowed(raw, limit):
    box_N4 = boxes_of(raw)
    kept = suppressed(box_N4, np.zeros(len(box_N4)), limit, limit)
    iou_KK = ious(box_N4[kept], box_N4[kept]) - np.eye(len(kept))
    assert (iou_KK <= limit + 1e-9).all()
    assert kept[0] == 0


def test_a_container_holds_more_than_the_share_and_is_larger():
    box_N4 = np.array([[0, 0, 10, 10], [1, 1, 4, 4], [8, 8, 14, 14]])
    assert containers(box_N4, 0.8) == [-1, 0, -1]
    assert containers(np.array([[0, 0, 5, 5], [0, 0, 5, 5]]), 0.8) == [-1, -1]

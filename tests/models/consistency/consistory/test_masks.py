# SPDX-License-Identifier: Apache-2.0
import pytest
import torch
import torch.nn.functional as F

from models.consistency.consistory.masks import Draws, SubjectMasks
from models.consistency.consistory.steering import weights_of
from models.consistency.otsu import above_otsu

B, LOW, HIGH = 3, (4, 6), (8, 12)


def book(dropout=0.0, window=20, seed=0, pictures=B, grids=(LOW, HIGH)):
    return SubjectMasks(grids, window, dropout, Draws(seed, pictures))


def maps(subjects=1, layers=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.rand(B, LOW[0] * LOW[1], subjects, generator=generator) for _ in range(layers)]


def fed(masks, *steps):
    for layers in steps:
        for each in layers:
            masks.see(each)
        masks.end_step(LOW)
    return masks


def test_there_is_no_mask_before_the_first_step_has_ended():
    masks = book()
    for each in maps():
        masks.see(each)
    assert masks.clean == masks.kept == {}


def test_a_mask_is_the_resized_mean_above_otsus_threshold():
    one, other = maps(seed=1), maps(seed=2)
    masks = fed(book(), one, other)
    mean = torch.stack([*one, *other]).mean(0)[..., 0].unflatten(1, LOW)[:, None]
    for grid in (LOW, HIGH):
        resized = F.interpolate(mean, grid, mode="bilinear", align_corners=False)
        assert torch.equal(masks.clean[grid], above_otsu(resized[:, 0].flatten(1)))
        assert masks.clean[grid].any(1).all()


def test_layers_of_a_step_count_alike_however_many():
    few, many = maps(layers=1), maps(layers=1) * 5
    assert torch.equal(fed(book(), few).clean[LOW], fed(book(), many).clean[LOW])


def test_the_window_forgets():
    steps = [maps(seed=seed) for seed in range(6)]
    masks = fed(book(window=2), *steps)
    assert masks.remembered == 2
    assert torch.equal(masks.clean[HIGH], fed(book(), *steps[-2:]).clean[HIGH])
    assert fed(book(window=None), *steps).remembered == 6


def test_memory_does_not_depend_on_layers_and_grows_to_the_window_alone():
    masks = fed(book(window=4), *[maps(layers=7, subjects=2)] * 30)
    kept = masks._history
    assert sum(each.numel() for each in kept) == 4 * B * LOW[0] * LOW[1] * 2


def test_several_subjects_are_the_union_of_each_in_any_order():
    both = maps(subjects=2)
    alone = [fed(book(), [each[..., k : k + 1] for each in both]).clean[HIGH] for k in (0, 1)]
    turned = fed(book(), [each.flip(-1) for each in both]).clean[HIGH]
    doubled = fed(book(), [torch.cat([each, each], -1) for each in both]).clean[HIGH]
    union = fed(book(), both).clean[HIGH]
    assert torch.equal(union, alone[0] | alone[1])
    assert torch.equal(union, turned)
    assert torch.equal(union, doubled)


def test_an_absent_subject_has_no_mask():
    assert not fed(book(), [torch.zeros(B, LOW[0] * LOW[1], 1)]).clean[HIGH].any()


def test_dropout_keeps_its_share_of_the_mask_and_nothing_else():
    masks = SubjectMasks([(64, 64)], 20, 0.3, Draws(0, B))
    masks.see(torch.rand(B, 24, 1, generator=torch.Generator().manual_seed(3)))
    masks.end_step(LOW)
    clean, kept = masks.clean[64, 64], masks.kept[64, 64]
    assert not (kept & ~clean).any()
    assert (kept.sum() / clean.sum()).item() == pytest.approx(0.7, abs=0.02)


@pytest.mark.parametrize(("dropout", "left"), [(0.0, "all"), (1.0, "none")])
def test_dropout_at_its_ends(dropout, left):
    masks = fed(book(dropout), maps())
    wanted = masks.clean[HIGH] if left == "all" else torch.zeros_like(masks.clean[HIGH])
    assert torch.equal(masks.kept[HIGH], wanted)


def test_draws_differ_by_step_picture_and_seed_and_repeat():
    draws, again, other = Draws(0, 2), Draws(0, 2), Draws(1, 2)
    first, second = draws(2, 50), draws(2, 50)
    assert torch.equal(first, again(2, 50))
    assert not torch.equal(first, second)
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first, other(2, 50))


def test_a_pictures_draws_do_not_depend_on_the_batch_unless_asked_to():
    assert torch.equal(Draws(0, 2)(2, 50), Draws(0, 5)(5, 50)[:2])
    stream = torch.rand(3, 50, generator=torch.Generator().manual_seed(7))
    assert torch.equal(Draws(7, None)(3, 50), stream)


def test_weights_are_the_mean_over_the_tokens_of_a_subject():
    weights_BLS = weights_of([[[[2, 3], [6]], []], [[[1]], [[4, 5]]]], 8)
    assert weights_BLS.shape == (2, 8, 2)
    assert weights_BLS[0, [2, 3, 6], 0].tolist() == pytest.approx([1 / 3] * 3)
    assert weights_BLS[0, :, 1].sum() == 0
    assert weights_BLS[1, [4, 5], 1].tolist() == [0.5, 0.5]
    assert weights_BLS.sum() == pytest.approx(3)

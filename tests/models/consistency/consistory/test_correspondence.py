# SPDX-License-Identifier: Apache-2.0
import pytest
import torch
import torch.nn.functional as F

from models.consistency.consistory.correspondence import Matches, matches, smoothed
from models.consistency.consistory.injection import injected
from models.consistency.otsu import otsu

B, C, GRID = 3, 8, (5, 7)
P = GRID[0] * GRID[1]
FEATURES = torch.randn(B, C, *GRID, generator=torch.Generator().manual_seed(0))
MASKS = torch.rand(B, P, generator=torch.Generator().manual_seed(1)) < 0.4
SOURCES = [(1,), (0,), (0, 1)]


def found(features=FEATURES, masks=MASKS, sources=SOURCES, **more):
    return matches(features, masks, sources, GRID, **more)


def test_a_match_is_the_nearest_patch_of_a_sources_subject():
    result = found()
    unit = F.normalize(FEATURES.flatten(2).transpose(1, 2), dim=2).double()
    for i, sources in enumerate(SOURCES):
        for p in range(P):
            distances = {
                (j, q): 1 - float(unit[i, p] @ unit[j, q]) for j in sources for q in range(P) if MASKS[j, q]
            }
            best = min(distances, key=distances.get)
            assert (result.picture_BP[i, p].item(), result.place_BP[i, p].item()) == best
            assert result.distance_BP[i, p].item() == pytest.approx(distances[best], abs=1e-5)


def test_injected_patches_are_of_the_subject_and_nearer_than_otsus_threshold():
    result = found()
    assert not (result.injected_BP & ~MASKS).any()
    assert result.injected_BP.any(1).all()
    for i in range(B):
        near = result.distance_BP[i].double() < otsu(result.distance_BP[i : i + 1])
        assert torch.equal(result.injected_BP[i], near & MASKS[i])


def test_sources_lie_in_their_masks_and_distances_in_0_to_2():
    result = found()
    assert MASKS[result.picture_BP, result.place_BP].all()
    assert ((result.distance_BP >= 0) & (result.distance_BP <= 2)).all()


@pytest.mark.parametrize("which", ["source", "target", "everything"])
def test_without_a_mask_nothing_is_injected(which):
    masks = MASKS.clone()
    masks[{"source": slice(0, 2), "target": slice(2, 3), "everything": slice(None)}[which]] = False
    result = found(masks=masks)
    assert not result.injected_BP[2].any()
    if which != "target":
        assert (result.distance_BP[2] == 2).all()


def test_a_picture_without_sources_is_left_alone():
    result = found(sources=[(), (0,), (0,)])
    assert not result.injected_BP[0].any()


def test_against_itself_every_patch_is_its_own():
    features = FEATURES[:1].expand(2, -1, -1, -1)
    result = matches(features, torch.ones(2, P, dtype=torch.bool), [(1,), (0,)], GRID)
    assert torch.equal(result.place_BP, torch.arange(P).expand(2, -1))
    assert result.distance_BP.max() < 1e-6


@pytest.mark.parametrize("chunk", [1, 10, P, 10 * P])
def test_chunks_change_nothing(chunk):
    for one, other in zip(found(chunk=chunk), found(), strict=True):
        assert torch.allclose(one.double(), other.double(), atol=1e-6)


def test_smoothing_is_a_gaussian_with_zeros_around():
    spot = torch.zeros(1, 2, 5, 5)
    spot[0, :, 2, 2] = 1
    result = smoothed(spot, 1.0)
    assert result.sum((2, 3))[0].tolist() == pytest.approx([1.0, 1.0])
    assert (result[0, 0, 2, 2] / result[0, 0, 2, 1]).item() == pytest.approx(torch.tensor(0.5).exp().item())
    corner = smoothed(torch.ones(1, 1, 5, 5), 1.0)
    assert corner[0, 0, 2, 2].item() == pytest.approx(1)
    assert corner[0, 0, 0, 0] < corner[0, 0, 0, 2] < 1
    assert torch.equal(smoothed(spot, 0.0), spot)


OUTPUT = torch.randn(B, P, C, generator=torch.Generator().manual_seed(2))


def test_injection_blends_listed_patches_and_leaves_the_rest():
    result = found()
    blended = injected(OUTPUT, result, 0.8, "simultaneous")
    wanted = 0.2 * OUTPUT + 0.8 * OUTPUT[result.picture_BP, result.place_BP]
    assert torch.allclose(blended[result.injected_BP], wanted[result.injected_BP], atol=1e-6)
    assert torch.equal(blended[~result.injected_BP], OUTPUT[~result.injected_BP])
    assert torch.equal(injected(OUTPUT, result, 0.0, "simultaneous"), OUTPUT)


def test_in_turn_pictures_take_what_is_already_blended():
    result = found()
    before = OUTPUT.clone()
    wanted = OUTPUT.clone()
    for i in range(B):
        taken = wanted[result.picture_BP[i], result.place_BP[i]]
        wanted[i] = torch.where(result.injected_BP[i, :, None], 0.2 * wanted[i] + 0.8 * taken, wanted[i])
    blended = injected(OUTPUT, result, 0.8, "sequential")
    assert torch.allclose(blended, wanted, atol=1e-6)
    assert not torch.allclose(blended, injected(OUTPUT, result, 0.8, "simultaneous"))
    assert torch.equal(OUTPUT, before)


def test_both_orders_are_one_where_no_source_is_a_target():
    result = found(sources=[(), (0,), (0,)])
    one, other = (injected(OUTPUT, result, 0.8, order) for order in ("sequential", "simultaneous"))
    assert torch.equal(one, other)
    assert torch.equal(one[0], OUTPUT[0])


def test_simultaneous_injection_goes_with_the_order_of_pictures():
    turned = [2, 0, 1]
    back = torch.tensor(turned).argsort().tolist()
    sources = [tuple(back[j] for j in SOURCES[i]) for i in turned]
    result = found()
    moved = matches(FEATURES[turned], MASKS[turned], sources, GRID)
    one = injected(OUTPUT, result, 0.8, "simultaneous")[turned]
    assert torch.allclose(injected(OUTPUT[turned], moved, 0.8, "simultaneous"), one, atol=1e-6)


def test_remembered_pictures_are_numbered_after_the_batch():
    result = found()
    alone = Matches(*(each[2:] for each in result))
    moved = Matches(alone.picture_BP + 1, *alone[1:])
    one = injected(OUTPUT[2:], moved, 0.8, "simultaneous", OUTPUT[:2])
    assert torch.equal(one[0], injected(OUTPUT, result, 0.8, "simultaneous")[2])

# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import torch
from skimage.filters import threshold_otsu

from models.consistency.otsu import above_otsu, otsu

RNG = np.random.default_rng(0)


def maps(kind):
    if kind == "noise":
        return RNG.random((6, 1024), np.float32)
    if kind == "two":
        return np.where(RNG.random((6, 1024)) < 0.3, 0.8, 0.2).astype(np.float32) + RNG.normal(
            0, 0.05, (6, 1024)
        ).astype(np.float32)
    return np.round(RNG.random((6, 64)) * 5).astype(np.float32)


@pytest.mark.parametrize("kind", ["noise", "two", "steps"])
def test_it_is_scikit_images(kind):
    values = maps(kind).astype(np.float64)
    wanted = [threshold_otsu(row, nbins=256) for row in values]
    assert np.allclose(otsu(torch.from_numpy(values)).numpy(), wanted, atol=1e-9)


def test_it_parts_best_by_trying_all():
    row = maps("two")[0].astype(np.float64)
    edges = np.linspace(row.min(), row.max(), 257)
    counts, middles = np.histogram(row, edges)[0].astype(float), (edges[1:] + edges[:-1]) / 2

    def apart(k):
        low, high = counts[: k + 1], counts[k + 1 :]
        means = (low @ middles[: k + 1]) / low.sum(), (high @ middles[k + 1 :]) / high.sum()
        return low.sum() * high.sum() * (means[0] - means[1]) ** 2

    best = max(range(255), key=apart)
    assert otsu(torch.from_numpy(row[None])).item() == pytest.approx(middles[best])


def test_scale_and_offset_change_no_mask():
    values = torch.from_numpy(maps("two"))
    assert torch.equal(above_otsu(values), above_otsu(values.double() * 7.5 + 3))


def test_a_constant_map_has_no_mask():
    for value in (0.0, 0.3, -2.0):
        assert not above_otsu(torch.full((2, 16), value)).any()


def test_half_precision_is_computed_like_full():
    values = torch.from_numpy(maps("two")).half()
    assert torch.equal(above_otsu(values), above_otsu(values.float()))


def test_maps_are_cut_one_by_one():
    values = torch.from_numpy(maps("noise")) * torch.tensor([1.0, 10, 100, 0.1, 5, 2])[:, None]
    assert torch.equal(above_otsu(values), torch.cat([above_otsu(row[None]) for row in values]))

# SPDX-License-Identifier: Apache-2.0
from collections import Counter
from copy import deepcopy
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.train.order import Order, batch_positions

sizes = st.lists(st.integers(0, 20), min_size=1, max_size=12).filter(sum)


@settings(deadline=None)
@given(sizes, st.integers(0, 5), st.integers(1, 5))
def test_an_epoch_has_every_sample_once(sizes, seed, block):
    order = Order(sizes, seed, block)
    everything = Counter((shard, row) for shard, size in enumerate(sizes) for row in range(size))
    for epoch in range(3):
        start = epoch * order.epoch_size
        assert Counter(map(order.at, range(start, start + order.epoch_size))) == everything


@settings(deadline=None)
@given(sizes, st.lists(st.integers(0, 400), max_size=20))
def test_a_position_is_the_same_sample_whatever_was_asked_before(sizes, positions):
    order, copy = Order(sizes, seed=3), deepcopy(Order(sizes, seed=3))
    forwards = {position: order.at(position) for position in positions}
    assert {position: copy.at(position) for position in reversed(positions)} == forwards


def test_epochs_and_seeds_differ_and_blocks_are_mixed():
    sizes = [50] * 16

    def epoch(number, seed=0):
        order = Order(sizes, seed, block=4)
        return [order.at(number * 800 + place) for place in range(800)]

    assert epoch(0) != epoch(1)
    assert epoch(0) != epoch(0, seed=1)
    first_block = epoch(0)[:200]
    assert len({place.shard for place in first_block}) == 4
    # Neighbours are of the same shard as often as chance has it, not more.
    same = np.mean([one.shard == other.shard for one, other in pairwise(first_block)])
    assert same == pytest.approx(0.25, abs=0.12)


@pytest.mark.parametrize("world", [1, 2, 4])
def test_processes_share_a_step(world):
    for step in range(3):
        together = [p for rank in range(world) for p in batch_positions(step, 8, rank, world)]
        assert together == [*range(step * 8, step * 8 + 8)]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Order([0, 0]), "no sample"),
        (lambda: Order([]), "no sample"),
        (lambda: Order([3], block=0), "block"),
        (lambda: Order([3]).at(-1), "position"),
        (lambda: batch_positions(0, 6, 0, 4), "6 cannot be shared out among 4"),
    ],
)
def test_mistakes(make, said):
    with pytest.raises(ValueError, match=said):
        make()

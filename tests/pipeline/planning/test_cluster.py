# SPDX-License-Identifier: Apache-2.0
import random
from collections import Counter

import pytest

from pipeline.planning.cluster import Cluster, Holding, seats


def held(cluster, wanted, places):
    """CPUs by node and shares by GPU."""
    cpus, gpus = Counter(), Counter()
    for (holding, count), some in zip(wanted, places, strict=True):
        assert len(some) == count
        for seat in some:
            cpus[seat.node] += holding.cpus
            for gpu in range(max(1, round(holding.gpus))) if holding.gpus else ():
                gpus[seat.node, seat.gpu + gpu] += min(1.0, holding.gpus)
    return cpus, gpus


@pytest.mark.parametrize("seed", range(20))
def test_no_node_and_no_gpu_holds_more_than_it_has(seed):
    rng = random.Random(seed)
    while (found := seats(*(drawn := _drawn(rng)))) is None:
        pass
    cluster, wanted = drawn
    cpus, gpus = held(cluster, wanted, found)
    assert max(cpus.values()) <= cluster.cpus + 1e-6
    assert max(gpus.values(), default=0) <= 1 + 1e-6
    assert all(0 <= gpu < cluster.gpus for _, gpu in gpus)


def _drawn(rng):
    cluster = Cluster(rng.randint(1, 6), rng.randint(2, 16), rng.randint(0, 4))
    wanted = [
        (Holding(rng.choice([0.4, 0.5, 1, 2]), rng.choice([0, 0, 0.25, 0.5, 1, 2])), rng.randint(1, 6))
        for _ in range(3)
    ]
    return cluster, wanted


@pytest.mark.parametrize(
    ("cluster", "wanted", "fits"),
    [
        (Cluster(1, 2, 0), [(Holding(0.4, 0), 1), (Holding(0.8, 0), 2)], True),
        (Cluster(1, 2, 0), [(Holding(0.5, 0), 5)], False),
        (Cluster(1, 8, 1), [(Holding(1, 0.5), 1), (Holding(1, 0.25), 2)], True),
        # A share is of one GPU: two of 0.6 leave two pieces of 0.4, which are no 0.8.
        (Cluster(1, 8, 2), [(Holding(1, 0.6), 2), (Holding(1, 0.8), 1)], False),
        (Cluster(1, 8, 2), [(Holding(1, 2.0), 1)], True),
        (Cluster(2, 8, 1), [(Holding(1, 2.0), 1)], False),
        # One node has the CPUs, the other the room on its GPU.
        (Cluster(2, 4, 1), [(Holding(3, 0), 1), (Holding(4, 1.0), 1)], True),
        (Cluster(2, 4, 1), [(Holding(3, 0), 2), (Holding(2, 1.0), 1)], False),
    ],
)
def test_what_fits(cluster, wanted, fits):
    assert (seats(cluster, wanted) is not None) == fits


def test_shares_of_one_stage_fill_a_gpu_before_the_next():
    (some,) = seats(Cluster(1, 8, 4), [(Holding(1, 0.5), 4)]) or [[]]
    assert [seat.gpu for seat in some] == [0, 0, 1, 1]


def test_workers_without_a_gpu_are_spread_as_ray_does():
    wanted = [(Holding(0.8, 0), 40), (Holding(0.4, 0), 30)]
    cpus, _ = held(cluster := Cluster(4, 16, 0), wanted, seats(cluster, wanted))
    # 44 of 64 CPUs: more than half of every node, and none much more than another.
    assert max(cpus.values()) - min(cpus.values()) <= 0.8 + 1e-6
    # 6 of 64: half of a node is enough for them.
    assert {seat.node for seat in seats(cluster, [(Holding(1, 0), 6)])[0]} == {0}


def test_nobody_is_moved_for_those_who_come_later():
    small, large = (Holding(1, 0.3), 2), (Holding(1, 0.7), 2)
    read, whole = (Holding(1, 0), 1), (Holding(1, 1.0), 1)
    # Of three GPUs the shares of 0.3 take part of one, which those of 0.7 no longer fit on.
    assert seats(Cluster(1, 16, 3), [read, small, large, whole]) is None
    assert seats(Cluster(1, 16, 3), [read, whole, large, small]) is not None
    # Readers are tasks and come last, so a whole node has to be left for one that wants it.
    assert seats(Cluster(2, 4, 0), [(Holding(4, 0), 1), (Holding(1, 0), 4)]) is None
    assert seats(Cluster(2, 4, 0), [(Holding(1, 0), 4), (Holding(4, 0), 1)]) is not None

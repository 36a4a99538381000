# SPDX-License-Identifier: Apache-2.0
import math

import pytest

from pipeline.planning.cluster import Cluster
from pipeline.planning.machine import Machine
from pipeline.planning.pools import sized
from pipeline.planning.simulated_run import NeverDone
from pipeline.planning.simulation import simulate
from tests.pipeline.planning.pools import pool

ROOMY = Cluster(1, 64, 8)


def test_one_worker_does_one_shard_after_another():
    run = simulate(
        [pool("a", 0.5, load=3)], ROOMY, images=35, shard_size=10, machine=Machine(start=7, stop=2)
    )
    assert run.seconds == pytest.approx(7 + 3 + 35 * 0.5 + 2)
    assert run.first == pytest.approx(7 + 3 + 5)
    assert run.failures == 0


def test_workers_share_shards():
    run = simulate([pool("a", 0.1, workers=4)], ROOMY, images=1000, shard_size=10)
    assert run.seconds == pytest.approx(25)
    assert run.busy == pytest.approx((1.0,))


def test_operators_work_at_the_same_time():
    run = simulate([pool("a", 0.1), pool("b", 0.1)], ROOMY, images=100, shard_size=10)
    assert run.seconds == pytest.approx(11)
    assert run.first == pytest.approx(2)


def test_the_slowest_operator_decides():
    run = simulate([pool("a", 0.01), pool("b", 0.1), pool("c", 0.02)], ROOMY, images=1000, shard_size=10)
    assert run.seconds == pytest.approx(0.1 + 100 * 1.0 + 0.2)
    assert run.busy[1] == pytest.approx(1, abs=0.01)


def test_cores_are_shared():
    pools = [pool("a", 0.1, cpus=0.3), pool("b", 0.1, cpus=0.3), pool("c", 0.1, cpus=0.3)]
    one, three = (simulate(pools, Cluster(1, cores, 0), 1000, 10).seconds for cores in (1, 3))
    assert one == pytest.approx(300)
    assert three == pytest.approx(102)


def test_a_gpu_is_shared():
    pools = [pool("a", 0.1, gpus=0.5), pool("b", 0.1, gpus=0.5)]
    one, two = (simulate(pools, Cluster(1, 8, gpus), 1000, 10).seconds for gpus in (1, 2))
    # Both sit on the first GPU, as Ray would have it.
    assert one == two == pytest.approx(200)
    apart = [pool("a", 0.1, gpus=1.0), pool("b", 0.1, gpus=1.0)]
    assert simulate(apart, Cluster(1, 8, 2), 1000, 10).seconds == pytest.approx(101)


@pytest.mark.parametrize("seed", range(3))
def test_failures_cost_time_and_no_shard(seed):
    pools = [pool("a", 0.05, workers=4, load=20), pool("b", 0.1, workers=8, load=20)]
    whole = simulate(pools, ROOMY, 100_000, 1000)
    failing = simulate(pools, ROOMY, 100_000, 1000, failures=4.0, seed=seed)
    assert failing.failures > 0
    assert failing.seconds > whole.seconds
    # None of the shards is lost: every operator has done all of its work.
    for share, each in zip(failing.busy, pools, strict=True):
        assert share * each.workers * failing.seconds >= 100_000 * each.cost.seconds
    # Whatever fails, no more than all that was done twice and every start again.
    assert failing.seconds < whole.seconds + failing.failures * (100 + 20)


def test_failures_are_of_hours_whoever_shares_a_gpu():
    alone = [pool("a", 0.05, workers=1, gpus=1.0)]
    shared = [pool("a", 0.05, workers=4, gpus=0.25)]
    for pools in (alone, shared):
        run = simulate(pools, Cluster(1, 8, 1), 2_000_000, 100, failures=1.0)
        hours = run.seconds / 3600
        assert run.failures == pytest.approx(pools[0].workers * hours, rel=0.3)


def test_what_is_done_on_cores_beside_gpus_takes_cores():
    pools = [pool("a", 0.01, workers=8, gpus=1.0, cpu_seconds=0.05)]
    few, many = (simulate(pools, Cluster(1, cores, 8), 100_000, 100) for cores in (8, 64))
    assert few.seconds == pytest.approx(100_000 * 0.05 / 8, rel=0.01)
    assert few.cores == pytest.approx(160)
    assert many.seconds == pytest.approx(100_000 * 0.01 / 8, rel=0.01)


def test_the_same_seed_the_same_failures():
    pools = [pool("a", 0.05, workers=4, load=20)]
    runs = [simulate(pools, ROOMY, 100_000, 1000, failures=9.0, seed=s) for s in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]


def test_bounds_hold_for_any_layout():
    for workers in ((1, 1, 1), (2, 1, 3), (1, 4, 2), (3, 3, 3)):
        pools = [pool(*each, cpus=0.2) for each in zip("abc", (0.01, 0.05, 0.08), workers, strict=True)]
        run = simulate(pools, Cluster(1, 2, 0), 5000, 100)
        slowest = max(p.cost.seconds * 5000 / p.workers for p in pools)
        assert run.seconds >= max(slowest, 0.14 * 5000 / 2) - 1e-6
        assert run.seconds <= 0.14 * 5000 + 1e-6
        assert all(0 < busy <= 1 + 1e-9 for busy in run.busy)


def test_what_is_not_simulated_goes_on_as_before():
    pools = [pool("a", 0.01), pool("b", 0.02, workers=2), pool("c", 0.005, load=60)]
    run = simulate(pools, ROOMY, images=10_000_050, shard_size=50)
    assert run.seconds == pytest.approx(10_000_050 * 0.01 + 60, rel=1e-3)
    assert run.busy[0] == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("nodes", [8, 32, 128])
def test_seventy_six_million_images_on_up_to_a_thousand_gpus(nodes):
    pools = [
        pool("read", 0.004, workers=2 * nodes),
        pool("caption", 0.010, workers=4 * nodes, gpus=0.5, load=60),
        pool("detect", 0.020, workers=8 * nodes, gpus=0.25, load=30),
        pool("segment", 0.030, workers=16 * nodes, gpus=0.25, load=30),
    ]
    run = simulate(pools, Cluster(nodes, 64, 8), 76_000_000, 1000, Machine(start=20), failures=0.01)
    assert run.failures > 0
    assert math.isfinite(run.first)
    # The bottleneck's time, and no more than a tenth on top of it for the start and what fails.
    least = 76_000_000 * 0.020 / (8 * nodes * 0.25)
    assert least <= run.seconds <= 1.1 * least


def test_what_ray_adds_is_added_for_each_shard_and_operator():
    pools = [pool("a", 0.1), pool("b", 0.1)]
    plain, slow = (
        simulate(pools, ROOMY, images=100, shard_size=10, machine=Machine(handling=handling)).seconds
        for handling in (0.0, 0.5)
    )
    assert slow - plain == pytest.approx(11 * 0.5)


def test_two_busy_cores_are_slower_than_one():
    two = [pool("a", 0.1, workers=2, cpus=1)]
    run = simulate(two, Cluster(1, 2, 0), images=100, shard_size=10, machine=Machine(crowded=1.4))
    assert run.seconds == pytest.approx(5 * 1.4)


def test_what_ray_takes_all_the_time_is_not_for_workers():
    two = [pool("a", 0.1, workers=2, cpus=1)]
    run = simulate(two, Cluster(1, 2, 0), images=100, shard_size=10, machine=Machine(standing=0.4))
    assert run.seconds == pytest.approx(5 * 2 / 1.6)


def test_a_large_cluster_of_cores_does_what_its_cores_can():
    pools = [
        pool("read", 0.0024, cpus=0.4),
        pool("caption", 0.0186, cpus=0.8),
        pool("segment", 0.0285, cpus=0.8),
    ]
    cluster, machine = Cluster(64, 16, 0), Machine(crowded=1.3, standing=0.2, handling=0.02)
    run = simulate(sized(pools, cluster), cluster, 10_000_000, 100, machine)
    assert run.cores == pytest.approx(64 * 15.8 / 1.3 / 0.0495)
    assert 0.85 * run.cores <= 10_000_000 / run.seconds <= run.cores


@pytest.mark.parametrize("nodes", [4, 64])
def test_one_driver_hands_on_the_shards_of_a_cluster_of_any_size(nodes):
    pools = [pool("a", 0.01, workers=16 * nodes, cpus=0.5), pool("b", 0.01, workers=16 * nodes, cpus=0.5)]
    cluster, machine = Cluster(nodes, 16, 0), Machine(driving=0.004)
    small, large = (simulate(pools, cluster, 20_000_000, size, machine) for size in (100, 1000))
    assert small.driver == pytest.approx(100 / 0.008)
    assert large.driver == pytest.approx(10 * small.driver)
    cores = 16 * nodes / 0.02
    assert 20_000_000 / small.seconds == pytest.approx(min(small.driver, cores), rel=0.01)
    assert 20_000_000 / large.seconds == pytest.approx(cores, rel=0.1)


def test_what_a_driver_holds_up_is_not_busy_and_fails_as_long_as_it_lasts():
    pools = [pool("a", 0.01, workers=4), pool("b", 0.01, workers=4)]
    free, held = (
        simulate(pools, ROOMY, 2_000_000, 100, Machine(start=20, driving=driving), failures=2.0)
        for driving in (0.0, 0.5)
    )
    assert held.seconds == pytest.approx(20 + 2_000_000 / 100)
    times = held.seconds / free.seconds
    assert held.busy == pytest.approx([share / times for share in free.busy], rel=0.01)
    assert held.failures == pytest.approx(times * free.failures, rel=0.01)
    assert held.failures == pytest.approx(8 * 2 * held.seconds / 3600, rel=0.3)


def test_who_waits_for_a_store_leaves_the_cores_to_others():
    waiting, computing = (pool("read", 0.2, workers=16, cpus=0.05, cpu_seconds=used) for used in (0.002, 0.2))
    others = pool("segment", 0.05, workers=2, cpus=0.5)
    fast, slow = (simulate([some, others], Cluster(1, 2, 0), 10_000, 100) for some in (waiting, computing))
    # What the others take and the little that reading takes; all of both where reading keeps cores busy.
    assert fast.seconds == pytest.approx(10_000 * 0.052 / 2, rel=0.1)
    assert slow.seconds == pytest.approx(10_000 * 0.25 / 2, rel=0.1)


def test_a_run_that_would_not_end_ends():
    pools = [pool("a", 0.02, workers=40, cpus=0.02, load=20), pool("b", 0.02, workers=40, cpus=0.02, load=20)]
    with pytest.raises(NeverDone, match="workers failed"):
        simulate(pools, Cluster(1, 2, 0), 20_000, 100, failures=60.0)

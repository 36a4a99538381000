# SPDX-License-Identifier: Apache-2.0
import pytest

from pipeline.config import load_config
from pipeline.errors import UserError
from pipeline.operators import operators
from pipeline.planning.cluster import Cluster, seats
from pipeline.planning.machine import Machine
from pipeline.planning.measured import Measured, settings_of
from pipeline.planning.pools import check_fits, pools_of, sized
from tests.pipeline.planning.pools import cost, pool
from tests.pipeline.runs import MINIATURE

FULL = [
    pool("read", 0.004, cpus=1),
    pool("caption", 0.010, gpus=0.5, cpu_seconds=0.002),
    pool("detect", 0.020, gpus=0.25, cpu_seconds=0.003),
    pool("segment", 0.030, gpus=0.25, cpu_seconds=0.004),
]


@pytest.mark.parametrize("gpus", [1, 2, 8, 64, 256])
def test_pools_fit_and_none_could_be_faster(gpus):
    cluster = Cluster(max(1, gpus // 8), 16 * min(gpus, 8), min(gpus, 8))
    found = sized(FULL, cluster)
    assert seats(cluster, [(each.holding, each.workers) for each in found]) is not None
    rate = min(each.rate for each in found)
    assert rate <= gpus / 0.060 + 1e-6
    if gpus >= 8:
        assert rate >= 0.9 * gpus / 0.060


def test_twice_the_cluster_twice_the_speed():
    one, two = (min(p.rate for p in sized(FULL, Cluster(n, 128, 8))) for n in (8, 16))
    assert two / one == pytest.approx(2, rel=0.05)


def test_cpus_can_be_what_is_short():
    found = sized(FULL, Cluster(1, 8, 8))
    assert sum(each.workers * each.holding.cpus for each in found) <= 8
    assert min(each.rate for each in found) < 0.5 * 8 / 0.060


def test_one_worker_each_has_to_fit():
    with pytest.raises(UserError, match=r"hold 4 CPUs .* but the cluster has 2"):
        sized(FULL, Cluster(1, 2, 1))
    with pytest.raises(UserError, match=r"hold 1 GPUs .* but the cluster has 0"):
        sized(FULL, Cluster(1, 8, 0))


def test_shares_that_no_gpu_has_left_are_refused():
    pools = [pool("a", 1, workers=2, gpus=0.6), pool("b", 1, gpus=0.8)]
    with pytest.raises(UserError, match="its share on one GPU"):
        check_fits(pools, Cluster(1, 8, 2), 0)


def test_workers_that_would_fill_a_gpus_memory_are_refused():
    beside = pool("b", 1, gpus=0.4, gpu_memory=20 * 2**30)
    small, large = (pool("a", 1, gpus=0.5, gpu_memory=taken * 2**30) for taken in (30, 50))
    check_fits([small, beside], Cluster(1, 8, 1), 80 * 2**30)
    with pytest.raises(
        UserError, match=r"a: a worker takes 50\.5 GiB of a GPU's 80\.0 and holds 0\.5"
    ) as caught:
        check_fits([large, beside], Cluster(1, 8, 1), 80 * 2**30)
    assert "stages.a.resources.gpus to 0.63 or more" in str(caught.value)


def test_measurements_of_another_chain_are_refused():
    chain = operators(load_config(MINIATURE).stages)
    names = [operator.name for operator in chain]
    whole = Measured(
        operators=[cost(name, 1) for name in names],
        images=1,
        shard=1,
        samples=1,
        output=1,
        machine=Machine(),
        processor="",
        settings=settings_of(chain),
    )
    assert [each.workers for each in pools_of(chain, whole)] == [1, 1, 1]
    with pytest.raises(UserError, match="another chain"):
        pools_of(chain, whole.model_copy(update={"operators": whole.operators[:2]}))

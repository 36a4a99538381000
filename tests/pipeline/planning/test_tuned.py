# SPDX-License-Identifier: Apache-2.0
from pipeline.planning.cluster import Cluster
from pipeline.planning.machine import Machine
from pipeline.planning.pools import fits, sized
from pipeline.planning.simulation import simulate
from pipeline.planning.tuned import tuned
from tests.pipeline.planning.pools import pool

MACHINE = Machine(start=11, crowded=1.2, handling=0.014, standing=0.11)


def test_what_yields_to_others_gets_more_workers():
    pools = [
        pool("read", 0.0024, cpus=0.4, load=5),
        pool("caption", 0.0206, cpus=0.8, load=16),
        pool("segment", 0.0247, cpus=0.8, load=14),
    ]
    cluster, images = Cluster(8, 16, 0), 2_000_000
    plain = sized(pools, cluster)
    more = tuned(plain, cluster, images, 100, MACHINE)
    assert fits(more, cluster)
    assert more[0].workers > plain[0].workers
    before, after = (simulate(some, cluster, images, 100, MACHINE) for some in (plain, more))
    assert after.seconds < 0.97 * before.seconds
    assert images / after.seconds > 0.9 * after.cores


def test_pools_on_gpus_stay_as_they_are():
    pools = [pool("read", 0.004, cpus=1), pool("segment", 0.03, gpus=1.0, cpu_seconds=0.004)]
    cluster = Cluster(2, 64, 8)
    found = sized(pools, cluster)
    assert [each.workers for each in tuned(found, cluster, 1_000_000, 1000, MACHINE)] == [
        each.workers for each in found
    ]


def test_there_is_no_room_that_is_not_there():
    pools = [pool("read", 0.01, cpus=1), pool("segment", 0.01, cpus=1)]
    cluster = Cluster(1, 2, 0)
    assert [each.workers for each in tuned(sized(pools, cluster), cluster, 10_000, 100, MACHINE)] == [1, 1]

# SPDX-License-Identifier: Apache-2.0
"""Pools to try layouts with."""

from pipeline.operators import Operator
from pipeline.planning.measured import OperatorCost
from pipeline.planning.pools import Pool
from stages.base import Resources


def cost(name, seconds, load=0.0, gpu_memory=0, cpu_seconds=None, memory=2**20):
    return OperatorCost(
        name=name,
        seconds=seconds,
        cpu_seconds=seconds if cpu_seconds is None else cpu_seconds,
        stages={name: seconds},
        load=load,
        memory=memory,
        row=0,
        gpu_memory=gpu_memory,
    )


def pool(name, seconds, workers=1, cpus=1.0, gpus=0.0, **more):
    resources = Resources(workers=workers, cpus=cpus, gpus=gpus)
    return Pool(Operator(((name, None),), resources), cost(name, seconds, **more))

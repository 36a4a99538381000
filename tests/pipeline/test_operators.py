# SPDX-License-Identifier: Apache-2.0
import dataclasses
from pathlib import Path

import pytest

from pipeline.config import load_config
from pipeline.errors import UserError
from pipeline.operators import Operator, Worker, check_capacity, needed_cpus, needed_gpus, operators
from stages.base import Resources, Stage

MINIATURE = Path(__file__).parents[2] / "configs" / "build" / "miniature.yaml"


@pytest.fixture
def chain(tmp_path):
    """What the defaults make of the stages."""
    (tmp_path / "empty.yaml").touch()
    return operators(load_config(tmp_path / "empty.yaml").stages)


def test_a_stage_without_workers_of_its_own_joins_the_one_before(chain):
    assert [operator.name for operator in chain] == [
        "read+filter_image",
        "caption+nouns",
        "detect+select",
        "segment+score+write",
    ]


def test_the_miniature_is_two_heavy_workers_and_fits_on_two_cpus():
    miniature = operators(load_config(MINIATURE).stages)
    names = ["read+filter_image", "caption+nouns+detect+select", "segment+score+write"]
    assert [operator.name for operator in miniature] == names
    check_capacity(miniature, cpus=2, gpus=0, where="a laptop")


def test_what_could_only_hang_is_refused_with_the_sum(chain):
    with pytest.raises(UserError, match=r"hold 2 CPUs .*detect\+select 1 x .* but a laptop has 1"):
        check_capacity(chain, cpus=1, gpus=0, where="a laptop")


def test_capacity_counts_every_worker(chain):
    held = Resources(workers=3, cpus=0.5, gpus=0.25)
    more = [dataclasses.replace(operator, resources=held) for operator in chain]
    assert needed_cpus(more) == 6
    assert needed_gpus(more) == 3
    with pytest.raises(UserError, match="GPUs"):
        check_capacity(more, cpus=8, gpus=2, where="the cluster")


def test_every_stage_of_a_worker_has_its_resources():
    seen = []

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Looks(Stage):
        def setup(self):
            seen.append(self.resources)
            return lambda table: table

    held = Resources(decoders=3)
    Worker(Operator((("first", Looks(resources=held)), ("second", Looks())), held))
    assert seen == [held, held]

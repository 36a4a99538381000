# SPDX-License-Identifier: Apache-2.0
"""The short version of `python -m benchmarks.faults.disk`."""

import pytest

from benchmarks.faults.disk import FULL, READ_ONLY, Result, close, fill, light
from benchmarks.faults.small_disk import can_mount


@pytest.fixture(scope="module", autouse=True)
def _mounting(tmp_path_factory):
    if not can_mount(tmp_path_factory.mktemp("probe") / "disk"):
        pytest.skip("no tmpfs can be mounted here; that takes root")


def test_a_full_disk_is_one_line_and_costs_nothing_that_was_done(tmp_path):
    result = Result()
    steps = ("data/train/00001.parquet", "_meta/timings/00001.json", "report.html")
    fill(light(tmp_path / "build", "local"), steps, result)
    assert result.wrong == []
    assert all(FULL in line for line in result.said)
    assert len(result.done) == len(steps)


def test_a_full_disk_is_one_line_on_ray_too(tmp_path):
    result = Result()
    fill(light(tmp_path / "build", "ray"), ("data/train/00001_stats.json",), result)
    assert result.wrong == []
    assert "cannot write shard" in result.said[0]


@pytest.mark.parametrize("moment", ["from the start", "in the middle"])
def test_a_read_only_disk_is_one_line(tmp_path, moment):
    result = Result()
    close(tmp_path / "build", "local", moment, result)
    assert result.wrong == []
    assert READ_ONLY in result.said[0]

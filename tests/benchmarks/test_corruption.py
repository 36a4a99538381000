# SPDX-License-Identifier: Apache-2.0
"""The short version of `python -m benchmarks.faults.corruption`."""

from benchmarks.faults.corruption import run


def test_the_check_names_whatever_is_damaged(tmp_path):
    result = run(tmp_path, count=30, seed=3, every=15)
    assert result.missed == []
    assert result.named == result.done
    assert result.done.total() == 30
    assert len(result.done) == 15
    assert result.by_command == 2

# SPDX-License-Identifier: Apache-2.0
"""Short versions of the sweeps that take real processes and nodes away."""

import pytest

from benchmarks.faults import drivers, kills, nodes


@pytest.mark.timeout(1500)
def test_builds_that_are_killed_and_begun_again_give_the_same_bytes():
    # Spans as they are now: on a busy machine a build may take longer to start than it is let alone.
    result = kills.run(kills=2, seed=5, images=16, commands=2)
    assert result.kills.total() >= 2
    assert result.builds >= 1
    assert (result.different, result.hung, result.unclear) == (0, 0, [])


def test_a_build_survives_the_loss_of_a_node():
    result = nodes.run(losses=1, seed=7)
    assert (result.losses, result.identical) == (1, 1)


def test_a_second_driver_is_refused_and_a_later_one_takes_over():
    result = drivers.run(rounds=1)
    assert (result.refused, result.taken) == (1, 1)

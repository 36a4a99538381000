# SPDX-License-Identifier: Apache-2.0
import random
from collections import Counter

import pytest

from pipeline.planning.device import Device, shares


def run(device, works):
    """When each piece of work is done; all of it begins at 0."""
    workers = [object() for _ in works]
    event, ends = None, {}
    for worker, (work, weight) in zip(workers, works, strict=True):
        event = device.add(worker, work, weight, 0.0)
    while event is not None:
        now, _ = event
        done, event = device.finish(now)
        ends |= {id(worker): now for worker in done}
    return [ends[id(worker)] for worker in workers]


def test_nobody_waits_where_there_are_cores_for_all():
    assert run(Device(4.0), [(1, 1), (2, 1), (3, 9)]) == pytest.approx([1, 2, 3])


def test_equal_work_on_one_gpu_ends_at_the_same_time():
    assert run(Device(1.0), [(2, 1), (2, 1), (2, 1)]) == pytest.approx([6, 6, 6])


def test_what_one_leaves_the_others_take():
    assert run(Device(1.0), [(1, 1), (3, 1)]) == pytest.approx([2, 4])


def test_weights_decide_who_is_first():
    first, second = run(Device(1.0), [(3, 3), (3, 1)])
    assert first == pytest.approx(4)
    assert second == pytest.approx(6)


@pytest.mark.parametrize("cores", [1, 1.5, 2, 3])
@pytest.mark.parametrize("weights", [[1, 1, 1, 1], [9, 3, 1], [100, 1, 1]])
def test_no_core_is_idle_and_nobody_has_more_than_one(cores, weights):
    found = shares(Counter(weights), cores)
    assert sum(found[weight] for weight in weights) == pytest.approx(min(cores, len(weights)))
    assert all(0 < share <= 1 + 1e-9 for share in found.values())
    assert [found[weight] for weight in weights] == sorted(map(found.get, weights), reverse=True)


def test_old_times_no_longer_hold():
    device = Device(1.0)
    _, before = device.add(object(), 5, 1, 0.0) or (0, 0)
    _, after = device.add(object(), 5, 1, 1.0) or (0, 0)
    assert after > before
    assert device.version == after


def test_what_is_dropped_leaves_its_share_to_the_others():
    device, one, other = Device(1.0), object(), object()
    device.add(one, 4, 1, 0.0)
    device.add(other, 4, 1, 0.0)
    assert device.drop(one, 2.0) == (pytest.approx(5.0), 3)
    assert device.finish(5.0) == ([other], None)
    assert device.drop(other, 6.0) is None


def test_busy_neighbours_slow_everybody_down():
    assert run(Device(2.0, crowded=1.5), [(2, 1), (2, 1)]) == pytest.approx([3, 3])
    assert run(Device(2.0, crowded=1.5), [(2, 1)]) == pytest.approx([2])
    # Half of four cores busy is a third of the way from one to four.
    assert run(Device(4.0, crowded=1.6), [(2, 1), (2, 1)]) == pytest.approx([2.4, 2.4])


def test_a_core_by_itself_has_no_neighbours():
    assert run(Device(1.0, crowded=3.0), [(2, 1), (2, 1)]) == pytest.approx([4, 4])


@pytest.mark.parametrize("seed", range(10))
def test_whatever_comes_and_goes_cores_do_all_of_the_work_and_no_more(seed):
    rng, device, there, event = random.Random(seed), Device(3.0), set(), None
    now = spent = given = 0.0
    number = 0
    while number < 100 or event:
        comes = number < 100 and (event is None or rng.random() < 0.5)
        then = event[0] if event else now
        then = now + rng.random() * (then - now) if comes else then
        spent, now = spent + min(len(there), 3.0) * (then - now), then
        if comes:
            work, number = rng.uniform(0.1, 5), number + 1
            event, given = device.add(number, work, rng.choice([1, 3, 9]), now), given + work
            there.add(number)
        else:
            done, event = device.finish(now)
            assert done
            there -= {*done}
    assert not there
    assert spent == pytest.approx(given)

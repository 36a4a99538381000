# SPDX-License-Identifier: Apache-2.0
import pytest
from diffusers import DDIMScheduler, HeunDiscreteScheduler

from models.consistency.clock import Clock


@pytest.mark.parametrize(("kind", "calls"), [(DDIMScheduler, 1), (HeunDiscreteScheduler, 2)])
def test_every_call_belongs_to_a_step(kind, calls):
    scheduler = kind()
    clock = Clock(scheduler)
    scheduler.set_timesteps(7)
    seen = []
    for _ in scheduler.timesteps:
        clock.tick()
        seen.append((clock.step, clock.begins, clock.ends))
    assert clock.steps == len(clock.times) == 7
    assert clock.calls == len(scheduler.timesteps) == 7 * calls - (calls - 1)
    assert [step for step, begins, _ in seen if begins] == [*range(7)]
    assert [step for step, _, ends in seen if ends] == [*range(7)]
    assert clock.times == sorted(clock.times, reverse=True)

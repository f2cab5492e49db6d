"""Deliveries keep pace with arrivals."""

from carelane.exchange.pace import LONGEST_S, PATIENCE_S, SLACK, Pace
from carelane.testing.clock import FakeClock
from tests.exchange.world import made

_LOOK_S = 0.004


class Busy(FakeClock):
    """A clock on which every sleep takes four milliseconds, in which so many deliveries are settled."""

    def __init__(self, settled_each: int) -> None:
        super().__init__()
        self.settled_each, self.slept_s = settled_each, 0.0

    async def sleep(self, seconds: float) -> None:
        self.slept_s += _LOOK_S
        self.move(_LOOK_S)
        self.pace.went(self.settled_each)


def busy(settled_each: int, arrived: int) -> Pace:
    clock = Busy(settled_each)
    clock.pace = Pace(clock)
    clock.pace.came(arrived)
    return clock.pace


async def test_arrivals_wait_until_most_of_what_came_was_delivered():
    pace = busy(20, arrived=64)
    await pace.give_way(64)
    assert (True, True) == (pace.owed <= SLACK, pace.clock.slept_s > 0)


async def test_a_few_arrivals_wait_for_nothing():
    pace = busy(0, arrived=16)
    await pace.give_way(16)
    assert 0 == pace.clock.slept_s


async def test_few_at_a_time_that_outrun_their_lane_wait_too():
    pace = busy(1, arrived=8)
    await pace.give_way(8)
    pace.came(8)
    await pace.give_way(8)
    pace.came(8)
    await pace.give_way(8)
    assert pace.clock.slept_s > 0


async def test_arrivals_do_not_wait_longer_than_a_moment():
    pace = busy(1, arrived=256)
    await pace.give_way(256)
    assert (True, True) == (pace.clock.slept_s >= LONGEST_S, pace.clock.slept_s < LONGEST_S + 2 * _LOOK_S)


async def test_arrivals_do_not_wait_for_lanes_that_deliver_nothing():
    pace = busy(0, arrived=256)
    await pace.give_way(256)
    assert pace.clock.slept_s < PATIENCE_S + 2 * _LOOK_S


async def test_what_was_waited_for_once_is_not_waited_for_again():
    pace = busy(0, arrived=256)
    await pace.give_way(256)
    waited = pace.clock.slept_s
    await pace.give_way(256)
    assert waited == pace.clock.slept_s


async def test_what_came_to_no_quick_lane_is_not_waited_for():
    pace = busy(0, arrived=0)
    await pace.give_way(64)
    assert 0 == pace.clock.slept_s


async def test_a_lane_is_quick_once_it_delivered_in_a_moment_and_no_more_when_it_fails():
    world = await made(1)
    await world.send(1, "a")
    await world.settle_down()
    quick = world.delivery.lanes._lanes[1].quick
    world.receivers[1].script = ["again"]
    await world.send(1, "b")
    await world.settle_down()
    assert (True, False) == (quick, world.delivery.lanes._lanes[1].quick)

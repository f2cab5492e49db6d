"""Deliveries keep pace with arrivals."""

from carelane.exchange.pace import LONGEST_S, Pace
from carelane.testing.clock import FakeClock


class Busy(FakeClock):
    """A clock of a busy loop: every sleep takes ten milliseconds, in which so many deliveries are settled."""

    def __init__(self, settled_each: int) -> None:
        super().__init__()
        self.settled_each, self.slept = settled_each, 0

    async def sleep(self, seconds: float) -> None:
        self.slept += 1
        self.move(0.01)
        self.pace.settled += self.settled_each


def made(settled_each: int, working: int = 8) -> Pace:
    clock = Busy(settled_each)
    clock.pace = Pace(clock, lambda: working)
    return clock.pace


async def test_arrivals_wait_until_most_of_what_came_was_delivered():
    pace = made(20)
    await pace.give_way(64)
    assert 60 == pace.settled


async def test_arrivals_do_not_wait_longer_than_a_moment():
    pace = made(0)
    await pace.give_way(64)
    assert pace.clock.slept <= LONGEST_S / 0.01 + 1


async def test_arrivals_do_not_wait_for_lanes_that_have_nothing_to_do():
    pace = made(0, working=0)
    await pace.give_way(64)
    assert 0 == pace.clock.slept


async def test_arrivals_do_not_wait_when_the_processor_is_free():
    pace = Pace(FakeClock(), lambda: 8)
    await pace.give_way(64)
    assert 0 == pace.settled

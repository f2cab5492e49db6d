"""What every bell must do. A test class inherits it and provides ``bells``: two bells of two nodes, both listening."""

import asyncio

from carelane.domain.ids import LaneId


class BellSuite:
    """Provide the fixture ``bells``."""

    async def test_a_ring_at_one_node_is_heard_at_the_other(self, bells):
        one, two = bells
        await one.ring({LaneId(7): 3})
        async with asyncio.timeout(20):
            assert (7, 3) == await two.tails.get()

    async def test_more_lanes_than_one_notification_holds_all_ring(self, bells):
        one, two = bells
        tails = {LaneId(number): number for number in range(1, 2001)}
        await one.ring(tails)
        async with asyncio.timeout(20):
            assert tails == dict([await two.tails.get() for _ in tails])

    async def test_who_begins_to_listen_looks_at_the_catalogue(self, bells):
        assert bells[0].catalogue.is_set()

    async def test_a_line_that_answers_is_not_deaf(self, bells):
        await bells[0].check()
        assert not bells[0].deaf

    async def test_a_closed_bell_is_deaf_and_listens_again(self, bells):
        await bells[0].close()
        deaf = bells[0].deaf
        await bells[0].listen()
        assert (True, False) == (deaf, bells[0].deaf)

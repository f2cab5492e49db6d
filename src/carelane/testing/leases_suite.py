"""What every implementation of leases must do. A test class inherits it and provides the fixtures it names."""

from carelane.domain.delivery import EVERY, Shares
from carelane.domain.endpoint import SHARDS


class LeasesSuite:
    """Provide the fixtures ``node`` (makes the leases of a node by name), ``expire`` (its lease has run out) and ``lanes`` (ids of lanes)."""

    async def test_the_first_node_takes_every_shard_and_fences_its_lanes(self, node, lanes):
        one = node("one")
        await one.renew()
        assert SHARDS == await one.take(EVERY, alone=False)
        standing = await one.renew()
        assert {1} == {row.epoch for row in await one.lanes(lanes)} == {held.epoch for held in standing.held.values()}

    async def test_a_second_node_counts_and_gets_nothing_while_the_first_lives(self, node):
        one, two = node("one"), node("two")
        await one.renew()
        await one.take(EVERY, alone=False)
        standing = await two.renew()
        assert (2, 1, Shares(), {}) == (standing.live, standing.rank, standing.free, dict(standing.held))
        assert 0 == await two.take(EVERY, alone=False)

    async def test_only_as_many_are_taken_as_were_asked_for(self, node, lanes):
        one = node("one")
        used = (await one.renew()).used
        assert used == len({row.shard for row in await one.lanes(lanes)})
        assert 11 == await one.take(Shares(1, 10), alone=False)
        standing = await one.renew()
        assert (11, Shares(used - 1, SHARDS - used - 10)) == (len(standing.held), standing.free)

    async def test_a_shard_counts_as_used_when_lanes_lie_in_it(self, node, lanes):
        one = node("one")
        await one.renew()
        await one.take(EVERY, alone=False)
        standing = await one.renew()
        used = {row.shard for row in await one.lanes(lanes)}
        assert (used, len(used)) == ({shard for shard, held in standing.held.items() if held.used}, standing.used)

    async def test_a_node_that_lost_its_lease_to_nobody_keeps_what_it_held(self, node, expire):
        one = node("one")
        await one.renew()
        await one.take(EVERY, alone=False)
        before = await one.renew()
        await expire("one")
        assert before.held == (await one.renew()).held

    async def test_what_a_dead_node_held_is_taken_with_a_new_epoch_and_the_moment_it_was_cut(self, node, expire, lanes):
        one, two = node("one"), node("two")
        await one.renew()
        await one.take(EVERY, alone=False)
        await expire("one")
        await two.renew()
        assert SHARDS == await two.take(EVERY, alone=False)
        held = (await two.renew()).held
        assert ({2}, {2}) == ({one.epoch for one in held.values()}, {row.epoch for row in await two.lanes(lanes)})
        assert all(one.cut_s is not None and 0 <= one.cut_s < 60 for one in held.values())
        assert {} == (await one.renew()).held

    async def test_what_was_given_back_is_free_at_once_and_nobody_waits_for_its_owner(self, node):
        one, two = node("one"), node("two")
        await one.renew()
        await two.renew()
        await one.take(EVERY, alone=False)
        await one.give_back([3, 5])
        assert 2 == await two.take(EVERY, alone=False)
        held = (await two.renew()).held
        assert ({3, 5}, {None}) == (set(held), {one.cut_s for one in held.values()})

    async def test_a_shard_given_back_soon_still_tells_of_the_node_that_was_cut_before(self, node, expire):
        one, two, three = node("one"), node("two"), node("three")
        await one.renew()
        await one.take(EVERY, alone=False)
        await expire("one")
        await two.renew()
        await two.take(EVERY, alone=False)
        await two.give_back([3])
        await three.renew()
        await three.take(EVERY, alone=False)
        assert (await three.renew()).held[3].cut_s is not None

    async def test_a_node_that_leaves_is_counted_no_more_and_holds_nothing(self, node):
        one, two = node("one"), node("two")
        await one.renew()
        await two.renew()
        await one.take(EVERY, alone=False)
        await one.leave()
        standing = await two.renew()
        assert (1, Shares(standing.used, SHARDS - standing.used)) == (standing.live, standing.free)

    async def test_alone_a_node_takes_over_at_once_and_waits_for_nobody(self, node):
        dead, new = node("dead"), node("new")
        await dead.renew()
        await dead.take(EVERY, alone=True)
        await new.renew()
        assert SHARDS == await new.take(EVERY, alone=True)
        assert {None} == {held.cut_s for held in (await new.renew()).held.values()}

    async def test_a_node_that_joins_is_told_to_the_others(self, node, rung):
        await node("one").renew()
        assert await rung()

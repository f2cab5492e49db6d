"""Whose lane is it, and what wakes it: rows from take-overs, rings and polls."""

from carelane.domain.delivery import EVERY
from carelane.domain.endpoint import Route
from carelane.domain.ids import LaneId
from carelane.testing.leases import FakeLeases
from carelane.testing.ledger import FakeLane
from carelane.testing.ledger_suite import incoming
from tests.exchange.world import World, made

LANE = LaneId(1)


async def test_a_node_that_never_leased_a_lane_does_not_send_it_after_a_ring():
    world = World(1)
    await world.send(1, "a")
    await world.delivery.lanes.look([LANE])
    await world.settle_down()
    assert ([], 0) == (world.receivers[1].attempts, len(world.delivery.lanes))


async def test_a_lane_that_waits_at_its_gate_is_not_sent_after_its_shard_was_lost():
    world = await made(2, destinations=1)
    world.receivers[1].concurrency = 1
    world.receivers[1].gate.clear()
    await world.send(1, "a")
    await world.send(2, "b")
    await world.settle_down()
    world.delivery.lanes.drop({1})
    world.receivers[1].gate.set()
    await world.settle_down()
    assert [b"a"] == world.receivers[1].attempts


async def test_a_lane_taken_again_waits_until_the_send_of_its_former_life_has_ended():
    world = await made(1)
    world.receivers[1].gate.clear()
    await world.send(1, "a")
    await world.settle_down()
    await other_node_comes_and_goes(world)
    await world.settle_down()
    during = list(world.receivers[1].attempts)
    world.receivers[1].gate.set()
    await world.settle_down()
    assert ([b"a"], [b"a", b"a"], 1) == (during, world.receivers[1].attempts, world.receivers[1].most_at_work)


async def other_node_comes_and_goes(world: World) -> None:
    """Another node takes everything and gives it back; then ours has it again, with another epoch."""
    other = FakeLeases(world.board, "two")
    await world.leases.give_back(list(world.board.shards))
    await other.renew()
    await other.take(EVERY, alone=False)
    await other.leave()
    await world.lease()


async def test_a_lane_whose_lease_ran_out_by_our_clock_sends_nothing_more():
    world = await made(1)
    world.clock.move(8.1)
    await world.send(1, "a")
    await world.settle_down()
    assert [] == world.receivers[1].attempts


async def test_what_nobody_took_meanwhile_goes_on_when_the_lease_is_renewed():
    world = await made(1)
    world.clock.move(60)
    await world.send(1, "a")
    await world.renew()
    await world.settle_down()
    assert ([b"a"], 1) == (world.receivers[1].attempts, world.ledger.lanes[LANE].head)


async def test_take_over_waits_for_the_longest_send_of_its_destination_and_no_longer():
    world = World(2)
    world.receivers[1].longest_s, world.receivers[2].longest_s = 30.0, 5.0
    dead = FakeLeases(world.board, "dead")
    await dead.renew()
    await dead.take(EVERY, alone=False)
    world.clock.move(10.1)
    await world.lease()
    await world.send(1, "a")
    await world.send(2, "b")
    await world.let_time_pass(5.6)
    after_5 = list(world.receivers[1].attempts), list(world.receivers[2].attempts)
    await world.let_time_pass(25)
    assert (([], [b"b"]), [b"a"]) == (after_5, world.receivers[1].attempts)


async def test_a_lane_whose_ring_was_lost_is_found_by_the_poll():
    world = await made(1)
    route = Route(2, LaneId(2), 1, 1, "PatientAdmin", "native")
    world.ledger.lanes[LaneId(2)] = FakeLane(shard=1, epoch=world.ledger.lanes[LANE].epoch)
    world.shelf.snapshot = type(world.shelf.snapshot)(
        destinations=world.shelf.snapshot.destinations, lanes={**world.shelf.snapshot.lanes, route.lane_id: route}
    )
    await world.ledger.append([])
    await world.send(2, "x")
    await world.delivery.lanes.poll()
    await world.settle_down()
    assert [b"x"] == world.receivers[1].delivered


async def test_a_release_whose_ring_was_lost_is_found_by_the_poll():
    world = await made(1)
    world.receivers[1].script = ["hold"]
    await world.send(1, "a")
    await world.settle_down()
    world.ledger.lanes[LANE].release()
    await world.delivery.lanes.poll()
    await world.settle_down()
    assert [b"a"] == world.receivers[1].delivered


async def test_a_pause_whose_ring_was_lost_is_found_by_the_poll():
    world = await made(1)
    world.receivers[1].script = ["again"]
    await world.send(1, "a")
    await world.settle_down()
    world.ledger.lanes[LANE].paused = "ann"
    await world.delivery.lanes.poll()
    await world.let_time_pass(300)
    assert [b"a"] == world.receivers[1].attempts


async def test_an_older_row_moves_no_cursor_back():
    world = await made(1)
    await world.send(1, "a")
    old = world.ledger.lanes[LANE].row(LANE)
    await world.settle_down()
    world.delivery.lanes._reconcile([old])
    await world.settle_down()
    assert [b"a"] == world.receivers[1].attempts


async def test_rings_do_not_pile_up_alarms():
    world = await made(1)
    world.receivers[1].script = ["again"] * 5
    await world.send(1, "a")
    await world.settle_down()
    await world.send(1, *(f"b{n}" for n in range(2000)))
    assert 1 == world.delivery.lanes.alarms


async def test_an_idle_lane_costs_no_task():
    world = await made(lanes=500)
    await world.settle_down()
    assert (500, 0) == (len(world.delivery.lanes), world.delivery.turns.running)


async def test_what_was_just_stored_is_sent_without_being_read_back():
    world = await made(1)
    world.ledger.claim = None
    await world.hand(1, "a", "b")
    await world.settle_down()
    assert [b"a", b"b"] == world.receivers[1].delivered


async def test_what_is_at_hand_but_does_not_follow_on_is_read_in_its_turn():
    world = await made(1)
    await world.ledger.append([incoming("a", (1,))])
    await world.hand(1, "b", "c")
    await world.settle_down()
    assert [b"a", b"b", b"c"] == world.receivers[1].delivered


async def test_a_lane_that_waits_keeps_nothing_at_hand():
    world = await made(1)
    world.receivers[1].script = ["again"]
    await world.hand(1, "a", "b")
    await world.settle_down()
    assert None is world.delivery.lanes._lanes[LANE].window


async def test_lanes_are_read_a_few_shards_at_a_time_and_none_is_left_out():
    world, asked = await made(1), list[list[int]]()
    read = world.leases.stirred

    async def noted(shards):
        asked.append(list(shards))
        return await read(shards)

    world.leases.stirred = noted
    await world.delivery.lanes.poll()
    assert (64, list(range(1024))) == (max(map(len, asked)), sorted(shard for few in asked for shard in few))

"""A sender that takes several deliveries of a lane at once: a prefix is taken, and what was not is the new head."""

from dataclasses import replace

from carelane.domain.ids import LaneId
from carelane.exchange.ports import Taken
from tests.exchange.world import CLOSED, ReceiverOfMany, made

LANE = LaneId(1)
TWELVE = tuple(f"m{n:02d}" for n in range(12))


async def waiting(*script: str, receiver: ReceiverOfMany | None = None):
    """Make a world whose first lane has twelve messages queued, for a receiver of ten at once."""
    world = await made(1)
    world.receivers[1] = receiver or ReceiverOfMany(script=list(script))
    await world.pause(1)
    await world.send(1, *TWELVE)
    await world.resume(1)
    return world


async def test_what_waits_goes_together_and_in_order():
    world = await waiting()
    assert ([10, 2], world.sent[1]) == (world.receivers[1].batches, world.receivers[1].delivered)


async def test_every_one_of_a_batch_has_its_own_attempt():
    world = await waiting()
    assert [(seq, "delivered") for seq in range(1, 13)] == [(tried.seq, str(tried.verdict)) for _, tried in world.ledger.attempts]


async def test_the_one_that_was_not_taken_is_the_new_head_and_nothing_behind_it_was_tried():
    world = await waiting("ok", "ok", "ok", "again")
    lane = world.ledger.lanes[LANE]
    assert (3, 1, 1, b"m03") == (lane.head, lane.attempts, lane.tries, world.receivers[1].attempts[-1])


async def test_after_its_wait_the_rest_follows_from_there():
    world = await waiting("ok", "ok", "ok", "again")
    await world.let_time_pass(10)
    assert world.sent[1] == world.receivers[1].delivered


async def test_one_that_is_refused_holds_the_lane_behind_those_that_were_taken():
    world = await waiting("ok", "hold")
    lane = world.ledger.lanes[LANE]
    assert (1, "hold") == (lane.head, lane.held)


async def test_a_batch_without_an_answer_comes_again_whole():
    world = await waiting("silent")
    await world.let_time_pass(10)
    assert ([10, 10, 2], world.sent[1]) == (world.receivers[1].batches, world.receivers[1].delivered)


async def test_one_that_cannot_be_converted_ends_the_batch_before_it():
    world = await made(1)
    world.receivers[1] = ReceiverOfMany()
    await world.pause(1)
    await world.send(1, "a", "b", CLOSED, "d")
    await world.resume(1)
    lane = world.ledger.lanes[LANE]
    assert ([2], 2, "the stored message does not open") == (world.receivers[1].batches, lane.head, lane.held[:32])


class Mute(ReceiverOfMany):
    """Takes three, and says nothing of the fourth."""

    async def send_many(self, parcels):
        self.batches.append(len(parcels))
        return Taken(3)


async def test_a_sender_that_says_nothing_of_the_next_one_may_have_given_it_away():
    world = await waiting(receiver=Mute())
    lane = world.ledger.lanes[LANE]
    assert (3, 1) == (lane.head, lane.attempts)


TWO_DRUGS = "\r".join(
    ["MSH|^~\\&|A|B|C|D|20260101100000+0000||OMP^O09^OMP_O09|X15|P|2.5.1", "PID|1||4711^^^HOSP^MR||Doe^Jo", "ORC|NW|P1|F1", "RXO|N^DrugA^L|5||mg^mg",
     "ORC|NW|P2|F2", "RXO|M^DrugB^L|7||mg^mg", ""]
)  # fmt: skip


async def test_a_delivery_of_more_bodies_than_fit_goes_one_body_at_a_time():
    world = await made(1)
    world.receivers[1] = ReceiverOfMany(most_at_once=1)
    world.shelf.follow(replace(world.shelf.snapshot, lanes={LANE: replace(world.route_of[1], working_model="datamodel")}))
    await world.send(1, TWO_DRUGS)
    await world.settle_down()
    assert ([], 2, 1) == (world.receivers[1].batches, len(world.receivers[1].delivered), world.ledger.lanes[LANE].head)

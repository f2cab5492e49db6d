"""A lane's turn over the fake ledger: order, window of one, isolation, whatever the destinations do."""

import asyncio
from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from carelane.domain.delivery import Verdict
from carelane.domain.errors import StoreLost
from carelane.domain.ids import LaneId
from tests.exchange.world import made

LANE = LaneId(1)


async def test_messages_are_delivered_in_order():
    world = await made()
    await world.send(1, *(f"m{n}" for n in range(100)))
    await world.settle_down()
    assert world.sent[1] == world.receivers[1].delivered


async def test_a_failed_head_holds_back_the_rest_of_its_lane_and_no_other():
    world = await made()
    world.receivers[1].script = ["again"]
    await world.send(1, "a", "b")
    await world.send(2, "c")
    await world.settle_down()
    assert ([b"a"], [b"c"]) == (world.receivers[1].attempts, world.receivers[2].delivered)


async def test_a_failed_head_is_tried_again_after_its_wait_and_then_the_rest_follows():
    world = await made()
    world.receivers[1].script = ["refused", "silent", "broken"]
    await world.send(1, "a", "b")
    await world.settle_down()
    for _ in range(3):
        await world.let_time_pass(10)
    assert ([b"a"] * 4 + [b"b"], [b"a", b"b"]) == (world.receivers[1].attempts, world.receivers[1].delivered)


async def test_a_held_lane_stands_until_it_is_released():
    world = await made()
    world.receivers[1].script = ["hold"]
    await world.send(1, "a", "b")
    await world.settle_down()
    await world.let_time_pass(10_000)
    assert [b"a"] == world.receivers[1].attempts
    world.ledger.lanes[LANE].release()
    await world.delivery.lanes.look([LANE])
    await world.settle_down()
    assert [b"a", b"b"] == world.receivers[1].delivered


async def test_a_head_that_failed_for_seven_days_holds_its_lane():
    world = await made()
    world.receivers[1].script = ["again"] * 10_000
    await world.send(1, "a")
    await world.settle_down()
    for _ in range(3):
        await world.let_time_pass(3.6 * 24 * 3600)
    assert "retried for 7 days" in world.ledger.lanes[LANE].held


async def test_the_very_next_send_goes_to_the_new_address():
    world = await made(1)
    world.receivers[1].gate.clear()
    await world.send(1, *(f"m{n}" for n in range(20)))
    await world.settle_down()
    old = world.receivers[1]
    world.receivers[1] = replace(old, attempts=[], delivered=[], gate=asyncio.Event())
    await world.change(1, settings={"url": "new"})
    old.gate.set()
    await world.settle_down()
    assert ([b"m0"], world.sent[1][1:]) == (old.attempts, world.receivers[1].delivered)


async def test_nothing_more_goes_to_a_destination_that_was_switched_off():
    world = await made(1)
    world.receivers[1].gate.clear()
    await world.send(1, *(f"m{n}" for n in range(20)))
    await world.settle_down()
    await world.change(1, enabled=False)
    world.receivers[1].gate.set()
    await world.settle_down()
    assert [b"m0"] == world.receivers[1].attempts


async def test_the_sender_of_an_old_address_is_closed_with_its_last_send():
    world = await made(1)
    world.receivers[1].gate.clear()
    await world.send(1, "a")
    await world.settle_down()
    await world.change(1, enabled=False)
    await world.settle_down()
    before = world.receivers[1].closed
    world.receivers[1].gate.set()
    await world.settle_down()
    assert (False, True) == (before, world.receivers[1].closed)


async def test_a_destination_works_on_no_more_lanes_at_once_than_its_plug_in_declares():
    world = await made(8, destinations=1)
    world.receivers[1].concurrency = 2
    for lane in range(1, 9):
        await world.send(lane, *(f"{lane}-{n}" for n in range(10)))
    await world.settle_down()
    assert (2, 80) == (world.receivers[1].most_at_work, len(world.receivers[1].delivered))


class Judge:
    """A format whose judge fails."""

    content_type = "x"

    def __getitem__(self, name):
        return self

    def judge(self, *_):
        raise RuntimeError("a fault of the plug-in, quoting Doe")


async def test_a_fault_of_a_format_s_judge_is_an_attempt_like_any_other_and_quotes_nothing():
    world = await made(1, formats=Judge())
    world.receivers[1].script = ["bytes"] * 5
    await world.send(1, "a")
    await world.settle_down()
    [(_, tried)] = world.ledger.attempts
    assert ([b"a"], Verdict.AGAIN, False) == (world.receivers[1].attempts, tried.verdict, "Doe" in tried.reason)


async def test_a_gap_in_the_log_holds_the_lane_and_says_so():
    world = await made(1)
    world.ledger._entries = lambda *_: []
    await world.send(1, "a")
    await world.settle_down()
    assert ("the log has no delivery number 1", 1) == (world.ledger.lanes[LANE].held, len(world.ledger.attempts))


class Away:
    """A ledger whose database is away for some calls; with ``after`` each call's work is done first: its commit is unknown."""

    def __init__(self, ledger, calls, *, after):
        self.settle_really, self.left, self.after = ledger.settle, calls, after

    async def settle(self, batch, today):
        self.left -= 1
        if self.left < 0:
            return await self.settle_really(batch, today)
        if self.after:
            await self.settle_really(batch, today)
        raise StoreLost("away")


async def test_what_was_answered_while_the_store_was_away_is_settled_when_it_is_back_and_not_sent_again():
    world = await made(1)
    world.ledger.settle = Away(world.ledger, 5, after=False).settle
    await world.send(1, "a", "b", "c")
    await world.settle_down()
    assert ([b"a", b"b", b"c"], 3) == (world.receivers[1].attempts, world.ledger.lanes[LANE].head)


async def test_a_settlement_whose_commit_was_unknown_is_neither_recorded_nor_sent_twice():
    world = await made(1)
    world.ledger.settle = Away(world.ledger, 1, after=True).settle
    await world.send(1, "a", "b")
    await world.settle_down()
    assert ([b"a", b"b"], [1, 2]) == (world.receivers[1].attempts, [tried.seq for _, tried in world.ledger.attempts])


class Refusing:
    """A ledger that takes no detail."""

    def __init__(self, ledger):
        self.settle_really = ledger.settle

    async def settle(self, batch, today):
        if any(item.tried[-1].detail for item in batch):
            raise ValueError("these values are not to be had")
        return await self.settle_really(batch, today)


async def test_a_record_the_store_refuses_does_not_stop_the_lane():
    world = await made(1)
    world.ledger.settle = Refusing(world.ledger).settle
    await world.send(1, "a", "b")
    await world.settle_down()
    assert ([b"a", b"b"], 2) == (world.receivers[1].attempts, world.ledger.lanes[LANE].head)


async def test_draining_lets_what_is_in_flight_end_and_starts_nothing():
    world = await made(1)
    world.receivers[1].gate.clear()
    await world.send(1, "a", "b")
    await world.settle_down()
    world.delivery.lanes.close()
    closing = asyncio.create_task(world.delivery.turns.close(30))
    await world.settle_down()
    world.receivers[1].gate.set()
    assert ([], [b"a"], 1) == (await closing, world.receivers[1].attempts, world.ledger.lanes[LANE].head)


async def test_what_is_still_in_flight_when_a_second_signal_comes_is_cut_and_told():
    world = await made(1)
    world.receivers[1].gate.clear()
    await world.send(1, "a")
    await world.settle_down()
    cut = asyncio.Event()
    closing = asyncio.create_task(world.delivery.turns.close(30, cut))
    await world.settle_down()
    cut.set()
    assert ([LANE], 0) == (await closing, world.ledger.lanes[LANE].head)


class LaneMachine(RuleBasedStateMachine):
    """Any mix of sending, failing, time and releases: order holds, nothing is lost, nothing repeated without a fault."""

    @initialize()
    def start(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.world = self.loop.run_until_complete(made(2))
        self.count = 0

    @rule(lane=st.integers(1, 2), count=st.integers(1, 40))
    def send(self, lane, count):
        texts = [f"{self.count + n}" for n in range(count)]
        self.count += count
        self.loop.run_until_complete(self.world.send(lane, *texts))

    @rule(lane=st.integers(1, 2), moods=st.lists(st.sampled_from(["again", "refused", "silent", "broken", "hold", "ok"]), max_size=5))
    def disturb(self, lane, moods):
        self.world.receivers[lane].script += moods

    @rule(seconds=st.floats(0.1, 500))
    def wait(self, seconds):
        self.loop.run_until_complete(self.world.let_time_pass(seconds))

    @rule(lane=st.integers(1, 2))
    def release(self, lane):
        self.world.ledger.lanes[LaneId(lane)].release()
        self.loop.run_until_complete(self.world.delivery.lanes.look([LaneId(lane)]))
        self.loop.run_until_complete(self.world.settle_down())

    @invariant()
    def order_holds_and_nothing_repeats(self):
        for lane, receiver in getattr(getattr(self, "world", None), "receivers", {}).items():
            assert self.world.sent[lane][: len(receiver.delivered)] == receiver.delivered
            assert receiver.most_at_work <= 1

    def teardown(self):
        if not hasattr(self, "world"):
            return
        for lane in (1, 2):
            self.world.receivers[lane].script.clear()
        for _ in range(4):
            for lane in (1, 2):
                self.release(lane)
            self.wait(500)
        for lane, receiver in self.world.receivers.items():
            assert self.world.sent[lane] == receiver.delivered, "when faults stop, everything drains"
        self.world.delivery.lanes.close()
        self.loop.run_until_complete(self.world.delivery.turns.close(1))
        self.loop.close()


LaneMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=25)
TestLaneMachine = LaneMachine.TestCase

"""The runner over the fake ledger: order, window of one, isolation, whatever the destinations do."""

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from carelane.domain.delivery import Judgement, Verdict
from carelane.domain.endpoint import Destination, Route, Snapshot
from carelane.domain.ids import LaneId
from carelane.exchange.lane import Bench
from carelane.exchange.node import Shelf
from carelane.exchange.ports import Ambiguous, NotSent, Reply
from carelane.exchange.run import Runner
from carelane.kit.ids import uuid7
from carelane.plugins import FormatShelf
from carelane.testing.clock import FakeClock
from carelane.testing.ledger import FakeLane, FakeLedger
from carelane.testing.ledger_suite import incoming


class OpenSealer:
    """Nothing is sealed here: the lane's own behaviour is under test."""

    def unseal(self, org, thing, kind, key_id, sealed):
        return sealed

    def seal(self, org, thing, kind, plain):
        return 1, plain

    def token(self, org, kind, value):
        return 0


@dataclass
class Receiver:
    """Does what its script says, and remembers every attempt in order."""

    script: list[str] = field(default_factory=list)
    attempts: list[bytes] = field(default_factory=list)
    delivered: list[bytes] = field(default_factory=list)
    at_work: int = 0
    most_at_work: int = 0
    longest_s: float = 5.0

    async def send(self, parcel):
        self.at_work += 1
        self.most_at_work = max(self.most_at_work, self.at_work)
        await asyncio.sleep(0)
        self.at_work -= 1
        self.attempts.append(parcel.body)
        mood = self.script.pop(0) if self.script else "ok"
        if mood == "refused":
            raise NotSent("nobody there")
        if mood == "silent":
            raise Ambiguous("no answer")
        if mood == "broken":
            raise ZeroDivisionError
        verdict = {"ok": Verdict.DELIVERED, "again": Verdict.AGAIN, "hold": Verdict.HELD}[mood]
        if verdict is Verdict.DELIVERED:
            self.delivered.append(parcel.body)
        return Reply(judgement=Judgement(verdict, mood))

    async def reset(self):
        return None

    async def close(self):
        return None


class Setting:
    """A runner with two lanes to two destinations."""

    def __init__(self, lanes: int = 2) -> None:
        self.clock, self.ledger = FakeClock(), FakeLedger({LaneId(n): FakeLane() for n in range(1, lanes + 1)})
        self.receivers = {n: Receiver() for n in range(1, lanes + 1)}
        destinations = {n: Destination(n, uuid7(), 2, f"d{n}", "development", "x", "hl7v2", {}) for n in self.receivers}
        routes = {LaneId(n): Route(n, LaneId(n), 1, n, "PatientAdmin", "native") for n in self.receivers}
        shelf = Shelf(Snapshot(destinations=destinations, lanes=routes))
        self.runner = Runner(self.ledger, self, shelf, self, Bench(FormatShelf(), OpenSealer(), self.clock), None)
        self.sent = defaultdict(list)

    def sender(self, destination, tools):
        return self.receivers[destination.id]

    async def lanes(self, ids):
        return [row for row in self.ledger.rows() if row.id in ids]

    async def send(self, lane: int, *texts: str) -> None:
        for text in texts:
            self.sent[lane].append(text.encode())
            done = await self.ledger.append([incoming(text, (lane,))])
            self.runner.ring(done.tails)

    async def settle_down(self) -> None:
        for _ in range(400):
            await asyncio.sleep(0)

    async def let_time_pass(self, seconds: float) -> None:
        self.clock.move(seconds)
        self.runner._fire()
        await self.settle_down()


async def made(lanes: int = 2) -> Setting:
    setting = Setting(lanes)
    setting.runner.load(setting.ledger.rows())
    return setting


async def test_messages_are_delivered_in_order():
    setting = await made()
    await setting.send(1, *(f"m{n}" for n in range(100)))
    await setting.settle_down()
    assert setting.sent[1] == setting.receivers[1].delivered


async def test_a_failed_head_holds_back_the_rest_of_its_lane_and_no_other():
    setting = await made()
    setting.receivers[1].script = ["again"]
    await setting.send(1, "a", "b")
    await setting.send(2, "c")
    await setting.settle_down()
    assert ([b"a"], [b"c"]) == (setting.receivers[1].attempts, setting.receivers[2].delivered)


async def test_a_failed_head_is_tried_again_after_its_wait_and_then_the_rest_follows():
    setting = await made()
    setting.receivers[1].script = ["refused", "silent", "broken"]
    await setting.send(1, "a", "b")
    await setting.settle_down()
    for _ in range(3):
        await setting.let_time_pass(10)
    assert ([b"a"] * 4 + [b"b"], [b"a", b"b"]) == (setting.receivers[1].attempts, setting.receivers[1].delivered)


async def test_a_held_lane_stands_until_it_is_released():
    setting = await made()
    setting.receivers[1].script = ["hold"]
    await setting.send(1, "a", "b")
    await setting.settle_down()
    await setting.let_time_pass(10_000)
    assert [b"a"] == setting.receivers[1].attempts
    setting.ledger.lanes[LaneId(1)].held = None
    await setting.runner.refresh([LaneId(1)])
    await setting.settle_down()
    assert [b"a", b"b"] == setting.receivers[1].delivered


async def test_a_head_that_failed_for_seven_days_holds_its_lane():
    setting = await made()
    setting.receivers[1].script = ["again"] * 10_000
    await setting.send(1, "a")
    await setting.settle_down()
    for _ in range(3):
        await setting.let_time_pass(3.6 * 24 * 3600)
    assert "retried for 7 days" in setting.ledger.lanes[LaneId(1)].held


async def test_a_lane_whose_epoch_moved_on_sends_nothing_more():
    setting = await made()
    await setting.send(1, "a")
    setting.ledger.lanes[LaneId(1)].epoch = 2
    await setting.settle_down()
    await setting.send(1, "b")
    setting.runner.drop({0})
    await setting.settle_down()
    assert setting.receivers[1].attempts.count(b"b") <= 1
    assert [] == setting.ledger.attempts or setting.ledger.attempts[0].epoch == 2


async def test_an_idle_lane_costs_no_task():
    setting = await made(lanes=500)
    await setting.settle_down()
    assert (500, 0) == (setting.runner.lanes, len(setting.runner._tasks))


async def test_drain_lets_what_is_in_flight_end_and_starts_nothing():
    setting = await made()
    await setting.send(1, "a", "b", "c")
    await asyncio.sleep(0)
    await setting.runner.drain(1)
    before = len(setting.receivers[1].attempts)
    await setting.send(1, "d")
    await setting.settle_down()
    assert before == len(setting.receivers[1].attempts)
    assert setting.ledger.lanes[LaneId(1)].head == len(setting.receivers[1].delivered)


class LaneMachine(RuleBasedStateMachine):
    """Any mix of sending, failing, time and releases: order holds, nothing is lost, nothing repeated without a fault."""

    @initialize()
    def start(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.setting = self.loop.run_until_complete(made(2))
        self.count = 0

    @rule(lane=st.integers(1, 2), count=st.integers(1, 40))
    def send(self, lane, count):
        texts = [f"{self.count + n}" for n in range(count)]
        self.count += count
        self.loop.run_until_complete(self.setting.send(lane, *texts))

    @rule(lane=st.integers(1, 2), moods=st.lists(st.sampled_from(["again", "refused", "silent", "broken", "hold", "ok"]), max_size=5))
    def disturb(self, lane, moods):
        self.setting.receivers[lane].script += moods

    @rule(seconds=st.floats(0.1, 500))
    def wait(self, seconds):
        self.loop.run_until_complete(self.setting.let_time_pass(seconds))

    @rule(lane=st.integers(1, 2))
    def release(self, lane):
        self.setting.ledger.lanes[LaneId(lane)].held = None
        self.loop.run_until_complete(self.setting.runner.refresh([LaneId(lane)]))
        self.loop.run_until_complete(self.setting.settle_down())

    @invariant()
    def order_holds_and_nothing_repeats(self):
        for lane, receiver in getattr(getattr(self, "setting", None), "receivers", {}).items():
            assert self.setting.sent[lane][: len(receiver.delivered)] == receiver.delivered
            assert receiver.most_at_work <= 1

    def teardown(self):
        if not hasattr(self, "setting"):
            return
        for lane in (1, 2):
            self.setting.receivers[lane].script.clear()
        for _ in range(4):
            for lane in (1, 2):
                self.release(lane)
            self.wait(500)
        for lane, receiver in self.setting.receivers.items():
            assert self.setting.sent[lane] == receiver.delivered, "when faults stop, everything drains"
        self.loop.run_until_complete(self.setting.runner.drain(1))
        self.loop.close()


LaneMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=25)
TestLaneMachine = LaneMachine.TestCase

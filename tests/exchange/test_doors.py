"""Doors over fake listeners: whatever one of them does, it is its own trouble, told once and tried again."""

import asyncio
from dataclasses import dataclass, field, replace

import pytest

from carelane.domain.endpoint import Snapshot, Source
from carelane.domain.errors import Misconfigured
from carelane.exchange import door as module
from carelane.exchange.doors import Doors
from carelane.exchange.node import Shelf
from carelane.exchange.ports import Tools
from carelane.kit.clock import SystemClock
from carelane.kit.ids import public, uuid7
from carelane.testing.clock import FakeClock


@dataclass
class Room:
    """What listeners did, in order, and how the next start of each name goes."""

    moods: dict[str, list[str]] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)
    bound: dict[int, str] = field(default_factory=dict)
    hanging: asyncio.Event = field(default_factory=asyncio.Event)
    late: asyncio.Event = field(default_factory=asyncio.Event)
    closed: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class FakeListener:
    source: Source
    room: Room

    async def start(self):
        moods = self.room.moods.get(self.source.name, [])
        mood = moods.pop(0) if moods else "open"
        if mood == "busy":
            raise Misconfigured(f"cannot listen for {self.source.name}")
        if mood == "broken":
            raise UnicodeError("label too long, and a secret")
        if mood == "hang":
            await self.room.hanging.wait()
        if mood == "stubborn":
            await self._ignore_cancelling()
        port = self.source.settings["port"]
        assert port == 0 or port not in self.room.bound, f"{port} was still open"
        self.room.bound[port] = self.source.name
        self.room.done.append(f"open {self.source.name}")

    async def _ignore_cancelling(self):
        while not self.room.late.is_set():
            try:
                await self.room.late.wait()
            except asyncio.CancelledError:
                continue

    async def stop(self):
        if self.room.bound.get(self.source.settings["port"]) == self.source.name:
            if "sticky" in self.room.moods.get(self.source.name, []):
                await self.room.hanging.wait()
            if "slow" in self.room.moods.get(self.source.name, []):
                await asyncio.sleep(0.05)
            del self.room.bound[self.source.settings["port"]]
            self.room.done.append(f"close {self.source.name}")
            self.room.closed.set()


@dataclass
class FakeTransports:
    room: Room

    def port_of(self, source):
        if source.transport == "out of range":
            raise Misconfigured("port 80 is not among the ports of this hub")
        return source.settings.get("port")

    def listener(self, source, accept, tools):
        if source.transport == "faulty":
            raise ZeroDivisionError
        return None if source.transport == "web" else FakeListener(source, self.room)


class Hall:
    """Doors with their catalogue and what they told."""

    def __init__(self, clock=None) -> None:
        self.room, self.shelf, self.told = Room(), Shelf(), []
        self.heard = asyncio.Event()
        self.doors = Doors(self.shelf, FakeTransports(self.room), None, Tools(None, None, clock or SystemClock(), None), self._tell)

    def _tell(self, event, detail):
        self.told.append((event, detail))
        self.heard.set()

    async def follow(self, *sources: Source, unclaimed: tuple[int, ...] = ()) -> None:
        ports = {source.settings["port"]: source.id for source in sources if source.settings.get("port") not in (None, 0, *unclaimed)}
        self.shelf.snapshot = Snapshot(sources={source.id: source for source in sources}, ports=ports)
        await self.doors.follow()

    async def until(self, event: str) -> str:
        """Wait until something is told."""
        while not (found := [detail for name, detail in self.told if name == event]):
            self.heard.clear()
            await asyncio.wait_for(self.heard.wait(), 10)
        return found[-1]


def source(number: int, port: int | None = None, *, name: str = "", transport: str = "fake") -> Source:
    settings = {} if transport == "web" else {"port": number + 20000 if port is None else port}
    return Source(number, uuid7(), 1, name or f"s{number}", "development", transport, "hl7v2", settings)


@pytest.fixture
async def hall():
    made = Hall()
    yield made
    made.room.hanging.set()
    made.room.late.set()
    await made.doors.close()


async def test_listeners_open_in_the_order_of_their_sources(hall):
    await hall.follow(source(9), source(2), source(5))
    assert ["open s2", "open s5", "open s9"] == hall.room.done


async def test_a_source_that_is_switched_off_or_gone_is_closed(hall):
    first, second = source(1), source(2)
    await hall.follow(first, second)
    await hall.follow(replace(first, enabled=False))
    assert {} == hall.room.bound


async def test_an_unchanged_source_is_left_open(hall):
    first = source(1)
    await hall.follow(first)
    await hall.follow(first, source(2))
    assert ["open s1", "open s2"] == hall.room.done


async def test_a_changed_source_is_closed_before_it_opens_again(hall):
    first = source(1)
    hall.room.moods["s1"] = ["open", "slow"]
    await hall.follow(first)
    await hall.follow(replace(first, name="s1 renamed"))
    assert ["open s1", "close s1", "open s1 renamed"] == hall.room.done


async def test_sources_that_swap_ports_wait_for_each_other(hall):
    first, second = source(1, 20001), source(2, 20002)
    hall.room.moods |= {"s1": ["open", "slow"], "s2": ["open", "slow"]}
    await hall.follow(first, second)
    await hall.follow(replace(first, settings={"port": 20002}, name="s1 moved"), replace(second, settings={"port": 20001}, name="s2 moved"))
    assert {20001: "s2 moved", 20002: "s1 moved"} == hall.room.bound


@pytest.mark.parametrize("mood", ["busy", "broken"])
async def test_a_listener_that_raises_stops_no_other(hall, mood):
    hall.room.moods["s1"] = [mood] * 9
    await hall.follow(source(1), source(2))
    assert {20002: "s2"} == hall.room.bound


async def test_a_fault_is_told_by_its_kind_and_no_content(hall):
    hall.room.moods["s1"] = ["broken"] * 9
    await hall.follow(source(1))
    assert ({1: "s1 failed to open or close: UnicodeError; check its settings"}) == hall.doors.troubles


async def test_a_listener_that_cannot_even_be_made_stops_no_other(hall):
    await hall.follow(source(1, transport="faulty"), source(2))
    assert ({20002: "s2"}, {1: "s1 cannot listen: ZeroDivisionError; check its settings"}) == (hall.room.bound, hall.doors.troubles)


async def test_a_listener_that_hangs_holds_up_neither_the_others_nor_the_next_change(hall):
    hall.room.moods["s1"] = ["hang"]
    first, second = source(1), source(2)
    await asyncio.wait_for(hall.follow(first, second), 5)
    await asyncio.wait_for(hall.follow(first, second, source(3)), 5)
    assert {20002: "s2", 20003: "s3"} == hall.room.bound


async def test_a_listener_that_does_not_close_holds_up_no_later_change(hall):
    hall.room.moods["s1"] = ["open", "sticky"]
    first = source(1)
    await hall.follow(first)
    await hall.follow()
    began = asyncio.get_running_loop().time()
    await hall.follow(source(2))
    assert ({20001: "s1", 20002: "s2"}, True) == (hall.room.bound, asyncio.get_running_loop().time() - began < 1)


async def test_a_listener_that_hangs_is_given_up_and_tried_again(hall, monkeypatch):
    monkeypatch.setattr(module, "START_S", 0.05)
    monkeypatch.setattr(module, "FIRST_RETRY_S", 0.05)
    hall.room.moods["s1"] = ["hang"]
    await hall.follow(source(1))
    assert "did not open or close within" in await hall.until("listener.trouble")
    await hall.until("listener.well")
    assert ({20001: "s1"}, {}) == (hall.room.bound, hall.doors.troubles)


async def test_a_listener_that_opens_after_it_was_given_up_is_closed(hall, monkeypatch):
    monkeypatch.setattr(module, "START_S", 0.05)
    monkeypatch.setattr(module, "_CANCEL_S", 0.05)
    hall.room.moods["s1"] = ["stubborn"]
    first = source(1)
    await hall.follow(first)
    await hall.until("listener.trouble")
    await hall.follow(replace(first, enabled=False))
    hall.room.late.set()
    await asyncio.wait_for(hall.room.closed.wait(), 10)
    assert ["open s1", "close s1"] == hall.room.done


async def test_a_listener_that_never_closes_is_left_after_a_while(hall, monkeypatch):
    monkeypatch.setattr(module, "STOP_S", 0.05)
    hall.room.moods["s1"] = ["open", "sticky"]
    await hall.follow(source(1))
    await asyncio.wait_for(hall.doors.close(), 5)
    assert hall.doors.listener(1) is None


async def test_closing_does_not_wait_for_one_that_hangs(hall):
    hall.room.moods["s1"] = ["hang"]
    await hall.follow(source(1), source(2))
    await asyncio.wait_for(hall.doors.close(), 5)
    assert {} == hall.room.bound


async def test_a_busy_port_is_told_once_tried_again_and_told_when_it_opened(hall, monkeypatch):
    monkeypatch.setattr(module, "FIRST_RETRY_S", 0.01)
    hall.room.moods["s1"] = ["busy"] * 3
    first = source(1)
    await hall.follow(first)
    assert {1: "cannot listen for s1"} == hall.doors.troubles
    await hall.until("listener.well")
    name = public("src", first.uid)
    assert [("listener.trouble", f"{name}: cannot listen for s1"), ("listener.well", name)] == hall.told
    assert ({}, {20001: "s1"}) == (hall.doors.troubles, hall.room.bound)


async def test_tries_wait_one_second_and_twice_as_long_each_time_up_to_thirty():
    class Patient(FakeClock):
        naps: list[float] = []

        async def sleep(self, seconds):
            self.naps.append(seconds)
            await super().sleep(seconds)

    hall = Hall(clock := Patient())
    hall.room.moods["s1"] = ["busy"] * 8
    await hall.follow(source(1))
    await hall.until("listener.well")
    await hall.doors.close()
    assert [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0] == clock.naps


@pytest.mark.parametrize(
    ("bad", "unclaimed", "reason"), [(source(1), (20001,), "does not belong to s1"), (source(1, transport="out of range"), (), "not among")]
)
async def test_a_source_that_may_not_have_its_port_is_not_opened(hall, bad, unclaimed, reason):
    await hall.follow(bad, source(2), unclaimed=unclaimed)
    assert ({20002: "s2"}, True) == (hall.room.bound, reason in hall.doors.troubles[1])


async def test_a_source_that_loses_its_port_is_closed_and_opened_when_it_has_one_again(hall):
    first = source(1)
    await hall.follow(first)
    await hall.follow(first, unclaimed=(20001,))
    assert ({}, {1}) == (hall.room.bound, set(hall.doors.troubles))
    await hall.follow(first)
    assert ({20001: "s1"}, {}) == (hall.room.bound, hall.doors.troubles)


async def test_the_trouble_of_a_source_that_goes_is_over(hall):
    hall.room.moods["s1"] = ["busy"] * 9
    await hall.follow(source(1))
    await hall.follow()
    assert ({}, "listener.well") == (hall.doors.troubles, hall.told[-1][0])


async def test_several_sources_may_let_the_system_choose(hall):
    await hall.follow(source(1, 0), source(2, 0))
    assert ["open s1", "open s2"] == hall.room.done


async def test_a_source_served_by_the_hub_needs_no_door(hall):
    await hall.follow(source(1, transport="web"))
    assert ([], None, {}) == (hall.room.done, hall.doors.listener(1), hall.doors.troubles)

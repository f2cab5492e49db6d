"""Senders, a sink that is never killed, and the checker that compares what was acknowledged with what arrived."""

import asyncio
import contextlib
import itertools
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple, Protocol

import aiohttp
import orjson
from aiohttp import web

from bench.machine import adt


class Logged(NamedTuple):
    """One delivery as its receiver met it."""

    lane: str
    seq: int
    control: str
    crash: int
    """How many crashes (or other moments that the harness counts) there had been."""
    well: bool = True
    """Whether the receiver took it and said so; else it may come again."""


class Repeat(NamedTuple):
    """A delivery that came again although its receiver had taken it and said so: at which count of crashes first, and again."""

    lane: str
    seq: int
    first: int
    again: int


Skipped = Mapping[str, set[int]]
"""Numbers of each lane that a person gave up: they may have arrived, or not."""


class Sink:
    """A webhook receiver that logs every delivery it accepts, and takes its time while ``answers`` is not set."""

    def __init__(self) -> None:
        self.log: list[Logged] = []
        self.at: list[float] = []
        self.crashes = 0
        self.answers = asyncio.Event()
        self.answers.set()

    async def take(self, request: web.Request) -> web.Response:
        document = orjson.loads(await request.read())
        await self.answers.wait()
        self.note(*delivery_of(request), document["Patient"]["Identifiers"][0]["ID"])
        return web.Response()

    def note(self, lane: str, seq: int, control: str, *, well: bool = True) -> None:
        """Log a delivery."""
        self.at.append(time.monotonic())
        self.log.append(Logged(lane, seq, control, self.crashes, well))

    @asynccontextmanager
    async def open(self, port: int) -> AsyncIterator[str]:
        """Listen; yield the URL that a webhook destination posts to."""
        app = web.Application()
        app.router.add_post("/hook", self.take)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        try:
            yield f"http://127.0.0.1:{port}/hook"
        finally:
            await runner.cleanup()

    async def drained(self, acknowledged: int, patience_s: float = 120) -> None:
        """Wait until as many different messages arrived as were acknowledged, or none comes any more: the checker says which are missing."""
        last, arrived = time.monotonic(), 0
        while arrived < acknowledged and time.monotonic() - last < patience_s:
            await asyncio.sleep(0.2)
            before, arrived = arrived, len({one.control for one in self.log if one.well})
            last = time.monotonic() if arrived > before else last

    def gaps(self) -> dict[int, float]:
        """Return the longest time without a delivery that ended after each crash."""
        found: dict[int, float] = {}
        for (before, _), (at, one) in itertools.pairwise(zip(self.at, self.log, strict=True)):
            found[one.crash] = max(found.get(one.crash, 0.0), round(at - before, 2))
        return found


def delivery_of(request: web.Request) -> tuple[str, int]:
    """Return the lane and the number of a delivery that came to a webhook."""
    _, lane, seq = request.headers["webhook-id"].split("_")
    return lane, int(seq)


class Sender:
    """One interface engine: the next message only after the ACK of the last; repeats it after every broken connection."""

    def __init__(self, port: int, tag: str, patience_s: float = 10, pause_s: float = 0) -> None:
        self.port, self.tag, self.patience_s, self.pause_s = port, tag, patience_s, pause_s
        self.acknowledged: list[str] = []
        self.at: list[float] = []
        self.resent = 0
        self.answered_no = 0
        self._wire: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def run(self, stop: asyncio.Event) -> None:
        number = 0
        while not stop.is_set():
            number += 1
            control = f"{self.tag}{number:07d}"
            while not await self._offer(control):
                self.resent += 1
                if stop.is_set():
                    return
                await asyncio.sleep(0.02)
            self.acknowledged.append(control)
            self.at.append(time.monotonic())
            await asyncio.sleep(self.pause_s)

    async def _offer(self, control: str) -> bool:
        try:
            if self._wire is None:
                self._wire = await asyncio.open_connection("127.0.0.1", self.port)
            reader, writer = self._wire
            writer.write(b"\x0b" + adt(control, 1024, patient=control) + b"\x1c\r")
            async with asyncio.timeout(self.patience_s):
                answer = await reader.readuntil(b"\x1c\r")
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            if self._wire is not None:
                self._wire[1].close()
                self._wire = None
            return False
        return self._taken(control, answer)

    def _taken(self, control: str, answer: bytes) -> bool:
        taken = f"MSA|AA|{control}".encode() in answer
        self.answered_no += not taken
        return taken


class Poster(Sender):
    """The same over HTTP, behind a load balancer: where one door does not take a message the next one is offered it, with the same control id."""

    def __init__(self, doors: Sequence[str], key: str, tag: str, patience_s: float = 10, pause_s: float = 0) -> None:
        super().__init__(0, tag, patience_s, pause_s)
        self._doors = itertools.cycle(doors)
        self._door = next(self._doors)
        self._key = key

    async def run(self, stop: asyncio.Event) -> None:
        headers = {"authorization": f"Bearer {self._key}"}
        async with aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=self.patience_s)) as self._session:
            await super().run(stop)

    async def _offer(self, control: str) -> bool:
        with contextlib.suppress(OSError, aiohttp.ClientError, TimeoutError):
            async with self._session.post(f"{self._door}/hl7v2", data=adt(control, 1024, patient=control)) as reply:
                if self._taken(control, await reply.read()):
                    return True
        self._door = next(self._doors)
        return False


@asynccontextmanager
async def sending(senders: Sequence[Sender]) -> AsyncIterator[None]:
    """Keep these senders busy; at the end each finishes its message, or gives it up unacknowledged."""
    stop = asyncio.Event()
    running = [asyncio.create_task(sender.run(stop)) for sender in senders]
    try:
        yield
    finally:
        stop.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*running)


async def flowing(senders: Sequence[Sender], since: float, within_s: float) -> bool:
    """Say whether every sender was acknowledged after a moment, as soon as they were."""
    deadline = time.monotonic() + within_s
    while not all(sender.at and sender.at[-1] > since for sender in senders):
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.05)
    return True


class Sent(Protocol):
    """What the checker asks of a sender."""

    tag: str
    acknowledged: list[str]


def check(senders: Sequence[Sent], log: Sequence[Logged], skipped: Skipped | None = None) -> dict[str, int]:
    """Return the violations: lost, order errors, more than one repeat of a lane after a crash (or any before the first).

    What came again because its receiver had not taken it, or had not said so, is no repeat. With ``skipped`` each lane has one sender.
    """
    by_tag: dict[str, list[str]] = {}
    top: dict[str, Logged] = {}
    given_up, order_errors = skipped or {}, 0
    for one in log:
        last = top.get(one.lane, Logged(one.lane, 0, "", 0))
        if one.seq < last.seq:
            order_errors += 1  # only the head may come again
            continue
        if one.seq > last.seq:
            passed = range(last.seq + last.well, one.seq)
            order_errors += bool(set(passed) - given_up.get(one.lane, set()))
        if one.well and (one.seq > last.seq or not last.well):
            by_tag.setdefault(one.control[:4], []).append(one.control)
        top[one.lane] = one._replace(well=one.well or (one.seq == last.seq and last.well))
    order_errors += sum(after <= before for arrived in by_tag.values() for before, after in itertools.pairwise(arrived))
    excused = {f"{tag}{seq:07d}" for lane, tag in {one.lane: one.control[:4] for one in log if one.well}.items() for seq in given_up.get(lane, ())}
    lost = sum(len(set(sender.acknowledged) - set(by_tag.get(sender.tag, [])) - excused) for sender in senders)
    again = repeats(log)
    return {"lost": lost, "order_errors": order_errors, "repeats": sum(again.values()),
            "most_repeats_of_a_lane_after_a_crash": max(again.values(), default=0),
            "repeats_over_bound": sum(count > min(crash, 1) for (_, crash), count in again.items())}  # fmt: skip


def repeated(log: Sequence[Logged]) -> list[Repeat]:
    """Return what came again although it had been taken; what its receiver had answered badly, or not at all, comes again by its own doing."""
    taken: defaultdict[str, dict[int, int]] = defaultdict(dict)
    found = []
    for one in log:
        before = taken[one.lane].pop(one.seq, None)
        if before is not None:
            found.append(Repeat(one.lane, one.seq, before, one.crash))
        if one.well:
            taken[one.lane][one.seq] = one.crash
    return found


def repeats(log: Sequence[Logged]) -> Counter[tuple[str, int]]:
    """Return how often each lane delivered something again, by the crash it followed."""
    return Counter((one.lane, one.again) for one in repeated(log))


def spoil(log: list[Logged]) -> None:
    """Mutate the sink's log the way a broken hub would, dropping one, swapping two, doubling one: the checker must notice."""
    middle = next(at for at in range(len(log) // 2, len(log)) if log[at].well)
    log.pop(middle)
    log[middle + 3], log[middle + 40] = log[middle + 40], log[middle + 3]
    log.insert(middle + 60, log[middle + 20])

"""Senders, a sink that is never killed, and the checker that compares what was acknowledged with what arrived."""

import asyncio
import contextlib
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

import orjson
from aiohttp import web

from bench.machine import adt

Logged = tuple[str, int, str, int]
"""Lane, number, control id, and how many crashes (or other events) there had been."""


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
        _, lane, seq = request.headers["webhook-id"].split("_")
        self.at.append(time.monotonic())
        self.log.append((lane, int(seq), document["Patient"]["Identifiers"][0]["ID"], self.crashes))
        return web.Response()

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
            before, arrived = arrived, len({control for _, _, control, _ in self.log})
            last = time.monotonic() if arrived > before else last

    def gaps(self) -> dict[int, float]:
        """Return the longest time without a delivery that ended after each crash."""
        found: dict[int, float] = {}
        for (before, _), (at, (*_, crash)) in itertools.pairwise(zip(self.at, self.log, strict=True)):
            found[crash] = max(found.get(crash, 0.0), round(at - before, 2))
        return found


class Sender:
    """One interface engine: the next message only after the ACK of the last; repeats it after every broken connection."""

    def __init__(self, port: int, tag: str, patience_s: float = 10) -> None:
        self.port, self.tag, self.patience_s = port, tag, patience_s
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
        taken = f"MSA|AA|{control}".encode() in answer
        self.answered_no += not taken
        return taken


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


class Sent(Protocol):
    """What the checker asks of a sender."""

    tag: str
    acknowledged: list[str]


def check(senders: Sequence[Sent], log: Sequence[Logged]) -> dict[str, int]:
    """Return the violations: lost, order errors, more than one repeat of a lane after a crash (or any before the first)."""
    by_tag: dict[str, list[str]] = {}
    seen: dict[str, int] = {}
    order_errors = 0
    for lane, seq, control, _ in log:
        last = seen.get(lane, 0)
        if seq <= last:
            order_errors += seq != last  # only the head may come again
            continue
        order_errors += seq != last + 1
        seen[lane] = seq
        by_tag.setdefault(control[:4], []).append(control)
    lost = sum(len(set(sender.acknowledged) - set(by_tag.get(sender.tag, []))) for sender in senders)
    for sender in senders:
        arrived = by_tag.get(sender.tag, [])
        order_errors += sum(after <= before for before, after in itertools.pairwise(arrived))
    again = repeats(log)
    return {"lost": lost, "order_errors": order_errors, "repeats": sum(again.values()),
            "most_repeats_of_a_lane_after_a_crash": max(again.values(), default=0),
            "repeats_over_bound": sum(count > min(crash, 1) for (_, crash), count in again.items())}  # fmt: skip


def repeats(log: Sequence[Logged]) -> Counter[tuple[str, int]]:
    """Return how often each lane delivered something again, by the crash it followed."""
    seen: dict[str, int] = {}
    found: Counter[tuple[str, int]] = Counter()
    for lane, seq, _, crash in log:
        if seq <= seen.get(lane, 0):
            found[lane, crash] += 1
        seen[lane] = max(seq, seen.get(lane, 0))
    return found


def spoil(log: list[Logged]) -> None:
    """Mutate the sink's log the way a broken hub would, dropping one, swapping two, doubling one: the checker must notice."""
    middle = len(log) // 2
    log.pop(middle)
    log[middle + 3], log[middle + 40] = log[middle + 40], log[middle + 3]
    log.insert(middle + 60, log[middle + 20])

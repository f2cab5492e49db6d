"""One hub node: leases its lanes, follows the catalogue, keeps a beat, and goes down gracefully."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from carelane.domain.endpoint import Snapshot
from carelane.domain.errors import StoreLost
from carelane.domain.ids import LaneId
from carelane.domain.message import Problem
from carelane.exchange.doors import Doors
from carelane.exchange.ingest import Ingest
from carelane.exchange.ports import Leases
from carelane.exchange.run import Runner
from carelane.kit.clock import Clock

BEAT_S, LEASE_S, POLL_S = 3.0, 10.0, 5.0
_UPKEEP_EVERY_S = 10.0
_NAMED = 5
DRAINING = Problem("draining", "The hub is shutting down.", "Send the message again in a moment; it was not taken.", status=503)


class BellLike(Protocol):
    """Rings when the catalogue or a lane changed outside this process; may miss rings, never invents state."""

    catalogue: asyncio.Event
    lanes: asyncio.Queue[LaneId]

    @property
    def deaf(self) -> bool:
        """Whether it must be connected again."""
        ...

    async def listen(self) -> None:
        """Connect."""
        ...

    async def close(self) -> None:
        """Disconnect."""
        ...


@dataclass
class Shelf:
    """The snapshot everyone reads; replaced as a whole."""

    snapshot: Snapshot = field(default_factory=Snapshot)


@dataclass
class Node:
    """Everything that runs in one hub process. ``alone`` says no other node can exist (embedded database)."""

    leases: Leases
    runner: Runner
    ingest: Ingest
    doors: Doors
    bell: BellLike
    shelf: Shelf
    clock: Clock
    read_snapshot: Callable[[], Awaitable[Snapshot]]
    revive: Callable[[], Awaitable[bool]]
    upkeep: Callable[[], Awaitable[Problem | None]]
    tell: Callable[[str, str], None]
    alone: bool = True
    longest_send_s: float = 60.0
    _shards: set[int] = field(default_factory=set)
    _renewed: float = 0.0
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def start(self) -> None:
        """Load, take the lanes, open the doors."""
        self.shelf.snapshot = await self.read_snapshot()
        await self.bell.listen()
        await self._take(alone=self.alone)
        self.ingest.refusing = await self.upkeep()
        await self.doors.follow()
        loop = asyncio.get_running_loop()
        for work in (self._follow_catalogue, self._follow_lanes, self._beat, self._poll, self._keep_up):
            self._tasks.append(loop.create_task(self._forever(work)))

    async def stop(self, grace_s: float = 10.0, cut: asyncio.Event | None = None) -> None:
        """Drain: take nothing more, answer what was taken, let sends in flight end, give the lanes back.

        After ``grace_s``, or when ``cut`` is set, what is still being sent is cut off and told: it is sent again by whoever has the lane next.
        """
        self.ingest.refusing = DRAINING
        _, lanes = await asyncio.gather(self._close_intake(), self.runner.drain(grace_s, cut))
        if lanes:
            named = ", ".join(lanes[:_NAMED]) + (", …" if len(lanes) > _NAMED else "")
            self.tell("sends.cut", f"{len(lanes)} in flight, on {named}: their outcome is unknown, they are sent again")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.bell.close()
        try:
            await self.leases.give_back()
        except StoreLost:
            self.tell("leases.not_given_back", "the next node waits until they expire")

    async def _close_intake(self) -> None:
        await self.doors.close()
        await self.ingest.close()

    async def _take(self, *, alone: bool) -> None:
        shards, rows = await self.leases.take(self.longest_send_s, alone=alone)
        self._renewed = self.clock.monotonic()
        self._shards |= {shard.number for shard in shards}
        now, mono = self.clock.now(), self.clock.monotonic()
        quiet = {shard.number: mono + _seconds_to(shard.quiet_until, now) for shard in shards}
        self.runner.load(rows, quiet)

    async def _forever(self, work: Callable[[], Awaitable[None]]) -> None:
        """A store that is away is waited for; anything else is told and tried again, so that the node lives on."""
        while True:
            try:
                await work()
            except StoreLost:
                await self.clock.sleep(0.5)
            except Exception as error:  # the node must outlive a fault in one of its chores; its type is told
                self.tell("node.chore_failed", f"{work.__name__}: {type(error).__name__}")
                await self.clock.sleep(1.0)

    async def _follow_catalogue(self) -> None:
        await self.bell.catalogue.wait()
        self.bell.catalogue.clear()
        try:
            self.shelf.snapshot = await self.read_snapshot()
        except StoreLost:
            self.bell.catalogue.set()
            raise
        await self.doors.follow()
        await self.runner.catalogue_changed()

    async def _follow_lanes(self) -> None:
        first = await self.bell.lanes.get()
        ids = {first}
        while not self.bell.lanes.empty():
            ids.add(self.bell.lanes.get_nowait())
        self.bell.catalogue.set()
        await self.runner.refresh(sorted(ids))

    async def _beat(self) -> None:
        """Renew the leases; a node that cannot renew stops its lanes before the lease runs out, by its own clock."""
        await self.clock.sleep(BEAT_S if not self.bell.deaf else 0.3)
        if await self.revive():
            self.tell("store.revived", "the embedded database was started again")
        if self.clock.monotonic() - self._renewed > LEASE_S - BEAT_S and self._shards:
            self.runner.drop(self._shards)
            self._shards.clear()
        if self._shards:
            kept = await self.leases.renew(sorted(self._shards))
            self._renewed = self.clock.monotonic()
            self.runner.drop(self._shards - kept)
            self._shards = kept
        await self._take(alone=self.alone and not self._shards)
        if self.bell.deaf:
            await self.bell.listen()
        await self.runner.heal()

    async def _poll(self) -> None:
        """The slow look behind the rings: a lost hint costs seconds, never a message."""
        await self.clock.sleep(POLL_S)
        for row in await self.leases.stirred(sorted(self._shards)):
            self.runner.ring({row.id: row.tail_seq})

    async def _keep_up(self) -> None:
        await self.clock.sleep(_UPKEEP_EVERY_S)
        found = await self.upkeep()
        if self.ingest.refusing is not DRAINING:  # a node that stops says so to the end
            self.ingest.refusing = found


def _seconds_to(moment: datetime, now: datetime) -> float:
    return max(0.0, (moment - now).total_seconds())

"""One hub node: leases its lanes, follows the catalogue, keeps a beat, and goes down gracefully."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from carelane.domain.delivery import EVERY, Standing
from carelane.domain.endpoint import Snapshot
from carelane.domain.errors import StoreLost
from carelane.domain.message import Problem
from carelane.exchange.delivery import Delivery
from carelane.exchange.doors import Doors
from carelane.exchange.handover import hand_over
from carelane.exchange.ingest import Ingest
from carelane.exchange.ports import Bell, Leases
from carelane.exchange.shards import BEAT_S, Change
from carelane.exchange.turn import Tell
from carelane.kit.clock import Clock

POLL_S = 5.0
_DEAF_S = 0.3
_UPKEEP_EVERY_S = 10.0
_NAMED = 5
_FAILED_S = 60.0
DRAINING = Problem("draining", "The hub is shutting down.", "Send the message again in a moment; it was not taken.", status=503)


@dataclass
class Shelf:
    """The snapshot everyone reads; replaced as a whole. What did not change stays the same object."""

    snapshot: Snapshot = field(default_factory=Snapshot)

    def follow(self, new: Snapshot) -> None:
        """Take what was just read."""
        self.snapshot = new.keeping(self.snapshot)


@dataclass(frozen=True)
class Chore:
    """A piece of upkeep with a beat of its own; ``work`` sees to it that one node does it, where that matters."""

    name: str
    every_s: float
    work: Callable[[], Awaitable[object]]


@dataclass
class Node:
    """Everything that runs in one hub process. ``alone`` says no other node can exist (embedded database, one process)."""

    leases: Leases
    delivery: Delivery
    ingest: Ingest
    doors: Doors
    bell: Bell
    shelf: Shelf
    clock: Clock
    read_snapshot: Callable[[], Awaitable[Snapshot]]
    revive: Callable[[], Awaitable[bool]]
    trouble: Callable[[], Awaitable[Problem | None]]
    """Looks whether messages can be stored at all: disk space and the like."""
    chores: Sequence[Chore]
    tell: Tell
    alone: bool = True
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _handing: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Load, take the lanes, open the doors."""
        self.shelf.follow(await self.read_snapshot())
        await self.bell.listen()
        await self._lease(alone=self.alone)
        self.ingest.refusing = await self.trouble()
        await self.doors.follow()
        loop = asyncio.get_running_loop()
        lanes = self.delivery.lanes
        for work in (
            self._follow_catalogue,
            self._follow_lanes,
            self._follow_tails,
            self._follow_shards,
            self._beat,
            self._poll,
            lanes.read_again,
            self._keep_up,
        ):
            self._tasks.append(loop.create_task(self._forever(work)))
        self._tasks += [loop.create_task(self._forever(partial(self._do, chore), chore.name)) for chore in self.chores]

    async def stop(self, grace_s: float = 30.0, cut: asyncio.Event | None = None) -> None:
        """Drain: take nothing more, answer what was taken, let sends in flight end, give the lanes back. What takes longer is cut, and told."""
        self.ingest.refusing = DRAINING
        self.delivery.lanes.close()
        _, left = await asyncio.gather(self._close_intake(), self.delivery.turns.close(grace_s, cut))
        if left:
            named = ", ".join(f"lane_{lane}" for lane in left[:_NAMED]) + (", …" if len(left) > _NAMED else "")
            self.tell("sends.cut", f"{len(left)} in flight, on {named}: their outcome is unknown, they are sent again")
        self.delivery.rings.close()
        chores = [*self._tasks, *([self._handing] if self._handing else [])]
        for task in chores:
            task.cancel()
        await asyncio.gather(*chores, return_exceptions=True)
        await self.delivery.gates.close()
        await self.bell.close()
        try:
            if not left:  # a send that was cut may still arrive: the next owner must wait for it
                await self.leases.leave()
        except StoreLost:
            self.tell("leases.not_given_back", "the next node waits until they expire")

    async def _close_intake(self) -> None:
        await self.doors.close()
        await self.ingest.close()

    async def _lease(self, *, alone: bool = False) -> None:
        """Renew, fill our share, and make the lanes match what is held."""
        async with self.delivery.shards.changing:
            await self._renew(alone=alone)
        surplus = self.delivery.shards.surplus()
        if surplus and (self._handing is None or self._handing.done()):
            giving = hand_over(surplus, self.delivery.shards, self.delivery.lanes, self.leases, self.clock)
            self._handing = asyncio.get_running_loop().create_task(self._quietly(giving))

    async def _renew(self, *, alone: bool) -> None:
        asked = self.clock.monotonic()
        standing = await self.leases.renew()
        change = self.delivery.shards.told(standing, asked)
        await self._match(change, standing)
        room = EVERY if alone else self.delivery.shards.room(standing.free)
        if room and await self.leases.take(room, alone=alone):
            asked = self.clock.monotonic()
            standing = await self.leases.renew()
            await self._match(self.delivery.shards.told(standing, asked), standing)

    async def _match(self, change: Change, standing: Standing) -> None:
        self.delivery.lanes.drop(change.lost)
        if change.refused:
            await self.leases.give_back(sorted(change.refused))
        if standing.catalogue != self.shelf.snapshot.version:
            self.bell.catalogue.set()
        if change.lapsed:
            self.delivery.lanes.wake_all()
        if change.gained:
            await self.delivery.lanes.adopt(sorted(change.gained))

    async def _quietly(self, work: Awaitable[None]) -> None:
        try:
            await work
        except StoreLost:
            return  # the next beat tells what is still ours
        except Exception as error:
            self.tell("node.chore_failed", f"hand_over: {type(error).__name__}")

    async def _do(self, chore: Chore) -> None:
        """Each chore has a beat of its own: one that fails, or takes long, holds up no other."""
        await chore.work()
        await self.clock.sleep(chore.every_s)

    async def _forever(self, work: Callable[[], Awaitable[None]], name: str = "") -> None:
        """A store that is away is waited for; anything else is told and tried again, so that the node lives on."""
        while True:
            try:
                await work()
            except StoreLost:
                await self.clock.sleep(0.5)
            except Exception as error:  # the node must outlive a fault in one of its chores; its type is told
                self.tell("node.chore_failed", f"{name or work.__name__}: {type(error).__name__}")
                await self.clock.sleep(_FAILED_S if name else 1.0)

    async def _follow_catalogue(self) -> None:
        await self.bell.catalogue.wait()
        self.bell.catalogue.clear()
        try:
            self.shelf.follow(await self.read_snapshot())
        except BaseException:
            self.bell.catalogue.set()
            raise
        self.delivery.lanes.catalogue_changed()  # before anything else is awaited: the very next send goes to the new address
        await self.doors.follow()

    async def _follow_lanes(self) -> None:
        """Lanes that somebody acted on, or that are new: the catalogue may have a route for them by now."""
        ids = {await self.bell.lanes.get()}
        while not self.bell.lanes.empty():
            ids.add(self.bell.lanes.get_nowait())
        self.bell.catalogue.set()
        self.delivery.lanes.doubt(ids)

    async def _follow_tails(self) -> None:
        heard = [await self.bell.tails.get()]
        while not self.bell.tails.empty():
            heard.append(self.bell.tails.get_nowait())
        self.delivery.rings.heard(dict(heard))

    async def _follow_shards(self) -> None:
        await self.bell.shards.wait()
        self.bell.shards.clear()
        await self._lease()

    async def _beat(self) -> None:
        """Renew the lease, and see that the database and the bell are there."""
        await self.clock.sleep(_DEAF_S if self.bell.deaf else BEAT_S)
        if await self.revive():
            self.tell("store.revived", "the embedded database was started again")
        await self._lease()
        await self.bell.check()
        if self.bell.deaf:
            await self.bell.listen()

    async def _poll(self) -> None:
        """The slow look behind the rings: a lost ring costs seconds, never a message."""
        await self.clock.sleep(POLL_S)
        await self.delivery.lanes.poll()

    async def _keep_up(self) -> None:
        await self.clock.sleep(_UPKEEP_EVERY_S)
        found = await self.trouble()
        if self.ingest.refusing is not DRAINING:  # a node that stops says so to the end
            self.ingest.refusing = found

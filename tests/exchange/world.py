"""A node's delivery half over the shipped fakes: lanes, receivers that do what their script says, and a clock that a test moves."""

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field, replace

from carelane.domain.delivery import EVERY, Judgement, Verdict
from carelane.domain.endpoint import Destination, Route, Snapshot
from carelane.domain.ids import LaneId
from carelane.exchange.attempt import Bench
from carelane.exchange.delivery import Outside, join_delivery
from carelane.exchange.ingest import _fresh
from carelane.exchange.node import Shelf
from carelane.exchange.ports import Ambiguous, NotSent, Reply, Taken
from carelane.kit.ids import uuid7
from carelane.kit.seal import Unsealable
from carelane.plugins import FormatShelf
from carelane.testing.bell import FakeBell
from carelane.testing.clock import FakeClock
from carelane.testing.leases import FakeLeases, LeaseBoard
from carelane.testing.ledger import FakeLane, FakeLedger
from carelane.testing.ledger_suite import incoming

CLOSED = "a message that does not open"


class OpenSealer:
    """Nothing is sealed here: the lane's own behaviour is under test."""

    def unseal(self, org, thing, kind, key_id, sealed):
        if sealed == CLOSED.encode():
            raise Unsealable
        return sealed

    def seal(self, org, thing, kind, plain):
        return 1, plain

    def token(self, org, kind, value):
        return 0


@dataclass
class Receiver:
    """Does what its script says, and remembers every attempt in order. A send waits while ``gate`` is closed."""

    script: list[str] = field(default_factory=list)
    attempts: list[bytes] = field(default_factory=list)
    delivered: list[bytes] = field(default_factory=list)
    at_work: int = 0
    most_at_work: int = 0
    longest_s: float = 5.0
    concurrency: int = 32
    closed: bool = False
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    async def send(self, parcel):
        self.at_work += 1
        self.most_at_work = max(self.most_at_work, self.at_work)
        self.attempts.append(parcel.body)
        try:
            await asyncio.sleep(0)
            await self.gate.wait()
        finally:
            self.at_work -= 1
        mood = self.script.pop(0) if self.script else "ok"
        if mood == "refused":
            raise NotSent("nobody there")
        if mood == "silent":
            raise Ambiguous("no answer")
        if mood == "broken":
            raise ZeroDivisionError
        if mood == "bytes":
            return Reply(b"what is this")
        verdict = {"ok": Verdict.DELIVERED, "again": Verdict.AGAIN, "hold": Verdict.HELD}[mood]
        if verdict is Verdict.DELIVERED:
            self.delivered.append(parcel.body)
        return Reply(judgement=Judgement(verdict, mood))

    async def reset(self):
        return None

    async def close(self):
        self.closed = True


@dataclass
class ReceiverOfMany(Receiver):
    """Takes up to ten at once; what its script says happens to each of them in turn, and ends the batch when it is not ``ok``."""

    most_at_once: int = 10
    batches: list[int] = field(default_factory=list)

    async def send_many(self, parcels):
        self.batches.append(len(parcels))
        for count, parcel in enumerate(parcels):
            found = await self.send(parcel)
            if found.judgement is None or found.judgement.verdict is not Verdict.DELIVERED:
                return Taken(count, found.judgement)
        return Taken(len(parcels))


class World:
    """One node with as many lanes as asked for, each to a destination of its own."""

    def __init__(self, lanes: int = 2, formats=None, destinations: int | None = None) -> None:
        self.clock, self.told = FakeClock(), []
        ends = destinations or lanes
        self.route_of = {n: Route(n, LaneId(n), 1, (n - 1) % ends + 1, "PatientAdmin", "native") for n in range(1, lanes + 1)}
        self.ledger = FakeLedger({LaneId(n): FakeLane(shard=route.shard, epoch=0) for n, route in self.route_of.items()})
        self.receivers = {n: Receiver() for n in range(1, ends + 1)}
        self.made = []
        self.board = LeaseBoard(self.ledger, self.clock)
        self.leases = FakeLeases(self.board, "one")
        made = {n: Destination(n, uuid7(), 2, f"d{n}", "development", "x", "hl7v2", {}) for n in self.receivers}
        self.shelf = Shelf(Snapshot(destinations=made, lanes={route.lane_id: route for route in self.route_of.values()}))
        outside = Outside(self.ledger, self.leases, FakeBell(self.board.bells), self.shelf, self, None, lambda event, detail: self.told.append((event, detail)))
        self.delivery = join_delivery(outside, Bench(formats or FormatShelf(), OpenSealer(), self.clock))
        self.sent = defaultdict(list)

    def sender(self, destination, tools):
        made = self.receivers[destination.id]
        self.made.append(destination)
        return made

    async def lease(self) -> None:
        """Take every free shard, as the node's beat does."""
        asked = self.clock.monotonic()
        await self.leases.renew()
        await self.leases.take(EVERY, alone=False)
        change = self.delivery.shards.told(await self.leases.renew(), asked)
        self.delivery.lanes.drop(change.lost)
        await self.delivery.lanes.adopt(sorted(change.gained))

    async def renew(self) -> None:
        """Renew as the beat does."""
        asked = self.clock.monotonic()
        change = self.delivery.shards.told(await self.leases.renew(), asked)
        self.delivery.lanes.drop(change.lost)
        await self.delivery.lanes.adopt(sorted(change.gained))
        self.delivery.lanes.wake_all()

    async def send(self, lane: int, *texts: str) -> None:
        """Store messages on a lane and ring."""
        for text in texts:
            self.sent[lane].append(text.encode())
            self.delivery.rings.ring((await self.ledger.append([incoming(text, (lane,))])).tails)

    async def pause(self, lane: int) -> None:
        """Let a lane stand, as its operator does."""
        self.ledger.lanes[LaneId(lane)].paused = "for a test"
        await self.delivery.lanes.look([LaneId(lane)])

    async def resume(self, lane: int) -> None:
        """Let it go on, until it comes to rest."""
        self.ledger.lanes[LaneId(lane)].paused = None
        await self.delivery.lanes.look([LaneId(lane)])
        await self.settle_down()

    async def hand(self, lane: int, *texts: str) -> None:
        """Store messages on a lane in one commit and ring with what was queued, as intake does."""
        items = [incoming(text, (lane,)) for text in texts]
        done = await self.ledger.append(items)
        self.delivery.rings.ring(done.tails, lambda lane: _fresh(items, done, lane))

    async def settle_down(self) -> None:
        """Let everything run that can; lanes in doubt are read, as the node does."""
        for _ in range(3):
            for _ in range(200):
                await asyncio.sleep(0)
            if self.delivery.lanes.to_read.is_set():
                await self.delivery.lanes.read_again()

    async def let_time_pass(self, seconds: float) -> None:
        """Move the clock, renew the lease, and let run what is due."""
        self.clock.move(seconds)
        await self.renew()
        self.delivery.lanes.ring_alarms()
        await self.settle_down()

    async def change(self, destination: int, **what) -> None:
        """Change a destination, as the catalogue brings it."""
        old = self.shelf.snapshot.destinations[destination]
        self.shelf.follow(replace(self.shelf.snapshot, destinations={**self.shelf.snapshot.destinations, destination: replace(old, **what)}))
        self.delivery.lanes.catalogue_changed()


async def made(lanes: int = 2, **more) -> World:
    """Make a world whose node holds every lane."""
    world = World(lanes, **more)
    await world.lease()
    return world

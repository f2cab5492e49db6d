"""A simulated database, the nodes on it, their receivers: what a simulation happens to. Every call of a node can be slow, lost or frozen."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from carelane.domain.delivery import Judgement, Settlement, Verdict
from carelane.domain.endpoint import Destination, Route, Snapshot
from carelane.domain.errors import StoreLost
from carelane.domain.ids import DestinationId, LaneId, OrgId, SourceId, SubscriptionId
from carelane.exchange.attempt import Bench
from carelane.exchange.delivery import Outside, join_delivery
from carelane.exchange.node import Node, Shelf
from carelane.exchange.ports import Ambiguous, NotSent, Parcel, Reply
from carelane.kit.ids import uuid7
from carelane.plugins import FormatShelf
from carelane.testing.bell import FakeBell
from carelane.testing.checker import Checker
from carelane.testing.leases import FakeLeases, LeaseBoard
from carelane.testing.ledger import FakeLane, FakeLedger
from carelane.testing.loop import JumpingLoop, LoopClock

Result = TypeVar("Result")
_LANES, _DESTINATIONS = 6, 4


class Open:
    """A sealer that seals nothing."""

    def seal(self, org: object, thing: object, kind: str, plain: bytes) -> tuple[int, bytes]:
        return 1, plain

    def unseal(self, org: object, thing: object, kind: str, key_id: int, sealed: bytes) -> bytes:
        return sealed

    def token(self, org: object, kind: str, value: str) -> int:
        return 0


class Nothing:
    """Doors and intake of a node that only delivers: messages come straight from the simulation."""

    refusing: object = None

    async def follow(self) -> None: ...
    async def close(self) -> None: ...


@dataclass
class Process:
    """One node's process: it can be frozen, its store can be away or hang, and it can die."""

    world: "World"
    name: str
    node: Node | None = None
    thawed: asyncio.Event = field(default_factory=asyncio.Event)
    dead: bool = False

    async def reach(self, work: Callable[[], Awaitable[Result]]) -> Result:
        """Make a call that leaves the process: it begins and returns only while the process runs."""
        await self.thawed.wait()
        await asyncio.sleep(self.world.dice.expovariate(200))
        await self.world.store_up(self)
        found = await work()
        await asyncio.sleep(self.world.dice.expovariate(200))
        if self.world.store_away:
            raise StoreLost("the answer was lost")
        await self.thawed.wait()
        return found

    def monotonic(self) -> float:
        return self.world.loop.time()

    def now(self) -> Any:
        return LoopClock(self.world.loop, int(self.name[1:]) * 7 % 20 - 10).now()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self.thawed.wait()


class Through:
    """Every call of a port goes through the process."""

    def __init__(self, process: Process, port: object) -> None:
        self._process = process
        self._port = port

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        return lambda *given, **named: self._process.reach(lambda: getattr(self._port, name)(*given, **named))


class WatchedLedger:
    """A node's ledger: what it settles is told to the checker."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def __getattr__(self, name: str) -> Any:
        return getattr(self._process.world.ledger, name)

    async def settle(self, batch: Sequence[Settlement], today: Any) -> set[tuple[LaneId, int, int]]:
        world = self._process.world
        if "fence" in world.without:
            batch = [replace(item, epoch=world.ledger.lanes[item.lane_id].epoch) for item in batch]
        recorded = await world.ledger.settle(batch, today)
        for lane, _, _ in recorded:
            world.checker.settled(lane, self._process.name, world.board.shards[world.ledger.lanes[lane].shard].owner)
        return recorded


class Line:
    """A sender to one receiver: connects, asks whether it still may, writes, and waits for an answer as long as it says."""

    concurrency = 3

    def __init__(self, process: Process, destination: Destination) -> None:
        self._process = process
        self._destination = destination
        self.longest_s = float(str(destination.settings["longest_s"]))

    async def send(self, parcel: Parcel) -> Reply:
        world = self._process.world
        began = world.loop.time()
        await asyncio.sleep(world.dice.expovariate(20))
        await self._process.thawed.wait()
        if world.loop.time() - began > self.longest_s or world.mood() == "refused" or not (parcel.may_leave() or "last look" in world.without):
            raise NotSent("nobody there")
        _, lane, seq = parcel.delivery_id.split("_")
        if self._process.node is not None and self._process.node.shelf.snapshot.destinations[self._destination.id] is not self._destination:
            world.checker.violations.append(f"lane {lane}: {seq} went to an address that was changed before")
        arrival = world.checker.arrived(LaneId(int(lane)), int(seq), world.loop.time(), began + self.longest_s)
        mood, takes = world.mood(), world.patience(self.longest_s)
        answer = asyncio.ensure_future(_answer(world, LaneId(int(lane)), arrival, takes, mood))
        world.receiving.add(answer)
        answer.add_done_callback(world.receiving.discard)
        left = self.longest_s - (world.loop.time() - began)
        await asyncio.wait({answer}, timeout=left)
        await self._process.thawed.wait()
        if not answer.done() or mood == "silent":
            raise Ambiguous("no answer")
        return Reply(judgement=Judgement({"again": Verdict.AGAIN, "hold": Verdict.HELD}.get(mood, Verdict.DELIVERED), mood))

    async def reset(self) -> None: ...
    async def close(self) -> None: ...


async def _answer(world: "World", lane: LaneId, arrival: Any, takes: float, mood: str) -> None:
    await asyncio.sleep(takes)
    world.checker.answered(lane, arrival, world.loop.time(), well=mood not in ("again", "hold"))


class World:
    """The database, the nodes, the receivers and the people."""

    def __init__(self, seed: int, loop: JumpingLoop, *, nodes: int, without: frozenset[str] = frozenset()) -> None:
        self.dice, self.loop, self.without = random.Random(seed), loop, without  # noqa: S311
        routes = {
            n: Route(SubscriptionId(n), LaneId(n), SourceId(1), DestinationId(n % _DESTINATIONS + 1), "PatientAdmin", "native") for n in range(1, _LANES + 1)
        }
        self.ledger = FakeLedger({route.lane_id: FakeLane(shard=route.shard, epoch=0) for route in routes.values()})
        self.board = LeaseBoard(self.ledger, LoopClock(loop))
        self.board.bells.loses = lambda: self.losing > self.dice.random()
        self.checker = Checker(self.ledger)
        self.destinations = {DestinationId(n): self._destination(n) for n in range(1, _DESTINATIONS + 1)}
        self.lanes = {route.lane_id: route for route in routes.values()}
        self.processes: list[Process] = []
        self.receiving: set[asyncio.Future[None]] = set()
        self.stores: set[asyncio.Task[None]] = set()
        self.store_away, self.losing, self.calm, self.count = False, 0.0, False, 0
        self.log: list[str] = []
        self.wanted = nodes

    def _destination(self, number: int) -> Destination:
        longest = self.dice.choice((1.0, 3.0, 20.0))
        return Destination(DestinationId(number), uuid7(), OrgId(2), f"d{number}", "development", "x", "hl7v2", {"longest_s": longest, "address": 0})

    def mood(self) -> str:
        """What a receiver does this time."""
        return "ok" if self.calm else self.dice.choices(("ok", "again", "silent", "refused", "hold"), (30, 2, 1, 2, 0.3))[0]

    def patience(self, longest_s: float) -> float:
        """How long a receiver takes: mostly not, sometimes nearly too long or too long."""
        return self.dice.choices(
            (self.dice.expovariate(30), self.dice.uniform(0, longest_s), longest_s * 1.3), (20, 0 if self.calm else 2, 0 if self.calm else 0.3)
        )[0]

    async def store_up(self, process: Process) -> None:
        """Let a call through to the store, or not."""
        if self.store_away:
            await asyncio.sleep(self.dice.uniform(0, 0.3))
            if self.store_away:
                raise StoreLost("away")
        if process.dead:
            await asyncio.Event().wait()

    def tell(self, text: str) -> None:
        """Keep what happened, for the one who replays this seed."""
        self.log.append(f"{self.loop.time() - 1000:7.2f} {text}")

    async def start(self) -> Process:
        """Start one more node."""
        process = Process(self, f"n{len(self.processes) + 1}")
        process.thawed.set()
        shelf, bell = Shelf(), FakeBell(self.board.bells)
        senders: Any = _Senders(process)
        tools: Any = None
        ledger: Any = WatchedLedger(process)
        leases = FakeLeases(self.board, process.name)
        outside = Outside(ledger, leases, bell, shelf, senders, tools, lambda event, detail: self.tell(f"{process.name} {event} {detail}"))
        through: Any = Through(process, ledger), Through(process, leases)
        ported = replace(outside, ledger=through[0], leases=through[1])
        delivery = join_delivery(ported, Bench(FormatShelf(), Open(), process))
        delivery.turns.random = self.dice.random
        if "quiet" in self.without:
            delivery.shards.quiet_until = lambda shard, longest_s: float("-inf")  # type: ignore[method-assign]
        if "poll" in self.without:
            delivery.lanes.poll = lambda: asyncio.sleep(0)  # type: ignore[method-assign]
        nothing: Any = Nothing()
        node = Node(
            ported.leases, delivery, nothing, nothing, bell, shelf, process, lambda: process.reach(self._read), _no, _fine, (), outside.tell, alone=False
        )
        process.node = node
        self.processes.append(process)
        self.tell(f"{process.name} starts")
        self.stores.add(asyncio.ensure_future(_patiently(node.start)))
        return process

    async def _read(self) -> Snapshot:
        return Snapshot(version=self.board.catalogue, destinations=dict(self.destinations), lanes=dict(self.lanes))

    @property
    def running(self) -> list[Process]:
        """The nodes that are not dead."""
        return [process for process in self.processes if not process.dead]

    def kill(self, process: Process) -> None:
        """It is gone without a word; what it wrote is under way all the same."""
        self.tell(f"{process.name} dies")
        process.dead = True
        process.thawed.clear()
        node = process.node
        assert node is not None
        for task in [*node._tasks, *node.delivery.turns._tasks, *([node._handing] if node._handing else [])]:
            task.cancel()
        node.delivery.lanes.close()
        node.delivery.rings.close()
        self.board.bells.bells = [bell for bell in self.board.bells.bells if bell is not node.bell]


class _Senders:
    def __init__(self, process: Process) -> None:
        self._process = process

    def sender(self, destination: Destination, tools: object) -> Line:
        return Line(self._process, destination)


async def _no() -> bool:
    return False


async def _fine() -> None:
    return None


async def _patiently(work: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            return await work()
        except StoreLost:
            await asyncio.sleep(0.3)

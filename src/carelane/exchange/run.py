"""Runs thousands of lanes: cheap objects, no task for an idle one, bounded work per destination, strict order in each lane."""

import asyncio
import heapq
import random
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from carelane.domain.delivery import Entry, LaneRow, Settlement, Verdict
from carelane.domain.endpoint import Destination, Route
from carelane.domain.errors import Misconfigured, StoreLost
from carelane.domain.ids import DestinationId, LaneId
from carelane.exchange.lane import Attempt, Bench, attempt
from carelane.exchange.ports import Catalogue, Leases, Ledger, Sender, Tools, Transports
from carelane.exchange.retry import delay_s, horizon_passed
from carelane.kit.batcher import Batcher

WINDOW, WINDOW_BYTES = 32, 1024 * 1024
_STEPS_IN_A_TURN = 64
_DEFAULT_CONCURRENCY = 32
_DONE = (Verdict.DELIVERED, Verdict.FILTERED)


@dataclass(slots=True)
class Lane:
    """A lane in memory: its cursors and read-ahead. ``busy`` while queued at its destination or being worked on."""

    id: LaneId
    shard: int
    epoch: int
    head: int
    tail: int
    attempts: int
    held: bool
    paused: bool
    failing_since: datetime | None
    not_before: float
    busy: bool = False
    stale: bool = False
    window: deque[Entry] = field(default_factory=deque)


@dataclass(slots=True)
class Gate:
    """The bulkhead of one destination: how many of its lanes work at once, and who waits."""

    sender: Sender | None
    destination: Destination
    cap: int
    running: int = 0
    waiting: deque[Lane] = field(default_factory=deque)
    trouble: str = ""


class Runner:
    """Owns the lanes of the leased shards and moves them."""

    def __init__(self, ledger: Ledger, leases: Leases, catalogue: Catalogue, transports: Transports, bench: Bench, tools: Tools) -> None:
        self._ledger = ledger
        self._leases = leases
        self._catalogue = catalogue
        self._transports = transports
        self._bench = bench
        self._tools = tools
        self._clock = bench.clock
        self._lanes: dict[LaneId, Lane] = {}
        self._gates: dict[DestinationId, Gate] = {}
        self._timers: list[tuple[float, int]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._lost: set[LaneId] = set()
        self._stopping = False
        self._claims: Batcher[tuple[LaneId, int], list[Entry]] = Batcher(self._claim, most=64)
        self._settlements: Batcher[Settlement, bool] = Batcher(self._settle, most=512)

    @property
    def lanes(self) -> int:
        """How many lanes are ours."""
        return len(self._lanes)

    def load(self, rows: Iterable[LaneRow], quiet_until: Mapping[int, float] | None = None) -> None:
        """Take over lanes, or refresh them from the store; a lane at work is refreshed after its step."""
        for row in rows:
            lane = self._lanes.get(row.id)
            if lane is not None and lane.busy:
                lane.stale = True
                continue
            self._place(row, (quiet_until or {}).get(row.shard, 0.0))

    def _place(self, row: LaneRow, quiet: float) -> None:
        wait = (row.next_attempt_at - self._clock.now()).total_seconds() if row.next_attempt_at else 0.0
        lane = Lane(
            row.id,
            row.shard,
            row.epoch,
            row.head_seq,
            row.tail_seq,
            row.attempts,
            row.held is not None,
            row.paused is not None,
            row.failing_since,
            max(quiet, self._clock.monotonic() + wait),
        )
        self._lanes[row.id] = lane
        self._schedule(lane)

    def drop(self, shards: set[int]) -> None:
        """Give up the lanes of shards that are not ours any more; what is in flight cannot be settled by us."""
        for identity in [lane.id for lane in self._lanes.values() if lane.shard in shards]:
            del self._lanes[identity]

    def ring(self, tails: Mapping[LaneId, int]) -> None:
        """Messages were queued: wake their lanes. A lane that is not ours is somebody else's to wake."""
        for identity, tail in tails.items():
            lane = self._lanes.get(identity)
            if lane is not None and tail > lane.tail:
                lane.tail = tail
                self._schedule(lane)

    async def refresh(self, ids: Sequence[LaneId]) -> None:
        """Read lanes afresh after an operator's verb or a refused settle."""
        self.load(await self._leases.lanes(ids))

    async def catalogue_changed(self) -> None:
        """Rebuild senders whose destination changed, and look at every lane again."""
        snapshot = self._catalogue.snapshot
        for identity, gate in list(self._gates.items()):
            if snapshot.destinations.get(identity) != gate.destination:
                del self._gates[identity]
                for lane in gate.waiting:
                    lane.busy = False
                if gate.sender is not None:
                    await gate.sender.close()
        for lane in self._lanes.values():
            self._schedule(lane)

    async def heal(self) -> None:
        """Take up lanes again that stopped because the store was away."""
        if self._lost:
            ids = list(self._lost)
            rows = await self._leases.lanes(ids)
            self._lost.difference_update(ids)
            self.load(rows)

    async def drain(self, grace_s: float, cut: asyncio.Event | None = None) -> list[str]:
        """Start nothing more; let what is in flight end, then close senders. Return the lanes whose sends were cut off instead."""
        self._stopping = True
        if self._timer is not None:
            self._timer.cancel()
        await self._in_flight(grace_s, cut or asyncio.Event())
        lanes = sorted(task.get_name() for task in self._tasks if task.get_name().startswith("lane_"))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._settlements.close()
        await asyncio.gather(*(gate.sender.close() for gate in self._gates.values() if gate.sender is not None))
        return lanes

    async def _in_flight(self, grace_s: float, cut: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        waits = {loop.create_task(_all(self._tasks)), loop.create_task(_is_set(cut))}
        await asyncio.wait(waits, timeout=grace_s, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()

    def _schedule(self, lane: Lane) -> None:
        if lane.busy or lane.held or lane.paused or lane.head >= lane.tail or self._stopping or lane.id in self._lost:
            return
        route = self._catalogue.snapshot.lanes.get(lane.id)
        if route is None or route.paused:
            return
        if lane.not_before > self._clock.monotonic():
            self._wake_at(lane.not_before, lane.id)
            return
        gate = self._gate(route)
        if gate is None:
            return
        lane.busy = True
        gate.waiting.append(lane)
        self._pump(gate)

    def _pump(self, gate: Gate) -> None:
        while gate.waiting and gate.running < gate.cap and not self._stopping:
            lane = gate.waiting.popleft()
            gate.running += 1
            task = asyncio.get_running_loop().create_task(self._turn(lane, gate), name=f"lane_{lane.id}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _turn(self, lane: Lane, gate: Gate) -> None:
        """Work on a lane for a while, then let the next one of the same destination have its turn."""
        try:
            for _ in range(_STEPS_IN_A_TURN):
                if not await self._step(lane, gate):
                    break
        except StoreLost:
            lane.window.clear()
            self._lost.add(lane.id)
        finally:
            gate.running -= 1
            lane.busy = False
            if lane.stale:
                self._reread(lane)
            elif self._lanes.get(lane.id) is lane:
                self._schedule(lane)
            self._pump(gate)

    def _reread(self, lane: Lane) -> None:
        lane.stale = False
        lane.window.clear()
        self._lost.add(lane.id)
        task = asyncio.get_running_loop().create_task(self._heal_quietly())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _heal_quietly(self) -> None:
        try:
            await self.heal()
        except StoreLost:
            return  # still in the lost set: the beat tries again

    async def _step(self, lane: Lane, gate: Gate) -> bool:
        """Deliver the head; say whether the next one may follow at once."""
        route = self._catalogue.snapshot.lanes.get(lane.id)
        if self._stopping or lane.stale or route is None or route.paused or lane.head >= lane.tail or gate.sender is None:
            return False
        entry = await self._head(lane)
        if entry is None:
            return False
        source = self._catalogue.snapshot.sources.get(route.source_id)
        tried = await attempt(self._bench, entry, route, source, gate.destination, gate.sender, lane.attempts + 1)
        return await self._conclude(lane, route, entry, tried)

    async def _head(self, lane: Lane) -> Entry | None:
        while lane.window and lane.window[0].seq <= lane.head:
            lane.window.popleft()
        if not lane.window:
            lane.window.extend(await self._claims.submit((lane.id, lane.head)))
        if lane.window and lane.window[0].seq == lane.head + 1:
            return lane.window[0]
        lane.stale = True  # the log has no such entry: our cursor is not the store's any more
        return None

    async def _conclude(self, lane: Lane, route: Route, entry: Entry, tried: Attempt) -> bool:
        verdict, reason, next_at = tried.judgement.verdict, tried.judgement.reason, None
        now = self._clock.now()
        if verdict is Verdict.AGAIN:
            since = lane.failing_since or now
            if horizon_passed((now - since).total_seconds(), route.retry_for_s):
                verdict, reason = Verdict.HELD, f"retried for {route.retry_for_s / 86400:g} days without success; last: {reason}"
            else:
                wait = delay_s(lane.attempts + 1, tried.judgement.retry_after_s, random.random)
                next_at = now + timedelta(seconds=wait)
                lane.not_before = self._clock.monotonic() + wait
        settlement = Settlement(lane.id, entry.seq, lane.epoch, verdict, next_at, reason[:500] or None, tried.took_ms, tried.detail)
        if not await self._settlements.submit(settlement):
            lane.stale = True
            return False
        if verdict in _DONE:
            lane.head, lane.attempts, lane.failing_since, lane.not_before = entry.seq, 0, None, 0.0
            lane.window.popleft()
            return True
        lane.attempts += 1
        lane.failing_since = lane.failing_since or now
        lane.held = verdict is Verdict.HELD
        return False

    async def _claim(self, wanted: Sequence[tuple[LaneId, int]]) -> Sequence[list[Entry]]:
        found = await self._ledger.claim(wanted, WINDOW, WINDOW_BYTES)
        return [found.get(lane, []) for lane, _ in wanted]

    async def _settle(self, batch: Sequence[Settlement]) -> Sequence[bool]:
        ours = await self._ledger.settle(batch, self._clock.now())
        return [item.lane_id in ours for item in batch]

    def _gate(self, route: Route) -> Gate | None:
        gate = self._gates.get(route.destination_id)
        if gate is None:
            destination = self._catalogue.snapshot.destinations.get(route.destination_id)
            if destination is None or not destination.enabled:
                return None
            cap = destination.settings.get("concurrency")
            gate = Gate(None, destination, cap if isinstance(cap, int) else _DEFAULT_CONCURRENCY)
            try:
                gate.sender = self._transports.sender(destination, self._tools)
            except Misconfigured as error:
                gate.trouble = str(error)
            self._gates[route.destination_id] = gate
        return gate if gate.sender is not None else None

    def _wake_at(self, when: float, lane: LaneId) -> None:
        heapq.heappush(self._timers, (when, lane))
        if self._timers[0][0] == when:
            self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        wait = max(0.0, self._timers[0][0] - self._clock.monotonic())
        self._timer = asyncio.get_running_loop().call_later(wait + 0.001, self._fire)

    def _fire(self) -> None:
        self._timer = None
        now = self._clock.monotonic()
        while self._timers and self._timers[0][0] <= now:
            _, identity = heapq.heappop(self._timers)
            lane = self._lanes.get(LaneId(identity))
            if lane is not None:
                self._schedule(lane)
        if self._timers and not self._stopping:
            self._arm()


async def _all(tasks: Iterable[asyncio.Task[None]]) -> None:
    await asyncio.shield(asyncio.gather(*tasks, return_exceptions=True))


async def _is_set(event: asyncio.Event) -> None:
    await event.wait()

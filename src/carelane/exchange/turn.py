"""A lane's turn at its destination: claim the head, attempt it, settle it; then the next. Every outcome is a verdict."""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from carelane.domain.delivery import Entry, Judgement, Settlement, Tried, Verdict
from carelane.domain.endpoint import Route
from carelane.domain.errors import StoreLost, Unstorable
from carelane.domain.ids import LaneId
from carelane.exchange.attempt import Bench, Finished, Prepared, attempt, prepare, prepare_apart, quick, storable
from carelane.exchange.gates import Gate, Gates
from carelane.exchange.lane import Lane
from carelane.exchange.lanes import Lanes
from carelane.exchange.pace import QUICK_MS
from carelane.exchange.ports import Catalogue, Ledger, SenderOfMany
from carelane.exchange.retry import delay_s, horizon_passed
from carelane.exchange.shards import Shards
from carelane.exchange.together import attempt_together, may_join
from carelane.kit.batcher import Batcher

Tell = Callable[[str, str], None]
WINDOW, WINDOW_BYTES = 32, 1024 * 1024
_STEPS_IN_A_TURN = 64
_STORE_AWAY_S = 0.25
_FAULT_S = 5.0


class Turns:
    """Runs the turns of all lanes; claims and settlements of many lanes share their round trips."""

    def __init__(self, ledger: Ledger, bench: Bench, catalogue: Catalogue, shards: Shards, gates: Gates, tell: Tell) -> None:
        self._ledger = ledger
        self._bench = bench
        self._clock = bench.clock
        self._catalogue = catalogue
        self._shards = shards
        self._gates = gates
        self._tell = tell
        self.lanes: Lanes | None = None
        self._tasks: dict[asyncio.Task[None], Lane] = {}
        self._closed = False
        self._claims: Batcher[tuple[LaneId, int], list[Entry]] = Batcher(self._claim, most=64)
        self._settlements: Batcher[Settlement, bool] = Batcher(self._settle, most=512, bisect=(Unstorable,))
        self.random: Callable[[], float] = random.random

    @property
    def running(self) -> int:
        """How many turns there are at this moment."""
        return len(self._tasks)

    def begin(self, lane: Lane, gate: Gate) -> None:
        """Give a lane its turn; ``Lanes`` calls this when the gate lets it in."""
        task = asyncio.get_running_loop().create_task(self._turn(lane, gate))
        self._tasks[task] = lane
        task.add_done_callback(lambda done: self._ended(done, lane, gate))

    async def close(self, grace_s: float, cut: asyncio.Event | None = None) -> list[LaneId]:
        """Begin nothing more; let what is in flight end and be settled. What is not by then is cut: return its lanes."""
        self._closed = True
        stop = asyncio.get_running_loop().create_task((cut or asyncio.Event()).wait())
        until = self._clock.monotonic() + grace_s
        while self._tasks and not stop.done() and (wait := until - self._clock.monotonic()) > 0:
            await asyncio.wait({*self._tasks, stop}, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
        left = sorted(lane.id for lane in self._tasks.values())
        for task in (stop, *self._tasks):
            task.cancel()
        await asyncio.gather(stop, *self._tasks, return_exceptions=True)
        return left

    def _ended(self, task: "asyncio.Task[None]", lane: Lane, gate: Gate) -> None:
        del self._tasks[task]
        if self.lanes is not None:
            self.lanes.ended(lane, gate)

    async def _turn(self, lane: Lane, gate: Gate) -> None:
        """Work on a lane for a while, then let the next one of the same destination have its turn."""
        try:
            for _ in range(_STEPS_IN_A_TURN):
                if not await self._step(lane, gate):
                    return
        except StoreLost:
            lane.stale = True
            await self._clock.sleep(_STORE_AWAY_S)
        except Exception as error:  # a fault of ours: told, and not repeated in a hurry; the lane is read again before anything more is sent
            lane.stale = True
            self._tell("turn.failed", f"lane_{lane.id}: {type(error).__name__}")
            await self._clock.sleep(_FAULT_S)

    async def _step(self, lane: Lane, gate: Gate) -> bool:
        """Deliver the head; say whether the next one may follow at once."""
        route = self._catalogue.snapshot.lanes.get(lane.id)
        if lane.head >= lane.tail or route is None or not self._may_begin(lane, gate, route):
            return False
        entry = await self._head(lane)
        if isinstance(entry, Finished):
            return await self._conclude(lane, route, [entry])
        if entry is None or not self._may_begin(lane, gate, route):
            return False
        finished = await self._attempt(lane, gate, route, entry)
        return False if finished is None else await self._conclude(lane, route, finished)

    def _may_begin(self, lane: Lane, gate: Gate, route: Route) -> bool:
        barred = self._closed or (self.lanes is not None and lane.shard in self.lanes.barred)
        current = self._catalogue.snapshot.lanes.get(lane.id) is route and not route.paused and self._gates.of(route) is gate
        return current and not barred and not lane.stale and self._permitted(lane, gate)

    def _permitted(self, lane: Lane, gate: Gate) -> bool:
        """Asked before each send, and again by the sender at the last moment: is this lane ours, and this the address?"""
        return gate.open and not lane.dead and self._shards.ours(lane.shard, lane.epoch)

    async def _head(self, lane: Lane) -> Entry | Finished | None:
        window = lane.window
        while window and window[0].seq <= lane.head:
            window.popleft()
        if not window:
            try:
                window = deque(await self._claims.submit((lane.id, lane.head)))
            except StoreLost:
                raise
            except Exception as error:
                return _unreadable(lane, f"the store could not read it ({type(error).__name__})")
            if lane.dead:
                return None
            lane.window = window
        if window and window[0].seq == lane.head + 1:
            return window[0]
        lane.window = None
        return _unreadable(lane, f"the log has no delivery number {lane.head + 1}")

    async def _attempt(self, lane: Lane, gate: Gate, route: Route, entry: Entry) -> list[Finished] | None:
        """Send the head, and what may go together with it; while its answer is under way, convert the one behind it."""
        source = self._catalogue.snapshot.sources.get(route.source_id)
        ready, lane.ahead = lane.ahead, None
        if ready is None or not ready.fits(entry, route, source, gate.destination):
            ready = await prepare_apart(self._bench, entry, route, source, gate.destination)
        if gate.many is not None and may_join(ready) and len(ready.done.bodies) <= gate.many.most_at_once:
            return await self._together(lane, gate, gate.many, await self._joined(lane, ready, gate.many.most_at_once))
        sending = self._alone(lane, gate, ready)
        following = lane.window[1] if lane.window and len(lane.window) > 1 and ready.done.bodies else None
        if following is None or not quick(self._bench, following, route, source, gate.destination):
            return await sending
        task = asyncio.get_running_loop().create_task(sending)
        try:
            await asyncio.sleep(0)
            lane.ahead = self._ahead(following, route, gate)
            return await task
        finally:
            task.cancel()

    async def _alone(self, lane: Lane, gate: Gate, ready: Prepared) -> list[Finished] | None:
        found = await attempt(self._bench, ready, gate.sender, gate.longest_s, lane.tries + 1, lambda: self._permitted(lane, gate))
        return None if found is None else [found]

    async def _joined(self, lane: Lane, first: Prepared, most: int) -> list[Prepared]:
        """Convert what may go together with the head, up to what its sender takes at once."""
        batch, parcels = [first], len(first.done.bodies)
        for entry in list(lane.window or ())[1:]:
            await asyncio.sleep(0)
            ready = await prepare_apart(self._bench, entry, first.route, first.source, first.destination)
            parcels += len(ready.done.bodies)
            if parcels > most or not may_join(ready):
                break
            batch.append(ready)
        return batch

    async def _together(self, lane: Lane, gate: Gate, sender: SenderOfMany, batch: list[Prepared]) -> list[Finished] | None:
        if not self._may_begin(lane, gate, batch[0].route):
            return None
        return await attempt_together(self._bench, batch, sender, gate.longest_s, lane.tries + 1, lambda: self._permitted(lane, gate))

    def _ahead(self, entry: Entry, route: Route, gate: Gate) -> Prepared:
        return prepare(self._bench, entry, route, self._catalogue.snapshot.sources.get(route.source_id), gate.destination)

    async def _conclude(self, lane: Lane, route: Route, finished: list[Finished]) -> bool:
        """Settle what was tried: all but the last were delivered; say whether the next may follow at once."""
        last, now, next_at = finished[-1], self._clock.now(), None
        attempts, tries, since = (0, 0, now) if len(finished) > 1 else (lane.attempts, lane.tries, lane.failing_since or now)
        tried = self._within_horizon(last, route, since)
        if tried.verdict is Verdict.AGAIN:
            wait = delay_s(attempts + 1, last.judgement.retry_after_s, self.random)
            next_at, lane.not_before = now + timedelta(seconds=wait), self._clock.monotonic() + wait
        told = (*(one.tried for one in finished[:-1]), tried)
        if not await self._settled(Settlement(lane.id, lane.epoch, lane.head, lane.tries, told, next_at)):
            lane.stale = True
            return False
        lane.quick = tried.done and tried.took_ms <= QUICK_MS
        if self.lanes is not None and lane.quick:
            self.lanes.pace.went(len(finished))
        if tried.done:
            lane.head, lane.attempts, lane.tries, lane.failing_since, lane.not_before = tried.seq, 0, 0, None, 0.0
            return True
        lane.head, lane.attempts, lane.tries, lane.failing_since = tried.seq - 1, attempts + 1, tries + 1, since
        lane.held, lane.window, lane.ahead = tried.verdict is Verdict.HELD, None, None  # it may wait long: memory is for those who move
        return False

    def _within_horizon(self, last: Finished, route: Route, since: datetime) -> Tried:
        """Return the record of an attempt; one that failed once too often holds its lane."""
        tried = last.tried
        if tried.verdict is not Verdict.AGAIN or not horizon_passed((self._clock.now() - since).total_seconds(), route.retry_for_s):
            return tried
        reason = f"retried for {route.retry_for_s / 86400:g} days without success; last: {tried.reason}"
        return Tried(tried.seq, Verdict.HELD, storable(reason), tried.took_ms, tried.detail)

    async def _settled(self, settlement: Settlement) -> bool:
        """Record what happened, however long the store is away: what was answered must not be sent again because nobody wrote it down.

        Sent again after an unknown commit a settlement finds the lane moved, changes nothing, and the lane is read.
        """
        bare = False
        while True:
            try:
                return await self._settlements.submit(settlement)
            except StoreLost:
                await self._clock.sleep(_STORE_AWAY_S)
            except Exception as error:
                if bare:
                    raise
                settlement, bare = _bare(settlement, error), True

    async def _claim(self, wanted: Sequence[tuple[LaneId, int]]) -> Sequence[list[Entry]]:
        found = await self._ledger.claim(wanted, WINDOW, WINDOW_BYTES)
        return [found.get(lane, []) for lane, _ in wanted]

    async def _settle(self, batch: Sequence[Settlement]) -> Sequence[bool]:
        recorded = await self._ledger.settle(batch, self._clock.now())
        return [(item.lane_id, item.epoch, item.head) in recorded for item in batch]


def _unreadable(lane: Lane, reason: str) -> Finished:
    return Finished(Judgement(Verdict.HELD, reason), Tried(lane.head + 1, Verdict.HELD, reason))


def _bare(settlement: Settlement, error: Exception) -> Settlement:
    """The store refuses these very values: the verdict counts, what was told about it goes."""
    last = settlement.tried[-1]
    told = Tried(last.seq, last.verdict, f"what was told of this attempt could not be stored ({type(error).__name__})", last.took_ms)
    return replace(settlement, tried=(*settlement.tried[:-1], told))

"""The lanes of this node: thousands of cheap objects, no task for an idle one. Rows come here from take-overs, rings and polls alike."""

import asyncio
import heapq
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from carelane.domain.delivery import Entry, LaneRow
from carelane.domain.ids import LaneId
from carelane.exchange.gates import Gate, Gates
from carelane.exchange.lane import Lane
from carelane.exchange.pace import Pace
from carelane.exchange.ports import Catalogue, Leases
from carelane.exchange.shards import Shards
from carelane.kit.clock import Clock

Start = Callable[[Lane, Gate], None]
_SHARDS_AT_ONCE = 64


class Lanes:
    """Adopts what is held with the same epoch, wakes what has something to send, and lets go of what was lost."""

    def __init__(self, leases: Leases, shards: Shards, catalogue: Catalogue, gates: Gates, clock: Clock, start: Start) -> None:
        self._leases = leases
        self._shards = shards
        self._catalogue = catalogue
        self._gates = gates
        self._clock = clock
        self._start = start
        self._lanes: dict[LaneId, Lane] = {}
        self._ending: dict[LaneId, Lane] = {}
        self._parked: set[LaneId] = set()
        self._unread: set[LaneId] = set()
        self._reading = asyncio.Lock()
        self._alarms: list[tuple[float, LaneId]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = float("inf")
        self.barred: frozenset[int] = frozenset()
        """Shards on which nothing new begins: they are about to be given back."""
        self.to_read = asyncio.Event()
        """Set while lanes wait to be read afresh."""
        self.closed = False
        self.pace = Pace(clock)

    def __len__(self) -> int:
        return len(self._lanes)

    @property
    def alarms(self) -> int:
        """How many alarms are kept."""
        return len(self._alarms)

    def of(self, shards: Iterable[int]) -> list[Lane]:
        """Return the lanes of these shards that are at work, dead ones that are still ending among them."""
        wanted = set(shards)
        return [lane for kept in (self._lanes, self._ending) for lane in kept.values() if lane.shard in wanted and lane.busy]

    async def look(self, ids: Sequence[LaneId]) -> None:
        """Read these afresh: after a ring, a verb, or when it is not known what the store has. Raises ``StoreLost``."""
        async with self._reading:  # so that no older row is believed after a newer one
            self._reconcile(await self._leases.lanes(ids))

    async def adopt(self, shards: Sequence[int]) -> None:
        """Read every lane of shards that were just taken. Raises ``StoreLost``."""
        await self._read_all(shards, self._leases.lanes_of)

    async def poll(self) -> None:
        """Find what moved without a ring. Raises ``StoreLost``."""
        await self._read_all(list(self._shards), self._leases.stirred)

    async def _read_all(self, shards: Sequence[int], read: Callable[[Sequence[int]], Awaitable[Sequence[LaneRow]]]) -> None:
        """A few shards at a time: the rows of thousands of lanes at once would hold everybody else up."""
        for at in range(0, len(shards), _SHARDS_AT_ONCE):
            async with self._reading:
                self._reconcile(await read(shards[at : at + _SHARDS_AT_ONCE]))

    async def read_again(self) -> None:
        """Wait until lanes are in doubt, and read them. Raises ``StoreLost``: then they stay in doubt, and nothing is sent on them."""
        await self.to_read.wait()
        wanted = sorted(self._unread)
        async with self._reading:
            self._reconcile(await self._leases.lanes(wanted), sure=True)
        self._unread.difference_update(wanted)
        if not self._unread:
            self.to_read.clear()

    def ring(self, tails: Mapping[LaneId, int], fresh: Callable[[LaneId], Sequence[Entry]] | None = None) -> list[LaneId]:
        """Messages were added, some of which are at hand: wake their lanes; return those that are not known here."""
        unknown = []
        for identity, tail in tails.items():
            lane = self._lanes.get(identity)
            if lane is None:
                unknown.append(identity)
            elif tail > lane.tail:
                if lane.quick:
                    self.pace.came(tail - lane.tail)
                if fresh is not None and lane.keeps_up:
                    lane.hand(fresh(identity))
                lane.tail = tail
                self.wake(lane)
        return unknown

    def doubt(self, ids: Iterable[LaneId]) -> None:
        """Have these read again soon."""
        self._unread.update(ids)
        if self._unread:
            self.to_read.set()

    def drop(self, shards: Iterable[int]) -> None:
        """These are not ours any more. What is in flight cannot be settled by us; it must end before its lane is taken up again."""
        lost = set(shards)
        for lane in [lane for lane in self._lanes.values() if lane.shard in lost]:
            self._kill(lane)

    def catalogue_changed(self) -> None:
        """Turn away who waits at a closed gate, and look again at every lane that waited for the catalogue."""
        for lane in self._gates.follow():
            lane.busy = False
            self._parked.add(lane.id)
            self._let_go(lane)
        parked, self._parked = self._parked, set()
        self._wake_all(parked)

    def wake_all(self) -> None:
        """Look at every lane: the lease holds again, or a bar was lifted."""
        self._wake_all(self._lanes)

    def wake(self, lane: Lane) -> None:
        """Let a lane go to its gate if there is something to send, now or when its time comes."""
        if lane.idle or self.closed or lane.shard in self.barred or not self._shards.ours(lane.shard, lane.epoch):
            return
        route = self._catalogue.snapshot.lanes.get(lane.id)
        gate = self._gates.of(route) if route is not None and not route.paused else None
        if gate is None:
            self._parked.add(lane.id)
            return
        begin = max(lane.not_before, self._shards.quiet_until(lane.shard, gate.longest_s))
        if begin > self._clock.monotonic():
            self._wake_at(begin, lane)
            return
        lane.busy = True
        gate.waiting.append(lane)
        self.pump(gate)

    def pump(self, gate: Gate) -> None:
        """Start as many of the lanes that wait at a gate as it lets in."""
        while gate.open and gate.waiting and gate.running < gate.cap and not self.closed:
            lane = gate.waiting.popleft()
            if lane.dead or lane.shard in self.barred:
                lane.busy = False
                self._let_go(lane)
                continue
            gate.running += 1
            self._start(lane, gate)

    def ended(self, lane: Lane, gate: Gate) -> None:
        """A lane's turn is over."""
        lane.busy = False
        self._gates.left(gate)
        self._let_go(lane)
        if lane.stale and not lane.dead:
            self.doubt([lane.id])
        else:
            self.wake(lane)
        self.pump(gate)

    def close(self) -> None:
        """Start nothing more."""
        self.closed = True
        if self._timer is not None:
            self._timer.cancel()

    def _reconcile(self, rows: Iterable[LaneRow], *, sure: bool = False) -> None:
        """``sure`` says that the rows were read after their lanes came into doubt: no other row may end a doubt."""
        for row in rows:
            lane = self._lanes.get(row.id)
            if lane is not None and lane.epoch != row.epoch:
                if row.epoch < lane.epoch:
                    continue  # read before it was fenced for us
                self._kill(lane)
                lane = None
            if row.epoch != self._shards.epoch(row.shard):
                continue  # another node's, or not yet known to be ours: the beat will tell
            if lane is None:
                self._place(row)
            else:
                self._refresh(lane, row, sure)

    def _place(self, row: LaneRow) -> None:
        if row.id in self._ending:  # its predecessor's send is still under way
            self._ending[row.id].stale = True
            return
        lane = Lane(row.id, row.shard, row.epoch, 0, 0, 0, 0, held=False, paused=False, failing_since=None, not_before=0.0)
        lane.take(row, self._not_before(row))
        self._lanes[row.id] = lane
        self.wake(lane)

    def _refresh(self, lane: Lane, row: LaneRow, sure: bool) -> None:
        lane.tail = max(lane.tail, row.tail_seq)
        if lane.busy:
            stands = (row.held is not None, row.paused is not None) != (lane.held, lane.paused)
            lane.stale = lane.stale or stands or (row.head_seq, row.tries) > lane.at
            return
        if sure if lane.stale else (row.head_seq, row.tries) >= lane.at:
            lane.take(row, self._not_before(row))
        self.wake(lane)

    def _not_before(self, row: LaneRow) -> float:
        wait = (row.next_attempt_at - self._clock.now()).total_seconds() if row.next_attempt_at else 0.0
        return self._clock.monotonic() + wait

    def _kill(self, lane: Lane) -> None:
        lane.dead, lane.window, lane.ahead = True, None, None
        self._lanes.pop(lane.id, None)
        if lane.busy:
            self._ending[lane.id] = lane

    def _let_go(self, lane: Lane) -> None:
        if lane.dead and self._ending.get(lane.id) is lane:
            del self._ending[lane.id]
            if lane.stale:
                self.doubt([lane.id])

    def _wake_all(self, ids: Iterable[LaneId]) -> None:
        for lane in [self._lanes[identity] for identity in ids if identity in self._lanes]:
            self.wake(lane)

    def _wake_at(self, when: float, lane: Lane) -> None:
        if lane.alarm is not None and lane.alarm <= when:
            return
        lane.alarm = when
        heapq.heappush(self._alarms, (when, lane.id))
        if when < self._timer_at:
            self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = self._alarms[0][0]
        wait = max(0.0, self._timer_at - self._clock.monotonic())
        self._timer = asyncio.get_running_loop().call_later(wait + 0.001, self.ring_alarms)

    def ring_alarms(self) -> None:
        """Wake the lanes whose time has come."""
        self._timer, self._timer_at = None, float("inf")
        now = self._clock.monotonic()
        while self._alarms and self._alarms[0][0] <= now:
            when, identity = heapq.heappop(self._alarms)
            lane = self._lanes.get(identity)
            if lane is not None and lane.alarm == when:
                lane.alarm = None
                self.wake(lane)
        if self._alarms and not self.closed:
            self._arm()

"""A ledger in memory: the same behaviour as PostgreSQL's, kept honest by the same suite."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from carelane.domain.delivery import Entry, LaneRow, Settlement, Tried, Verdict
from carelane.domain.ids import LaneId, OrgId
from carelane.domain.message import Incoming

_SENDER, _RECEIVER = OrgId(1), OrgId(2)


@dataclass(frozen=True, slots=True)
class FakeStoredReply:
    """What an earlier copy was answered, and what it was."""

    message_id: UUID
    org_id: OrgId
    key_id: int
    reply: bytes
    body_sha256: bytes


@dataclass(frozen=True, slots=True)
class FakeAppended:
    """The outcome of an append."""

    duplicates: dict[UUID, FakeStoredReply]
    tails: dict[LaneId, int]


@dataclass
class FakeLane:
    """One lane's row."""

    org_id: OrgId = _SENDER
    dest_org_id: OrgId = _RECEIVER
    shard: int = 0
    epoch: int = 1
    tail: int = 0
    head: int = 0
    attempts: int = 0
    tries: int = 0
    held: str | None = None
    paused: str | None = None
    next_at: datetime | None = None
    failing_since: datetime | None = None

    def settle(self, item: Settlement, now: datetime) -> bool:
        """Record attempts if the lane is as whoever tried believed it."""
        if (self.epoch, self.head, self.tries) != (item.epoch, item.head, item.tries):
            return False
        last = item.tried[-1]
        self.head += item.taken
        if last.done:
            self.attempts, self.tries, self.failing_since = 0, 0, None
        else:
            fresh = item.taken > 0
            self.attempts, self.tries = (1, 1) if fresh else (self.attempts + 1, self.tries + 1)
            self.failing_since = now if fresh else self.failing_since or now
        self.next_at = item.next_attempt_at if last.verdict is Verdict.AGAIN else None
        self.held = last.reason if last.verdict is Verdict.HELD else self.held
        return True

    def release(self) -> None:
        """Let the head be tried again now."""
        self.held, self.attempts, self.next_at, self.failing_since = None, 0, None, None

    def row(self, identity: LaneId) -> LaneRow:
        """Return the lane as leases would."""
        return LaneRow(identity, self.org_id, self.dest_org_id, int(identity), self.shard, self.epoch, self.tail, self.head, self.attempts, self.tries,
                       self.next_at, self.held, self.paused, self.failing_since)  # fmt: skip


@dataclass
class FakeLedger:
    """Everything in dictionaries; ``attempts`` is the log a checker reads."""

    lanes: dict[LaneId, FakeLane] = field(default_factory=dict)
    messages: dict[UUID, Incoming] = field(default_factory=dict)
    deliveries: dict[tuple[LaneId, int], UUID] = field(default_factory=dict)
    dedup: dict[tuple[int, bytes], UUID] = field(default_factory=dict)
    attempts: list[tuple[LaneId, Tried]] = field(default_factory=list)

    async def append(self, batch: Sequence[Incoming]) -> FakeAppended:
        """Store and queue."""
        duplicates: dict[UUID, FakeStoredReply] = {}
        tails: dict[LaneId, int] = {}
        for item in batch:
            earlier = self.dedup.setdefault((item.source_id, item.dedup_key), item.id)
            if earlier != item.id:
                stored = self.messages[earlier]
                duplicates[item.id] = FakeStoredReply(earlier, stored.org_id, stored.key_id, stored.reply, stored.body_sha256)
                continue
            self.messages[item.id] = item
            for lane in item.lanes:
                tails |= self._queue(LaneId(lane), item.id)
        return FakeAppended(duplicates, tails)

    async def claim(self, wanted: Sequence[tuple[LaneId, int]], most: int, most_bytes: int) -> dict[LaneId, list[Entry]]:
        """Read the next entries."""
        return {lane: self._entries(lane, after, most) for lane, after in wanted}

    async def settle(self, batch: Sequence[Settlement], today: datetime) -> set[tuple[LaneId, int, int]]:
        """Record attempts and move cursors, fenced."""
        recorded = set()
        for item in batch:
            if self.lanes[item.lane_id].settle(item, today):
                recorded.add((item.lane_id, item.epoch, item.head))
                self.attempts += [(item.lane_id, tried) for tried in item.tried]
        return recorded

    def rows(self) -> list[LaneRow]:
        """Return the lanes as leases would."""
        return [lane.row(identity) for identity, lane in self.lanes.items()]

    def _queue(self, identity: LaneId, message: UUID) -> dict[LaneId, int]:
        lane = self.lanes.get(identity)
        if lane is None:
            return {}
        lane.tail += 1
        self.deliveries[identity, lane.tail] = message
        return {identity: lane.tail}

    def _entries(self, lane: LaneId, after: int, most: int) -> list[Entry]:
        last = min(self.lanes[lane].tail, after + most)
        return [Entry.of(lane, seq, self.messages[self.deliveries[lane, seq]]) for seq in range(after + 1, last + 1)]

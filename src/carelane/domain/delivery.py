"""One message on one lane, its attempts, and the verdict each attempt ends in."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from carelane.domain.endpoint import SHARDS
from carelane.domain.ids import LaneId, OrgId
from carelane.domain.message import Incoming


class Verdict(StrEnum):
    """How an attempt ended."""

    DELIVERED = "delivered"
    FILTERED = "filtered"
    AGAIN = "again"
    HELD = "held"


class Entry(NamedTuple):
    """A queued delivery with the message it carries, as the lane reads it: body still sealed."""

    lane_id: LaneId
    seq: int
    message_id: UUID
    org_id: OrgId
    source_id: int
    received_at: datetime
    queued_at: datetime
    body: bytes
    key_id: int
    test: bool
    format: str
    data_model: str

    @classmethod
    def of(cls, lane: LaneId, seq: int, item: Incoming) -> "Entry":
        """Return what the log has under this number after that message was queued."""
        told = item.heading
        return cls(
            lane,
            seq,
            item.id,
            item.org_id,
            item.source_id,
            item.received_at,
            item.received_at,
            item.body,
            item.key_id,
            told.get("test") is True,
            str(told.get("format")),
            str(told.get("dataModel")),
        )


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a reply, or the lack of one, means for the head of a lane.

    ``retry_after_s`` is the far side's own wish; ``reason`` names the next move and never quotes content.
    ``ambiguous`` marks bytes that were written without an answer: the far side may have them.
    """

    verdict: Verdict
    reason: str = ""
    retry_after_s: float | None = None
    ambiguous: bool = False


@dataclass(frozen=True, slots=True)
class Tried:
    """The record of one finished attempt: which delivery, its verdict, how long it took, its sealed detail."""

    seq: int
    verdict: Verdict
    reason: str | None = None
    took_ms: int = 0
    detail: bytes | None = None

    @property
    def done(self) -> bool:
        """Whether the cursor moves past it."""
        return self.verdict in DONE


DONE = frozenset({Verdict.DELIVERED, Verdict.FILTERED})
"""The verdicts after which the next delivery of the lane may begin."""


@dataclass(frozen=True, slots=True)
class Settlement:
    """Judged attempts of one lane on their way into the store.

    ``epoch``, ``head`` and ``tries`` say what the lane looked like to whoever tried: where the store sees it otherwise, nothing is recorded.
    ``tried`` begins at ``head + 1`` and has no gap; all but its last are done.
    """

    lane_id: LaneId
    epoch: int
    head: int
    tries: int
    tried: tuple[Tried, ...]
    next_attempt_at: datetime | None = None

    @property
    def taken(self) -> int:
        """How many deliveries the cursor moves past."""
        return len(self.tried) if self.tried[-1].done else len(self.tried) - 1


@dataclass(frozen=True, slots=True)
class LaneRow:
    """A lane as the store knows it."""

    id: LaneId
    org_id: OrgId
    dest_org_id: OrgId
    subscription_id: int
    shard: int
    epoch: int
    tail_seq: int
    head_seq: int
    attempts: int
    tries: int
    next_attempt_at: datetime | None
    held: str | None
    paused: str | None
    failing_since: datetime | None = None

    @property
    def pending(self) -> int:
        """How many deliveries wait, the head included."""
        return self.tail_seq - self.head_seq


@dataclass(frozen=True, slots=True)
class Holding:
    """A leased shard. ``cut_s``: seconds since a former owner that went without a word may last have begun a send; None when there is none to wait for."""

    epoch: int
    cut_s: float | None = None
    used: bool = False
    """Whether lanes lie in it."""


@dataclass(frozen=True, slots=True)
class Shares:
    """A number of shards: those with lanes, and empty ones. Each kind is shared out by itself."""

    used: int = 0
    empty: int = 0

    def __bool__(self) -> bool:
        return self.used > 0 or self.empty > 0


EVERY = Shares(SHARDS, SHARDS)
"""As many as there are."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a node stands after a beat: what it holds, how many nodes live, its place among them, and how many shards nobody live holds."""

    held: Mapping[int, Holding]
    live: int = 1
    rank: int = 0
    free: Shares = Shares()
    used: int = 0
    """How many shards have lanes, whoever holds them."""
    catalogue: int = 0
    """Version of the catalogue at that moment."""

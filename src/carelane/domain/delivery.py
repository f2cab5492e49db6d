"""One message on one lane, its attempts, and the verdict each attempt ends in."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from carelane.domain.ids import LaneId, OrgId


class Verdict(StrEnum):
    """How an attempt ended."""

    DELIVERED = "delivered"
    FILTERED = "filtered"
    AGAIN = "again"
    HELD = "held"


@dataclass(frozen=True, slots=True)
class Entry:
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
class Settlement:
    """A judged attempt on its way into the store."""

    lane_id: LaneId
    seq: int
    epoch: int
    verdict: Verdict
    next_attempt_at: datetime | None
    reason: str | None
    took_ms: int
    detail: bytes | None


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
    next_attempt_at: datetime | None
    held: str | None
    paused: str | None
    failing_since: datetime | None = None

    @property
    def pending(self) -> int:
        """How many deliveries wait, the head included."""
        return self.tail_seq - self.head_seq

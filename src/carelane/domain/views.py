"""What people are shown: rows of pages and commands, without content unless they say so."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from carelane.domain.ids import LaneId, OrgId


@dataclass(frozen=True, slots=True)
class Person:
    """Who is signed in, and for which organization they act."""

    id: int
    name: str
    email: str
    org_id: OrgId
    org_name: str
    role: str
    payloads: bool
    orgs: tuple[tuple[int, str], ...] = ()
    environments: Mapping[str, str] = field(default_factory=dict)
    """Environment → engineer, support or viewer."""
    waiting: int = 0
    """Connection requests that owners and admins have to decide."""


@dataclass(frozen=True, slots=True)
class LaneView:
    """A lane as people see it, with the names around it."""

    id: LaneId
    org_id: int
    dest_org_id: int
    name: str
    data_model: str
    environment: str
    source: str
    source_org: str
    destination: str
    dest_org: str
    transport: str
    queued: int
    settled: int
    delivered: int
    attempts: int
    next_attempt_at: datetime | None
    held: str | None
    paused: str | None
    failing_since: datetime | None
    oldest: datetime | None

    @property
    def pending(self) -> int:
        """How many deliveries wait."""
        return self.queued - self.settled

    @property
    def state(self) -> str:
        """One word: paused, held, retrying, queued or flowing."""
        if self.paused:
            return "paused"
        if self.held:
            return "held"
        if self.attempts:
            return "retrying"
        return "queued" if self.pending > 1 else "flowing"


@dataclass(frozen=True, slots=True)
class MessageView:
    """A line of the message list; no content."""

    id: UUID
    org_id: OrgId
    source_id: int
    source: str
    received_at: datetime
    heading: dict[str, Any]
    replay_of: UUID | None = None
    key_id: int = 0
    body: bytes | None = b""
    """None when it was dropped: what messages hold is kept for a shorter time than what is told about them."""
    reply: bytes | None = None
    format: str = ""
    environment: str = ""


@dataclass(frozen=True, slots=True)
class AttemptView:
    """One try, its detail still sealed."""

    n: int
    at: datetime
    verdict: str
    took_ms: int | None
    reason: str | None
    detail: bytes | None


@dataclass(frozen=True, slots=True)
class DeliveryView:
    """A message on one lane."""

    lane_id: int
    seq: int
    queued_at: datetime
    name: str
    data_model: str
    destination: str
    dest_org_id: int
    state: str
    attempts: list[AttemptView] = field(default_factory=list)
    again: bool = False
    """Whether the message was on this lane before: this delivery is a replay."""


@dataclass(frozen=True, slots=True)
class Search:
    """What to look for. ``tokens`` are keyed hashes of a patient id, order number or control id; ``before`` pages back;
    ``environments`` None means all of them."""

    data_model: str | None = None
    source_id: int | None = None
    tokens: tuple[int, ...] = ()
    environments: tuple[str, ...] | None = None
    before: UUID | None = None
    most: int = 50


@dataclass(frozen=True, slots=True)
class InboxItem:
    """One received message."""

    delivery_id: str
    message_id: UUID
    at: datetime
    content_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Opened:
    """A message with its content, as someone with the right to it sees it; the view is in the audit trail."""

    message: MessageView
    deliveries: list[DeliveryView]
    raw: bytes | None
    reply: bytes | None
    details: dict[tuple[int, int, int], dict[str, Any]]

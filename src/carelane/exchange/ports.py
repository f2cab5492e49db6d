"""What the journey asks of the outside: the store, formats, transports. One contract a protocol, written for its implementers."""

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from carelane.domain.delivery import Entry, Judgement, LaneRow, Settlement
from carelane.domain.endpoint import Destination, Snapshot, Source
from carelane.domain.ids import DestinationId, LaneId, OrgId, SourceId
from carelane.domain.message import Converted, Document, Heading, Incoming, Issue, Outcome, Problem, Reason, Receipt
from carelane.kit.clock import Clock
from carelane.kit.http import Guard, HttpClient


class StoredReplyLike(Protocol):
    """An earlier answer, sealed."""

    @property
    def message_id(self) -> UUID: ...  # noqa: D102
    @property
    def org_id(self) -> OrgId: ...  # noqa: D102
    @property
    def key_id(self) -> int: ...  # noqa: D102
    @property
    def reply(self) -> bytes: ...  # noqa: D102


class AppendedLike(Protocol):
    """The outcome of an append."""

    @property
    def duplicates(self) -> Mapping[UUID, StoredReplyLike]: ...  # noqa: D102
    @property
    def tails(self) -> Mapping[LaneId, int]: ...  # noqa: D102


class Ledger(Protocol):
    """The truth about messages and deliveries. Each call is one transaction; ``StoreLost`` means its outcome is unknown."""

    async def append(self, batch: Sequence[Incoming]) -> AppendedLike:
        """Called by ingest, one batch at a time, before any reply. Stores and queues all of it, or none."""
        ...

    async def requeue(self, message_id: UUID, lanes: Sequence[int], today: datetime) -> Mapping[LaneId, int]:
        """Called by replay: queues a stored message again at the tail of lanes; returns the new tails."""
        ...

    async def claim(self, wanted: Sequence[tuple[LaneId, int]], most: int, most_bytes: int) -> Mapping[LaneId, list[Entry]]:
        """Called by lanes that ran out of read-ahead: the next entries of each, after the given number."""
        ...

    async def settle(self, batch: Sequence[Settlement], today: datetime) -> set[LaneId]:
        """Called after attempts: records them and moves cursors. A lane missing from the result is not ours any more."""
        ...


class ShardLike(Protocol):
    """A leased shard."""

    @property
    def number(self) -> int: ...  # noqa: D102
    @property
    def epoch(self) -> int: ...  # noqa: D102
    @property
    def quiet_until(self) -> datetime: ...  # noqa: D102


class Leases(Protocol):
    """Which lanes are ours to send."""

    async def take(self, longest_send_s: float, *, alone: bool) -> tuple[Sequence[ShardLike], Sequence[LaneRow]]:
        """Called at start and on every beat: leases what is free. Nothing may be sent on a shard before its ``quiet_until``."""
        ...

    async def renew(self, shards: Sequence[int]) -> set[int]:
        """Called on every beat; a shard missing from the result is lost."""
        ...

    async def give_back(self) -> None:
        """Called after a graceful drain, when nothing is being sent."""
        ...

    async def lanes(self, ids: Sequence[LaneId]) -> Sequence[LaneRow]:
        """Read lanes afresh, after a ring or when a settle was refused."""
        ...

    async def stirred(self, shards: Sequence[int]) -> Sequence[LaneRow]:
        """Read every lane of ours that holds something: the slow poll behind lost rings."""
        ...


class Sealer(Protocol):
    """Encryption at rest, bound to organization, message and kind."""

    def seal(self, org: OrgId, thing: UUID, kind: str, plain: bytes) -> tuple[int, bytes]:
        """Encrypt; return the key's id and the sealed value."""
        ...

    def unseal(self, org: OrgId, thing: UUID, kind: str, key_id: int, sealed: bytes) -> bytes:
        """Decrypt."""
        ...

    def token(self, org: OrgId, kind: str, value: str) -> int:
        """Return the search token of a value."""
        ...


class Format(Protocol):
    """Words: the five verbs, and splitting of batches. Pure; called on every message."""

    @property
    def content_type(self) -> str:
        """What bodies of this format are, for the wire."""
        ...

    def split(self, raw: bytes) -> list[bytes]:
        """Return the messages in a body or frame, as read or as written."""
        ...

    def peek(self, raw: bytes, settings: Mapping[str, Any]) -> Heading:
        """Read the heading, cheaply; raises ``Unreadable``."""
        ...

    def read(self, raw: bytes, settings: Mapping[str, Any]) -> list[Converted]:
        """Convert into documents; raises ``Unreadable``, or ``Unmappable`` where a map does not allow it."""
        ...

    def explain(self, raw: bytes, settings: Mapping[str, Any]) -> list[list[Reason]]:
        """Say for each document which row made each value; empty for a format that is not mapped by rows. Raises ``Unreadable``."""
        ...

    def write(self, document: Document, settings: Mapping[str, Any], message_id: str, came: object = None) -> tuple[bytes, list[Issue]]:
        """Write a document: one body, or several that ``split`` tells apart. ``came``: see ``Converted``. Raises ``Unmappable``."""
        ...

    def quick(self, settings: Mapping[str, Any], size: int) -> bool:
        """Called before ``read`` and ``write``: whether so many bytes are converted in moments. If not, call them off the event loop."""
        ...

    def acknowledge(self, raw: bytes, outcome: Outcome, problem: Problem | None, now: datetime, reply_id: str) -> bytes:
        """Write the answer to a sender; empty when the message asks for none."""
        ...

    def judge(self, sent: bytes, reply: bytes, settings: Mapping[str, Any]) -> Judgement:
        """Say what a receiver's answer means."""
        ...


@dataclass(frozen=True, slots=True)
class Parcel:
    """A body on its way to a destination. ``delivery_id`` never changes over retries."""

    delivery_id: str
    message_id: UUID
    attempt: int
    body: bytes
    content_type: str
    test: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back. ``judgement`` is the transport's own (a status code); None asks the format to judge the body."""

    body: bytes = b""
    judgement: Judgement | None = None
    summary: str = ""


class NotSent(Exception):
    """Provably nothing reached the far side: refused connection, unknown name, guard. The text never quotes content."""


class Ambiguous(Exception):
    """Bytes were written and no answer came: the far side may have them."""


class Sender(Protocol):
    """Delivers to one destination; made once, used by all its lanes, possibly at the same time."""

    @property
    def longest_s(self) -> float:
        """No send of this destination takes longer; take-over waits that long."""
        ...

    async def send(self, parcel: Parcel) -> Reply:
        """Deliver one parcel within ``longest_s``. Raises ``NotSent`` or ``Ambiguous``; anything else counts as ambiguous."""
        ...

    async def reset(self) -> None:
        """Close what is open: called when an answer did not fit its question."""
        ...

    async def close(self) -> None:
        """Close for good."""
        ...


class Accept(Protocol):
    """The one way in. Never raises for a bad message: the receipt says what to answer."""

    def __call__(self, source: SourceId, raw: bytes, *, format: str | None = None, key: str | None = None) -> Coroutine[Any, Any, Receipt]:
        """Hand in what a source sent; ``key`` is the sender's idempotency key."""
        ...


class Listener(Protocol):
    """Waits for what sources send. One per source; opened when the source appears, closed when it goes."""

    async def start(self) -> None:
        """Open the port; raises ``Misconfigured`` with the operator's next move when it cannot."""
        ...

    async def stop(self) -> None:
        """Take nothing more, answer what was taken, close."""
        ...


@dataclass(frozen=True)
class Tools:
    """What a plug-in may use of the hub."""

    http: HttpClient
    guard: Guard
    clock: Clock
    put_in_inbox: Callable[[OrgId, DestinationId, str, UUID, str, bytes], Awaitable[None]]


class Transports(Protocol):
    """The shelf: makes senders and listeners by the name of their transport."""

    def sender(self, destination: Destination, tools: Tools) -> Sender:
        """Make a sender; raises ``Misconfigured``."""
        ...

    def listener(self, source: Source, accept: Accept, tools: Tools) -> Listener | None:
        """Make a listener; None when the transport's sources need none of their own. Raises ``Misconfigured``."""
        ...


class Formats(Protocol):
    """The shelf of formats."""

    def __getitem__(self, name: str) -> Format:
        """Return a format; raises ``Misconfigured`` for an unknown one."""
        ...


class Catalogue(Protocol):
    """The snapshot in memory; replaced as a whole when the catalogue changes."""

    @property
    def snapshot(self) -> Snapshot:
        """The catalogue as it is now."""
        ...

"""What the journey asks of the outside: the store, formats, transports. One contract a protocol, written for its implementers."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, runtime_checkable
from uuid import UUID

from carelane.domain.delivery import Entry, Judgement, LaneRow, Settlement, Shares, Standing
from carelane.domain.endpoint import Destination, Snapshot, Source
from carelane.domain.ids import DestinationId, LaneId, OrgId, SourceId
from carelane.domain.message import (
    NOWHERE,
    PLAIN,
    Arrival,
    Converted,
    Document,
    Heading,
    Incoming,
    Issue,
    Leftovers,
    Origin,
    Outcome,
    Problem,
    Reason,
    Receipt,
)
from carelane.kit.clock import Clock
from carelane.kit.http import Guard, HttpClient
from carelane.kit.room import Rooms


class StoredReplyLike(Protocol):
    """An earlier answer, sealed, with the digest of the message it answered."""

    @property
    def message_id(self) -> UUID: ...  # noqa: D102
    @property
    def org_id(self) -> OrgId: ...  # noqa: D102
    @property
    def key_id(self) -> int: ...  # noqa: D102
    @property
    def reply(self) -> bytes: ...  # noqa: D102
    @property
    def body_sha256(self) -> bytes: ...  # noqa: D102


class AppendedLike(Protocol):
    """The outcome of an append."""

    @property
    def duplicates(self) -> Mapping[UUID, StoredReplyLike]: ...  # noqa: D102
    @property
    def tails(self) -> Mapping[LaneId, int]: ...  # noqa: D102


class Ledger(Protocol):
    """The truth about messages and deliveries. Each call is one transaction; ``StoreLost`` means its outcome is unknown,
    ``Unstorable`` that it did nothing because of some value it was given."""

    async def append(self, batch: Sequence[Incoming]) -> AppendedLike:
        """Called by ingest, one batch at a time, before any reply. Stores and queues all of it, in its order, or none."""
        ...

    async def claim(self, wanted: Sequence[tuple[LaneId, int]], most: int, most_bytes: int) -> Mapping[LaneId, list[Entry]]:
        """Called by lanes that ran out of read-ahead: the next entries of each, after the given number."""
        ...

    async def settle(self, batch: Sequence[Settlement], today: datetime) -> set[tuple[LaneId, int, int]]:
        """Called after attempts: records them and moves cursors; returns (lane, epoch, head) of what was recorded.

        What is missing from the result changed nothing: the lane looks otherwise in the store, and must be read again.
        """
        ...


class Leases(Protocol):
    """Which lanes are this node's to send. Every call may raise ``StoreLost``: then its outcome is unknown."""

    async def renew(self) -> Standing:
        """Called at start, on every beat and after a take. What no other node took meanwhile is still held, however late the call comes."""
        ...

    async def take(self, most: Shares, *, alone: bool) -> int:
        """Called when a share is not full: takes up to so many shards of each kind that no live node holds and raises their epoch; returns how many."""
        ...

    async def give_back(self, shards: Sequence[int]) -> None:
        """Called to make room for another node, when nothing is being sent on these shards any more."""
        ...

    async def leave(self) -> None:
        """Called after a graceful drain: gives everything back."""
        ...

    async def lanes(self, ids: Sequence[LaneId]) -> Sequence[LaneRow]:
        """Read lanes afresh, after a ring or when a settlement was refused."""
        ...

    async def lanes_of(self, shards: Sequence[int]) -> Sequence[LaneRow]:
        """Read every lane of shards that were just taken."""
        ...

    async def stirred(self, shards: Sequence[int]) -> Sequence[LaneRow]:
        """Read every lane of shards that holds something or stands still: the slow poll behind lost rings."""
        ...


class Bell(Protocol):
    """Carries hints between nodes and from people's verbs; may lose them, never invents state. What it lost, the poll finds."""

    catalogue: asyncio.Event
    """Set when sources, destinations, subscriptions or keys changed."""
    shards: asyncio.Event
    """Set when a node came, went, or gave shards back."""
    lanes: "asyncio.Queue[LaneId]"
    """Lanes that a person or a command acted on, or that are new."""
    tails: "asyncio.Queue[tuple[LaneId, int]]"
    """Lanes to which another node added messages, with their last number."""

    @property
    def deaf(self) -> bool:
        """Whether it must be connected again."""
        ...

    async def listen(self) -> None:
        """Connect, or connect again. Sets ``catalogue``: what rang meanwhile was missed."""
        ...

    async def check(self) -> None:
        """Called on every beat: finds out whether the line still carries anything; a dead one is ``deaf`` afterwards."""
        ...

    async def ring(self, tails: Mapping[LaneId, int]) -> None:
        """Tell the other nodes that lanes have new messages."""
        ...

    async def close(self) -> None:
        """Disconnect."""
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

    def split(self, raw: bytes, most: int | None = None) -> list[bytes]:
        """Return the messages in a body or frame, as read or as written. With ``most``, one more than that tells that there are too many."""
        ...

    def peek(self, raw: bytes, settings: Mapping[str, Any]) -> Heading:
        """Read the heading, cheaply; raises ``Unreadable``."""
        ...

    def read(self, raw: bytes, settings: Mapping[str, Any], leftovers: Leftovers = Leftovers.NONE) -> list[Converted]:
        """Convert into documents with the ``leftovers`` asked for; a format without maps has none.

        Raises ``Unreadable``, or ``Unmappable`` where a map does not allow it.
        """
        ...

    def explain(self, raw: bytes, settings: Mapping[str, Any]) -> list[list[Reason]]:
        """Say for each document which row made each value; empty for a format that is not mapped by rows. Raises ``Unreadable``."""
        ...

    def write(self, document: Document, settings: Mapping[str, Any], message_id: str, origin: Origin = NOWHERE) -> tuple[bytes, list[Issue]]:
        """Write a document: one body, or several that ``split`` tells apart. Raises ``Unmappable``."""
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


class NotSent(Exception):
    """Provably nothing reached the far side: refused connection, unknown name, guard. The text never quotes content."""


def _always() -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Parcel:
    """A body on its way to a destination. ``delivery_id`` never changes over retries.

    ``may_leave`` says whether this node still owns the lane. Connecting, signing in and waiting for a free connection take time in which a
    frozen node can lose it, so a sender calls ``leave`` when all of that is done, without an ``await`` between it and the first byte.
    """

    delivery_id: str
    message_id: UUID
    attempt: int
    body: bytes
    content_type: str
    test: bool = False
    may_leave: Callable[[], bool] = _always

    def leave(self) -> None:
        """Called by every sender right before the first byte of the body, or of the request that carries it, is written.

        Raises:
            NotSent: the lane is no longer this node's; nothing may be written.
        """
        if not self.may_leave():
            raise NotSent("the lane is no longer this node's")


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back. ``judgement`` is the transport's own (a status code); None asks the format to judge the body."""

    body: bytes = b""
    judgement: Judgement | None = None
    summary: str = ""


class Ambiguous(Exception):
    """Bytes were written and no answer came: the far side may have them."""


class Sender(Protocol):
    """Delivers to one destination; made once, used by all its lanes, possibly at the same time."""

    @property
    def longest_s(self) -> float:
        """No send takes longer, counting everything: waiting for a free connection, connecting, writing, the answer. Take-over waits that long."""
        ...

    @property
    def concurrency(self) -> int:
        """How many sends may run at once; the hub starts no more. A send too many waits, and was ``NotSent`` when its turn did not come."""
        ...

    async def send(self, parcel: Parcel) -> Reply:
        """Deliver one parcel within ``longest_s``, asking ``parcel.leave`` last. Raises ``NotSent`` or ``Ambiguous``; anything else counts as ambiguous."""
        ...

    async def reset(self) -> None:
        """Close what is open: called when an answer did not fit its question."""
        ...

    async def close(self) -> None:
        """Close for good."""
        ...


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of parcels handed over together: the first ``count`` were taken; ``then`` says what became of the one behind them, if there is one.

    Nothing behind that one was taken either.
    """

    count: int
    then: Judgement | None = None
    summary: str = ""


@runtime_checkable
class SenderOfMany(Sender, Protocol):
    """A sender that takes several deliveries of one lane at once: an object, a table, a transaction. After a crash, all of them may come again."""

    @property
    def most_at_once(self) -> int:
        """How many parcels it takes at once."""
        ...

    async def send_many(self, parcels: Sequence[Parcel]) -> Taken:
        """Deliver parcels, in order, within ``longest_s``, asking ``leave`` of the first one last. Raises ``NotSent`` when none left; what it raises
        besides means that the first one may have been taken, or all of them."""
        ...


class Accept(Protocol):
    """The one way in. Never raises for a bad message: the receipt says what to answer."""

    def __call__(
        self, source: SourceId, raw: bytes, *, format: str | None = None, key: str | None = None, anew: bool = False, arrival: Arrival = PLAIN
    ) -> Coroutine[Any, Any, Receipt]:
        """Hand in what a source sent; ``key`` is the sender's idempotency key, ``anew`` takes even what came before, ``arrival`` says what its
        transport noticed."""
        ...


class Listener(Protocol):
    """Waits for what sources send. One per source; opened when the source appears, closed when it goes.

    It holds no more than it has room for (``Tools.rooms``): who waits for an answer or for room is not read any further.
    """

    async def start(self) -> None:
        """Open the port; raises ``Misconfigured`` with the operator's next move when it cannot.

        Called again, after ``stop``, until it opens. It may be cancelled when it takes too long.
        """
        ...

    async def stop(self) -> None:
        """Take nothing more, answer what was taken, close. Called after a start that failed or was cancelled too: nothing may stay open."""
        ...


def _untold(event: str, detail: str) -> None:
    """Where nobody keeps a log."""


@dataclass(frozen=True)
class Tools:
    """What a plug-in may use of the hub. ``rooms`` is shared by all listeners; ``tell`` writes one event of the log, never content."""

    http: HttpClient
    guard: Guard
    clock: Clock
    put_in_inbox: Callable[[OrgId, DestinationId, Sequence[tuple[str, UUID, str, bytes]]], Awaitable[None]]
    """Keeps items (delivery id, message id, content type, body) in an inbox: all, or none."""
    workers: int = 1
    """How many processes of this machine open the same ports, each taking its share of connections and limits."""
    rooms: Rooms = field(default_factory=Rooms)
    tell: Callable[[str, str], None] = _untold


class Transports(Protocol):
    """The shelf: makes senders and listeners by the name of their transport."""

    def sender(self, destination: Destination, tools: Tools) -> Sender:
        """Make a sender; raises ``Misconfigured``."""
        ...

    def listener(self, source: Source, accept: Accept, tools: Tools) -> Listener | None:
        """Make a listener; None when the transport's sources need none of their own. Raises ``Misconfigured``."""
        ...

    def port_of(self, source: Source) -> int | None:
        """Return the port a source listens on: 0 where the system chooses, None without one. Raises ``Misconfigured`` where it may not."""
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

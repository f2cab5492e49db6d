"""The one way in: draft, append, and only then the reply. From there on nothing can be lost."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from carelane.domain.delivery import Entry
from carelane.domain.endpoint import Snapshot
from carelane.domain.errors import Unavailable, Unstorable
from carelane.domain.ids import LaneId, SourceId
from carelane.domain.message import PLAIN, Arrival, Incoming, Outcome, Problem, Receipt
from carelane.exchange.draft import Draft, Drafts, Handed
from carelane.exchange.lane import MOST_HANDED
from carelane.exchange.ports import AppendedLike, Catalogue, Format, Formats, Ledger, Sealer, StoredReplyLike
from carelane.kit.batcher import Batcher, Closed
from carelane.kit.clock import Clock
from carelane.kit.ids import public, uuid7

MOST_IN_A_COMMIT = 256
MOST_IN_A_BATCH = 2_000
"""How many messages one batch may hold: it is stored in one commit, for which everybody else waits (0.1 s for so many)."""
_DISABLED = Problem("disabled", "This source is unknown or switched off.", "Switch it on under Developer, Sources.", status=403)
_UNAVAILABLE = Problem("unavailable", "The hub cannot store messages right now.", "Send the message again in a moment; it was not taken.", status=503)
_UNSTORABLE = Problem("unstorable", "The database cannot keep what this message says of itself.", "It was kept as it came; tell the hub's operator its id.")
_TOO_MANY = Problem("too-many-messages", f"The batch holds more than {MOST_IN_A_BATCH} messages.", "Send it in several; nothing of it was queued.", status=413)
_KEYED_BATCH = Problem(
    "bad-idempotency-key",
    "An Idempotency-Key speaks for one message, and this body holds several.",
    "Send the batch without the key: a message that came before is recognised by its control id and bytes.",
    "header:Idempotency-Key",
)
_KEY_REUSED = Problem(
    "idempotency-key-reused",
    "This Idempotency-Key came before, with another message.",
    "Use a new key for every message, and the same one only to send the very same bytes again.",
    "header:Idempotency-Key",
    422,
)


_Earlier = StoredReplyLike | None
"""What became of one message of a commit: the reply to an earlier copy, or nothing, for it is new."""

Fresh = Callable[[LaneId], Sequence[Entry]]
"""Returns the first of what was just queued on a lane, as the lane would read it."""


class Ring(Protocol):
    """Wakes lanes."""

    def __call__(self, tails: Mapping[LaneId, int], fresh: Fresh | None = None) -> None:
        """Called after each commit with the last number of each lane, and with a way to the first of what was queued on it."""
        ...


class Ingest:
    """Takes messages from listeners, the API and tests alike."""

    def __init__(
        self,
        ledger: Ledger,
        catalogue: Catalogue,
        formats: Formats,
        sealer: Sealer,
        clock: Clock,
        ring: Ring,
        give_way: Callable[[int], Awaitable[None]] | None = None,
    ) -> None:
        self._ledger = ledger
        self._catalogue = catalogue
        self._formats = formats
        self._sealer = sealer
        self._clock = clock
        self._ring = ring
        self._drafts = Drafts(sealer, clock)
        self._batcher: Batcher[Incoming, _Earlier] = Batcher(
            self._append, most=MOST_IN_A_COMMIT, weigh=lambda item: len(item.body), bisect=(Unstorable,), between=give_way
        )
        self._turns: dict[SourceId, asyncio.Lock] = {}
        self.refusing: Problem | None = None
        """Set while the hub must not take messages (disk nearly full, draining)."""

    async def accept(
        self, source: SourceId, raw: bytes, *, format: str | None = None, key: str | None = None, anew: bool = False, arrival: Arrival = PLAIN
    ) -> Receipt:
        """Store what a source sent and say what to answer.

        What one source hands in is stored in the order of the calls. A batch arrives together: its messages lie side by
        side on every lane, and when one of them is refused none is queued. ``key`` is the sender's idempotency key;
        ``anew`` takes even what came before.
        """
        try:
            return await self._accept(source, raw, format, key, anew=anew, arrival=arrival)
        except Exception as error:  # a fault of ours or of a plug-in is told to this sender and nobody else; its text could quote content
            asyncio.get_running_loop().call_exception_handler({"message": f"ingest failed: {type(error).__name__}"})
            return Receipt(Outcome.UNAVAILABLE, b"", None, _UNAVAILABLE, _UNAVAILABLE.status)

    async def close(self) -> None:
        """Take nothing more; finish what was taken."""
        await self._batcher.close()

    async def _accept(self, source: SourceId, raw: bytes, format: str | None, key: str | None, *, anew: bool, arrival: Arrival) -> Receipt:
        snapshot = self._catalogue.snapshot
        found = snapshot.sources.get(source)
        name = format or (found.format if found else "hl7v2")
        words = self._formats[name]
        if found is None or not found.enabled:
            return self._turned_away(words, [raw], Outcome.REFUSED, _DISABLED)
        if self.refusing is not None:
            return self._turned_away(words, [raw], Outcome.UNAVAILABLE, self.refusing)
        handed, parts = Handed(found, words, name, key, anew, arrival), words.split(raw, MOST_IN_A_BATCH)
        if key is not None and len(parts) > 1:
            return self._turned_away(words, parts[:1], Outcome.REFUSED, _KEYED_BATCH)
        try:
            return await self._take(handed, raw, parts, snapshot)
        except (Unavailable, Closed):
            return self._turned_away(words, parts, Outcome.UNAVAILABLE, _UNAVAILABLE)

    async def _take(self, handed: Handed, raw: bytes, parts: Sequence[bytes], snapshot: Snapshot) -> Receipt:
        """Draft and submit in the order of arrival: nothing is awaited before, unless a batch of this source is still being drafted."""
        turn = self._turns.get(handed.source.id)
        if turn is None and len(parts) == 1:
            return await self._alone(handed, self._drafts.draft(handed, parts[0], snapshot))
        async with turn or self._turns.setdefault(handed.source.id, asyncio.Lock()):
            drafts = await self._drafted(handed, raw, parts, snapshot)
            waiting = self._submit(drafts)
        try:
            landed = await waiting
        except Unstorable:  # what the database refuses can only be the heading: the bytes are kept without it
            drafts = [self._drafts.refused(handed, draft.raw, _UNSTORABLE) for draft in drafts]
            landed = await self._submit(drafts)
        return _joined([self._receipt(handed, draft, one) for draft, one in zip(drafts, landed, strict=True)])

    async def _alone(self, handed: Handed, draft: Draft) -> Receipt:
        try:
            return self._receipt(handed, draft, await self._batcher.submit(draft.item))
        except Unstorable:
            kept = self._drafts.refused(handed, draft.raw, _UNSTORABLE)
            return self._receipt(handed, kept, await self._batcher.submit(kept.item))

    async def _drafted(self, handed: Handed, raw: bytes, parts: Sequence[bytes], snapshot: Snapshot) -> list[Draft]:
        if len(parts) > MOST_IN_A_BATCH:
            return [self._drafts.refused(handed, raw, _TOO_MANY)]
        if len(parts) > 1:
            return await self._drafts.together(handed, parts, snapshot)
        return [self._drafts.draft(handed, parts[0], snapshot)]

    def _submit(self, drafts: Sequence[Draft]) -> "asyncio.Future[list[_Earlier]]":
        return self._batcher.submit_many([draft.item for draft in drafts])

    async def _append(self, batch: Sequence[Incoming]) -> Sequence[_Earlier]:
        done = await self._ledger.append(batch)
        self._ring(done.tails, lambda lane: _fresh(batch, done, lane))
        return [done.duplicates.get(item.id) for item in batch]

    def _receipt(self, handed: Handed, draft: Draft, earlier: _Earlier) -> Receipt:
        problem = draft.problem
        if earlier is None and draft.mute:
            return Receipt(Outcome.UNAVAILABLE, b"", draft.item.id, problem, 500)
        if earlier is None:
            return Receipt(Outcome.REFUSED if problem else Outcome.STORED, draft.reply, draft.item.id, problem, problem.status if problem else 200)
        if handed.key is not None and earlier.body_sha256 != draft.item.body_sha256:
            return self._turned_away(handed.words, [draft.raw], Outcome.REFUSED, _KEY_REUSED)
        told = self._sealer.unseal(earlier.org_id, earlier.message_id, "reply", earlier.key_id, earlier.reply) if earlier.reply else b""
        return Receipt(Outcome.DUPLICATE, told, earlier.message_id)

    def _turned_away(self, words: Format, parts: Sequence[bytes], outcome: Outcome, problem: Problem) -> Receipt:
        """Answer what is not stored at all."""
        now = self._clock.now()
        reply = b"".join(words.acknowledge(part, outcome, problem, now, public("msg", uuid7())) for part in parts)
        return Receipt(outcome, reply, None, problem, problem.status)


def _fresh(batch: Sequence[Incoming], done: AppendedLike, lane: LaneId) -> list[Entry]:
    """Return what was just queued on a lane as it would read it; it numbers that without a gap, in the order of the batch."""
    queued = [item for item in batch if lane in item.lanes and item.id not in done.duplicates]
    first = done.tails[lane] - len(queued) + 1
    return [Entry.of(lane, seq, item) for seq, item in enumerate(queued[:MOST_HANDED], first)]


def _joined(receipts: Sequence[Receipt]) -> Receipt:
    """Answer a batch as one: with every acknowledgement, and what became of it as a whole."""
    if len(receipts) == 1:
        return receipts[0]
    telling = next((one for one in receipts if one.outcome is Outcome.UNAVAILABLE), None)
    telling = telling or next((one for one in receipts if one.problem is not None and one.problem.code != "batch-refused"), receipts[0])
    return Receipt(telling.outcome, b"".join(one.reply for one in receipts), telling.message_id, telling.problem, telling.status)

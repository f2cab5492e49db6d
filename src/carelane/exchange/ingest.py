"""The one way in: peek, route, seal, append, and only then the reply. From there on nothing can be lost."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from carelane.domain.endpoint import Source
from carelane.domain.errors import Unavailable, Unreadable
from carelane.domain.ids import LaneId, OrgId, SourceId
from carelane.domain.message import PLAIN, Arrival, Heading, Incoming, Outcome, Problem, Receipt
from carelane.exchange.ports import Catalogue, Format, Formats, Ledger, Sealer, StoredReplyLike
from carelane.exchange.route import route
from carelane.kit.batcher import Batcher, Closed
from carelane.kit.clock import Clock
from carelane.kit.ids import public, uuid7

MOST_IN_A_BATCH = 256
MOST_IN_A_BODY = 1000
_UNAVAILABLE = Problem("unavailable", "The hub cannot store messages right now.", "Send the message again in a moment; it was not taken.", status=503)
_TOO_MANY = Problem(
    "too-many-messages",
    f"There are more than {MOST_IN_A_BODY} messages in one batch.",
    f"Send at most {MOST_IN_A_BODY} messages at a time; nothing of this batch was taken.",
    status=413,
)


@dataclass(frozen=True, slots=True)
class _Landed:
    """What became of one message of a batch."""

    earlier: StoredReplyLike | None


class Ingest:
    """Takes messages from listeners, the API, replays and tests alike."""

    def __init__(
        self,
        ledger: Ledger,
        catalogue: Catalogue,
        formats: Formats,
        sealer: Sealer,
        clock: Clock,
        ring: Callable[[Mapping[LaneId, int]], None],
    ) -> None:
        self._ledger = ledger
        self._catalogue = catalogue
        self._formats = formats
        self._sealer = sealer
        self._clock = clock
        self._ring = ring
        self._batcher: Batcher[Incoming, _Landed] = Batcher(self._append, most=MOST_IN_A_BATCH, weigh=lambda item: len(item.body))
        self.refusing: Problem | None = None
        """Set while the hub must not take messages (disk nearly full, draining)."""

    async def accept(self, source: SourceId, raw: bytes, *, format: str | None = None, key: str | None = None, arrival: Arrival = PLAIN) -> Receipt:
        """Store what a source sent and say what to answer; a batch is stored message by message and answered as one."""
        found = self._catalogue.snapshot.sources.get(source)
        words = self._formats[format or (found.format if found else "hl7v2")]
        if found is None or not found.enabled:
            problem = Problem("disabled", "This source is unknown or switched off.", "Switch it on under Developer, Sources.", status=403)
            return self._refuse(words, raw, problem)
        if self.refusing is not None:
            return self._unavailable(words, raw, self.refusing)
        name = format or found.format
        parts = words.split(raw, MOST_IN_A_BODY)
        if len(parts) == 1:
            return await self._one(found, words, name, parts[0], key, arrival)
        if len(parts) > MOST_IN_A_BODY:
            return self._refuse(words, raw, _TOO_MANY)
        receipts = [await self._one(found, words, name, part, key and f"{key}/{number}", arrival) for number, part in enumerate(parts)]
        worst = next((one for one in receipts if one.outcome in (Outcome.UNAVAILABLE, Outcome.REFUSED)), receipts[0])
        return Receipt(worst.outcome, b"".join(one.reply for one in receipts), worst.message_id, worst.problem, worst.status)

    async def close(self) -> None:
        """Take nothing more; finish what was taken."""
        await self._batcher.close()

    async def _one(self, source: Source, words: Format, name: str, raw: bytes, key: str | None, arrival: Arrival = PLAIN) -> Receipt:
        heading, readable = self._peek(words, raw, source)
        heading = heading if arrival is PLAIN else arrival.mark(heading)
        routed = route(heading, source, self._catalogue.snapshot) if heading.problem is None else None
        problem = heading.problem or (routed.problem if routed else None)
        outcome = Outcome.REFUSED if problem else Outcome.STORED
        identity, now = uuid7(), self._clock.now()
        nameless = arrival.problem is not None and heading.control_id is None  # a refusal that names no message would answer the next one
        reply = b"" if nameless else words.acknowledge(raw, outcome, problem, now, public("msg", identity))
        item = self._incoming(
            source,
            identity,
            now,
            name,
            heading,
            raw,
            reply,
            () if problem or routed is None else routed.lanes,
            key,
            readable=readable,
            refused=problem is not None,
        )
        try:
            landed = await self._batcher.submit(item)
        except (Unavailable, Closed):
            return self._unavailable(words, raw, _UNAVAILABLE)
        if landed.earlier is not None:
            earlier = landed.earlier
            told = self._sealer.unseal(earlier.org_id, earlier.message_id, "reply", earlier.key_id, earlier.reply) if earlier.reply else b""
            return Receipt(Outcome.DUPLICATE, told, earlier.message_id)
        return Receipt(outcome, reply, identity, problem, problem.status if problem else 200)

    def _peek(self, words: Format, raw: bytes, source: Source) -> tuple[Heading, bool]:
        try:
            return words.peek(raw, source.settings), True
        except Unreadable as error:
            pointer = "It was stored; look at it under Messages, unreadable."
            text = str(error)
            return Heading(problem=Problem("unreadable", text[:1].upper() + text[1:] + ".", pointer)), False

    def _incoming(
        self,
        source: Source,
        identity: UUID,
        now: datetime,
        format: str,
        heading: Heading,
        raw: bytes,
        reply: bytes,
        lanes: Sequence[int],
        key: str | None,
        *,
        readable: bool,
        refused: bool,
    ) -> Incoming:
        org: OrgId = source.org_id
        digest = hashlib.sha256(raw).digest()
        key_id, body = self._sealer.seal(org, identity, "message", raw)
        _, sealed_reply = self._sealer.seal(org, identity, "reply", reply)
        if refused:  # a sender who mends what was wrong and sends again must not get the refusal again
            dedup = identity.bytes
        elif key is not None:
            dedup = hashlib.sha256(b"key|" + key.encode()).digest()
        else:
            dedup = hashlib.sha256((heading.control_id or "").encode() + b"|" + digest).digest()
        return Incoming(
            org_id=org,
            source_id=source.id,
            id=identity,
            received_at=now,
            heading=heading.stored(format),
            readable=readable,
            body=body,
            body_sha256=digest,
            key_id=key_id,
            dedup_key=dedup,
            reply=sealed_reply,
            tokens=tuple(self._sealer.token(org, kind, value) for kind, value in heading.search),
            lanes=tuple(lanes),
        )

    async def _append(self, batch: Sequence[Incoming]) -> Sequence[_Landed]:
        done = await self._ledger.append(batch)
        self._ring(done.tails)
        return [_Landed(done.duplicates.get(item.id)) for item in batch]

    def _refuse(self, words: Format, raw: bytes, problem: Problem) -> Receipt:
        reply = words.acknowledge(raw, Outcome.REFUSED, problem, self._clock.now(), public("msg", uuid7()))
        return Receipt(Outcome.REFUSED, reply, None, problem, problem.status)

    def _unavailable(self, words: Format, raw: bytes, problem: Problem) -> Receipt:
        reply = words.acknowledge(raw, Outcome.UNAVAILABLE, problem, self._clock.now(), public("msg", uuid7()))
        return Receipt(Outcome.UNAVAILABLE, reply, None, problem, 503)

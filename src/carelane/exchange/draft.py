"""What arrived, made ready for the store: looked at, routed, answered, sealed. A batch is judged whole before any of it is stored."""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from carelane.domain.endpoint import Snapshot, Source
from carelane.domain.message import PLAIN, Arrival, Heading, Incoming, Outcome, Problem
from carelane.exchange.peek import Seen, fault, look
from carelane.exchange.ports import Format, Sealer
from carelane.exchange.route import route
from carelane.kit.clock import Clock
from carelane.kit.ids import public, uuid7

_AT_A_TIME = 64


class Handed(NamedTuple):
    """Who hands something in, and how it is to be taken."""

    source: Source
    words: Format
    format: str
    key: str | None
    anew: bool
    arrival: Arrival = PLAIN
    """What its transport noticed."""

    def see(self, seen: Seen) -> Seen:
        """Return what was seen, with what the transport noticed."""
        return seen if self.arrival is PLAIN else Seen(self.arrival.mark(seen.heading), seen.readable)


class Draft(NamedTuple):
    """One message, ready for the store. ``mute``: its format failed to write the answer."""

    raw: bytes
    seen: Seen
    problem: Problem | None
    reply: bytes
    mute: bool
    item: Incoming


@dataclass(frozen=True, slots=True)
class Drafts:
    """Makes drafts; each seals its message for its own organization."""

    sealer: Sealer
    clock: Clock

    def draft(self, handed: Handed, raw: bytes, snapshot: Snapshot) -> Draft:
        """Look at a message, route it, and make it ready."""
        seen = handed.see(look(handed.words, raw, handed.source.settings))
        routed = route(seen.heading, handed.source, snapshot)
        return self._ready(handed, raw, seen, routed.problem, routed.lanes)

    def refused(self, handed: Handed, raw: bytes, problem: Problem) -> Draft:
        """Make ready, for keeping only, what is refused without a look at it."""
        return self._ready(handed, raw, handed.see(Seen(Heading(), readable=False)), problem, ())

    async def together(self, handed: Handed, parts: Sequence[bytes], snapshot: Snapshot) -> list[Draft]:
        """Draft the messages of a batch; when one is refused, all are, each saying why. Large ones hold nobody else up."""
        drafts: list[Draft] = []
        for part in parts:
            drafts.append(self.draft(handed, part, snapshot))
            await _give_way(len(drafts))
        wrong = next((number for number, draft in enumerate(drafts, 1) if draft.problem), None)
        if wrong is None:
            return drafts
        refused: list[Draft] = []
        for number, draft in enumerate(drafts, 1):
            problem = _of_batch(draft.problem, number, wrong, len(drafts))
            refused.append(self._ready(handed, draft.raw, draft.seen, problem, ()))
            await _give_way(number)
        return refused

    def _ready(self, handed: Handed, raw: bytes, seen: Seen, problem: Problem | None, lanes: tuple[int, ...]) -> Draft:
        identity, now, mute = uuid7(), self.clock.now(), False
        try:
            nameless = handed.arrival.problem is not None and seen.heading.control_id is None  # it would answer the next message
            reply = b"" if nameless else handed.words.acknowledge(raw, Outcome.REFUSED if problem else Outcome.STORED, problem, now, public("msg", identity))
        except Exception as error:  # what cannot be answered must not be delivered either: its sender will send it again
            problem, reply, mute = problem or fault("answering", error), b"", True
        heading = replace(seen.heading, problem=problem) if problem else seen.heading
        org, digest = handed.source.org_id, hashlib.sha256(raw).digest()
        key_id, body = self.sealer.seal(org, identity, "message", raw)
        _, sealed_reply = self.sealer.seal(org, identity, "reply", reply)
        item = Incoming(
            org_id=org,
            source_id=handed.source.id,
            id=identity,
            received_at=now,
            heading=heading.stored(handed.format),
            readable=seen.readable,
            body=body,
            body_sha256=digest,
            key_id=key_id,
            # a sender who mends what was wrong and sends again must not get the refusal again
            dedup_key=identity.bytes if problem or handed.anew else _dedup_key(handed.key, heading, digest),
            reply=sealed_reply,
            tokens=tuple(self.sealer.token(org, kind, value) for kind, value in heading.search),
            lanes=() if problem else lanes,
        )
        return Draft(raw, seen, problem, reply, mute, item)


def _dedup_key(key: str | None, heading: Heading, digest: bytes) -> bytes:
    if key is not None:
        return hashlib.sha256(b"key|" + key.encode()).digest()
    return hashlib.sha256((heading.control_id or "").encode() + b"|" + digest).digest()


def _of_batch(own: Problem | None, number: int, wrong: int, count: int) -> Problem:
    """Say of one message of a refused batch what is wrong with it, or with which of the others."""
    if own is None:
        return Problem(
            "batch-refused",
            f"Message {number} of {count} of the batch was not queued, because message {wrong} was refused.",
            f"Mend message {wrong} and send the whole batch again.",
            status=422,
        )
    location = f"/{number - 1}{own.location}" if own.location.startswith("/") else own.location
    return replace(own, text=f"Message {number} of {count} of the batch: {own.text}", location=location)


async def _give_way(done: int) -> None:
    if done % _AT_A_TIME == 0:
        await asyncio.sleep(0)

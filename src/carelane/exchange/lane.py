"""One step of a lane: take the head, transform it, send it, judge the answer. Settling is the runner's."""

import asyncio
from dataclasses import dataclass

import orjson

from carelane.domain.delivery import Entry, Judgement, Verdict
from carelane.domain.endpoint import Destination, Route, Source
from carelane.domain.errors import Misconfigured
from carelane.domain.ids import delivery_id
from carelane.exchange.ports import Ambiguous, Formats, NotSent, Parcel, Sealer, Sender
from carelane.exchange.transform import Transformed, transform
from carelane.kit.clock import Clock
from carelane.kit.seal import Unsealable

_OFF_LOOP_BYTES = 128 * 1024


@dataclass(frozen=True, slots=True)
class Attempt:
    """A finished attempt: its judgement, how long it took, and its sealed detail."""

    judgement: Judgement
    took_ms: int
    detail: bytes | None


@dataclass(frozen=True, slots=True)
class Bench:
    """What a step works with."""

    formats: Formats
    sealer: Sealer
    clock: Clock


async def attempt(bench: Bench, entry: Entry, route: Route, source: Source | None, destination: Destination, sender: Sender, number: int) -> Attempt:
    """Try to deliver one entry; whatever happens becomes a judgement."""
    began = bench.clock.monotonic()
    if entry.test and destination.environment == "production" and not destination.settings.get("allow_test"):
        return Attempt(Judgement(Verdict.FILTERED, "test messages do not reach a production destination"), 0, None)
    try:
        raw = bench.sealer.unseal(entry.org_id, entry.message_id, "message", entry.key_id, entry.body)
    except Unsealable:
        return Attempt(Judgement(Verdict.HELD, "the stored message does not open: its bytes or its key have changed"), 0, None)
    done = await _transformed(bench, raw, entry, route, source, destination)
    if done.failure is not None:
        judgement, summary = Judgement(Verdict.HELD, done.failure), ""
    else:
        judgement, summary = await _send_all(bench, done, entry, destination, sender, number)
    took_ms = int((bench.clock.monotonic() - began) * 1000)
    return Attempt(judgement, took_ms, _detail(bench, entry, done, judgement, summary))


async def _transformed(bench: Bench, raw: bytes, entry: Entry, route: Route, source: Source | None, destination: Destination) -> Transformed:
    """Large messages, and whatever a format does not call quick, are converted off the event loop, so that one of them delays no other lane."""
    if len(raw) > _OFF_LOOP_BYTES or not _quick(bench, len(raw), entry, route, source, destination):
        return await asyncio.to_thread(transform, raw, entry, route, source, destination, bench.formats)
    return transform(raw, entry, route, source, destination, bench.formats)


def _quick(bench: Bench, size: int, entry: Entry, route: Route, source: Source | None, destination: Destination) -> bool:
    try:
        reads = bench.formats[entry.format].quick(route.settings_of(source.settings if source else {}), size)
        return reads and bench.formats[destination.format].quick(route.settings_of(destination.settings), size)
    except Misconfigured:
        return False  # the conversion says so, and holds the lane


async def _send_all(bench: Bench, done: Transformed, entry: Entry, destination: Destination, sender: Sender, number: int) -> tuple[Judgement, str]:
    judgement, summary = Judgement(Verdict.DELIVERED), ""
    for outbound in done.bodies:
        identity = delivery_id(entry.lane_id, entry.seq) + outbound.suffix
        parcel = Parcel(identity, entry.message_id, number, outbound.body, outbound.content_type, entry.test)
        judgement, summary = await _send(bench, parcel, destination, sender)
        if judgement.verdict is not Verdict.DELIVERED:
            break
    return judgement, summary


async def _send(bench: Bench, parcel: Parcel, destination: Destination, sender: Sender) -> tuple[Judgement, str]:
    try:
        async with asyncio.timeout(sender.longest_s + 5):
            reply = await sender.send(parcel)
    except NotSent as error:
        return Judgement(Verdict.AGAIN, f"not sent: {error}"), ""
    except Ambiguous as error:
        return Judgement(Verdict.AGAIN, f"sent, but unanswered: {error}", ambiguous=True), ""
    except TimeoutError:
        await sender.reset()
        return Judgement(Verdict.AGAIN, "sent, but unanswered: the deadline passed", ambiguous=True), ""
    except Exception as error:  # a plug-in's own fault must not stop other lanes; its text could quote content
        return Judgement(Verdict.AGAIN, f"the transport failed unexpectedly ({type(error).__name__})", ambiguous=True), ""
    if reply.judgement is not None:
        return reply.judgement, reply.summary
    judgement = bench.formats[destination.format].judge(parcel.body, reply.body, destination.settings)
    if judgement.ambiguous:
        await sender.reset()
    return judgement, reply.summary


def _detail(bench: Bench, entry: Entry, done: Transformed, judgement: Judgement, summary: str) -> bytes:
    body = orjson.dumps(
        {
            "reply": summary,
            "ambiguous": judgement.ambiguous,
            "issues": [issue.as_json() for issue in done.issues[:200]],
            "issuesCount": len(done.issues),
            "unmapped": done.unmapped[:500],
            "bytes": sum(len(one.body) for one in done.bodies),
        }
    )
    return bench.sealer.seal(entry.org_id, entry.message_id, f"attempt|{entry.lane_id}|{entry.seq}", body)[1]

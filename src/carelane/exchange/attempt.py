"""One attempt: the message is opened and converted, sent, and its answer judged. Whatever happens becomes a judgement."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson

from carelane.domain.delivery import Entry, Judgement, Tried, Verdict
from carelane.domain.endpoint import Destination, Route, Source
from carelane.domain.ids import delivery_id
from carelane.exchange.pipeline import Transformed, transform
from carelane.exchange.ports import Ambiguous, Formats, NotSent, Parcel, Reply, Sealer, Sender
from carelane.kit.clock import Clock
from carelane.kit.seal import Unsealable

OFF_LOOP_BYTES = 128 * 1024
_MOST_REASON = 500

Answered = TypeVar("Answered")


@dataclass(frozen=True, slots=True)
class Bench:
    """What an attempt works with."""

    formats: Formats
    sealer: Sealer
    clock: Clock


@dataclass(frozen=True, slots=True)
class Prepared:
    """A delivery converted for its destination as the catalogue had it then; only as good as these very objects are."""

    entry: Entry
    route: Route
    source: Source | None
    destination: Destination
    done: Transformed

    @property
    def filtered(self) -> bool:
        """Whether it must not reach its destination at all: a test message, and a production destination that takes none."""
        return self.entry.test and self.destination.environment == "production" and not self.destination.settings.get("allow_test")

    def fits(self, entry: Entry, route: Route, source: Source | None, destination: Destination) -> bool:
        """Say whether it was made of the same things: none has changed since."""
        return self.entry is entry and self.route is route and self.source is source and self.destination is destination


@dataclass(frozen=True, slots=True)
class Finished:
    """A finished attempt: its judgement and its record."""

    judgement: Judgement
    tried: Tried


def prepare(bench: Bench, entry: Entry, route: Route, source: Source | None, destination: Destination) -> Prepared:
    """Open and convert; never raises: what fails is kept as the reason."""
    try:
        raw = bench.sealer.unseal(entry.org_id, entry.message_id, "message", entry.key_id, entry.body)
        done = transform(raw, entry, route, source, destination, bench.formats)
    except Unsealable:
        done = Transformed(failure="the stored message does not open: its bytes or its key have changed")
    except Exception as error:  # its text could quote content
        done = Transformed(failure=f"the conversion failed unexpectedly ({type(error).__name__}); the message is safe, report the error with its id")
    return Prepared(entry, route, source, destination, done)


async def prepare_apart(bench: Bench, entry: Entry, route: Route, source: Source | None, destination: Destination) -> Prepared:
    """Convert what is not quick off the event loop, so that it delays no other lane."""
    if quick(bench, entry, route, source, destination):
        return prepare(bench, entry, route, source, destination)
    return await asyncio.to_thread(prepare, bench, entry, route, source, destination)


def quick(bench: Bench, entry: Entry, route: Route, source: Source | None, destination: Destination) -> bool:
    """Say whether converting is a matter of moments: the message is not large, and neither end's format has something to do first."""
    size = len(entry.body)
    if size > OFF_LOOP_BYTES:
        return False
    try:
        reads = bench.formats[entry.format].quick(route.settings_of(source.settings if source else {}), size)
        return reads and bench.formats[destination.format].quick(route.settings_of(destination.settings), size)
    except Exception:  # an unknown format, or a plug-in's own fault: the conversion meets it too, and holds the lane
        return False


async def attempt(bench: Bench, ready: Prepared, sender: Sender, longest_s: float, number: int, may_leave: Callable[[], bool]) -> Finished | None:
    """Try to deliver; return None when the permission to send was withdrawn before anything left."""
    began = bench.clock.monotonic()
    done, summary = ready.done, ""
    if ready.filtered:
        judgement: Judgement | None = Judgement(Verdict.FILTERED, "test messages do not reach a production destination")
    elif done.failure is not None:
        judgement = Judgement(Verdict.HELD, done.failure)
    else:
        judgement, summary = await _send_all(bench, ready, sender, longest_s, number, may_leave)
    if judgement is None:
        return None
    return finish(bench, ready, judgement, summary, began)


def finish(bench: Bench, ready: Prepared, judgement: Judgement, summary: str, began: float) -> Finished:
    """Write down what became of a delivery whose attempt began at this monotonic moment."""
    took_ms = int((bench.clock.monotonic() - began) * 1000)
    tried = Tried(ready.entry.seq, judgement.verdict, storable(judgement.reason) or None, took_ms, _detail(bench, ready, judgement, summary))
    return Finished(judgement, tried)


def storable(text: str) -> str:
    """Return a reason as the store can keep it: no NUL, no half of a surrogate pair, not too long."""
    return text[:_MOST_REASON].replace("\0", "").encode("utf-8", "replace").decode()


async def _send_all(
    bench: Bench, ready: Prepared, sender: Sender, longest_s: float, number: int, may_leave: Callable[[], bool]
) -> tuple[Judgement | None, str]:
    judgement: Judgement | None = Judgement(Verdict.DELIVERED)
    summary = ""
    for parcel in parcels_of(ready, number, may_leave):
        judgement, summary = await _send(bench, parcel, ready.destination, sender, longest_s)
        if judgement is None or judgement.verdict is not Verdict.DELIVERED:
            break
    return judgement, summary


def parcels_of(ready: Prepared, number: int, may_leave: Callable[[], bool]) -> list[Parcel]:
    """Return the bodies of a delivery as they go to its sender; ``number`` says which attempt this is."""
    entry = ready.entry
    name = delivery_id(entry.lane_id, entry.seq)
    return [Parcel(name + one.suffix, entry.message_id, number, one.body, one.content_type, entry.test, may_leave) for one in ready.done.bodies]


async def _send(bench: Bench, parcel: Parcel, destination: Destination, sender: Sender, longest_s: float) -> tuple[Judgement | None, str]:
    if not parcel.may_leave():
        return None, ""
    reply = await sending(sender.send(parcel), sender, longest_s, parcel.may_leave)
    if not isinstance(reply, Reply):
        return reply, ""
    if reply.judgement is not None:
        return reply.judgement, reply.summary
    try:
        judgement = bench.formats[destination.format].judge(parcel.body, reply.body, destination.settings)
    except Exception as error:
        judgement = Judgement(Verdict.AGAIN, f"the answer could not be judged ({type(error).__name__})", ambiguous=True)
    if judgement.ambiguous:
        await _reset(sender, longest_s)
    return judgement, reply.summary


async def sending(send: Coroutine[Any, Any, Answered], sender: Sender, longest_s: float, may_leave: Callable[[], bool]) -> Answered | Judgement | None:
    """Wait for a sender; what it raises becomes a judgement, or None when the permission to send was withdrawn before anything left."""
    try:
        async with asyncio.timeout(longest_s):
            return await send
    except NotSent as error:
        return Judgement(Verdict.AGAIN, f"not sent: {error}") if may_leave() else None
    except Ambiguous as error:
        return Judgement(Verdict.AGAIN, f"sent, but unanswered: {error}", ambiguous=True)
    except TimeoutError:
        await _reset(sender, longest_s)
        return Judgement(Verdict.AGAIN, "sent, but unanswered: the deadline passed", ambiguous=True)
    except Exception as error:  # a plug-in's own fault must not stop other lanes; its text could quote content
        return Judgement(Verdict.AGAIN, f"the transport failed unexpectedly ({type(error).__name__})", ambiguous=True)


async def _reset(sender: Sender, longest_s: float) -> None:
    try:
        async with asyncio.timeout(longest_s):
            await sender.reset()
    except Exception:
        return


def _detail(bench: Bench, ready: Prepared, judgement: Judgement, summary: str) -> bytes | None:
    entry, done = ready.entry, ready.done
    try:
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
    except Exception:
        return None

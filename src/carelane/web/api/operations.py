"""Platform API: lanes, messages, and the dev tools."""

import base64
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Path
from pydantic import Field

from carelane.domain.errors import Conflict
from carelane.domain.ids import LaneId
from carelane.domain.message import Receipt
from carelane.domain.views import DeliveryView, LaneView, MessageView, Opened, Person, Search
from carelane.exchange.hub import Hub
from carelane.web.api.common import Asker, Cursor, DataModel, Limit, Office, after_of, ended, listed, once, paged, refused, router_of
from carelane.web.api.shapes import DestinationId, Line, Listed, MessageId, Shape, SourceId

router = router_of("operations")
LaneNumber = Annotated[int, Path(ge=1, le=2**62, description="The number of the lane.")]


class LaneOut(Shape):
    """The strictly ordered queue of one subscription."""

    lane: int = Field(validation_alias="id")
    name: str
    data_model: str
    environment: str
    source: str
    source_organization: str = Field(validation_alias="source_org")
    destination: str
    destination_organization: str = Field(validation_alias="dest_org")
    method: str = Field(validation_alias="transport")
    state: str = Field(examples=["flowing"])
    queued: int = Field(validation_alias="pending", description="How many deliveries wait.")
    delivered: int
    attempts: int = Field(description="How often its head was tried without success.")
    next_attempt_at: datetime | None
    held: str | None
    paused: str | None
    failing_since: datetime | None
    oldest: datetime | None


class Skip(Shape):
    """Why the head is given up."""

    reason: Line = Field(min_length=1)


class Skipped(Shape):
    """What was skipped."""

    lane: int
    sequence: int


class MessageOut(Shape):
    """A message without content."""

    id: MessageId
    source: str
    environment: str
    received_at: datetime
    data_model: str | None
    event_type: str | None
    control_id: str | None
    format: str | None
    replay_of: MessageId | None
    notes: list[str] = Field(description="What the transport noticed, such as mllp-no-cr: the end block came without its CR.")


class AttemptOut(Shape):
    """One try."""

    number: int
    at: datetime
    verdict: str
    took_ms: int | None
    reason: str | None


class DeliveryOut(Shape):
    """A message on one lane."""

    lane: int
    sequence: int
    subscription: str
    destination: str
    data_model: str
    state: str
    queued_at: datetime
    again: bool = Field(description="Whether it was on this lane before: a replay.")
    attempts: list[AttemptOut]


class MessageWhole(MessageOut):
    """A message with its deliveries, and its content where one has the right to it."""

    deliveries: list[DeliveryOut]
    content: str | None = Field(description="The bytes as they came, base64; null without the right to content, or for the receiving organization.")
    reply: str | None = Field(description="What the sender was answered, base64.")


class Replayed(Shape):
    """On which lanes a message was queued again."""

    lanes: list[int]


class Trial(Shape):
    """A test message."""

    body: str = Field(max_length=1024 * 1024, description="The document, or the raw message, as text.")


class Sent(Shape):
    """A test message on its way."""

    message: MessageId
    reply: str = Field(description="What the source was answered, as text.")


@router.get("/lanes", summary="List lanes", responses=refused(404))
async def list_lanes(hub: Office, person: Asker, limit: Limit = 50, cursor: Cursor = "") -> Listed[LaneOut]:
    """Return lanes at either end of which one's organization stands, by number."""
    return listed(paged(await hub.operations.lanes(person), lambda lane: UUID(int=lane.id), limit, cursor), LaneOut.model_validate)


async def _lane(hub: Hub, person: Person, number: int) -> LaneOut:
    found: LaneView = await hub.operations.lane(person, LaneId(number))
    return LaneOut.model_validate(found)


@router.get("/lanes/{lane}", summary="Read a lane", responses=refused(404))
async def read_lane(lane: LaneNumber, hub: Office, person: Asker) -> LaneOut:
    """Return one lane."""
    return await _lane(hub, person, lane)


@router.post("/lanes/{lane}/pause", summary="Pause a lane", responses=refused(404, 409))
async def pause_lane(lane: LaneNumber, hub: Office, person: Asker) -> LaneOut:
    """Stop sending; messages go on queuing. For support and engineers."""
    await hub.operations.pause(person, LaneId(lane))
    return await _lane(hub, person, lane)


@router.post("/lanes/{lane}/resume", summary="Resume a lane", responses=refused(404, 409))
async def resume_lane(lane: LaneNumber, hub: Office, person: Asker) -> LaneOut:
    """Send again after a pause."""
    await hub.operations.resume(person, LaneId(lane))
    return await _lane(hub, person, lane)


@router.post("/lanes/{lane}/release", summary="Release a held lane", responses=refused(404, 409))
async def release_lane(lane: LaneNumber, hub: Office, person: Asker) -> LaneOut:
    """Try its head again now."""
    await hub.operations.release(person, LaneId(lane))
    return await _lane(hub, person, lane)


@router.post("/lanes/{lane}/skip", summary="Skip the head of a lane", responses=refused(404, 409))
async def skip_head(lane: LaneNumber, why: Skip, hub: Office, person: Asker) -> Skipped:
    """Put the head into the dead letters, with a reason; it can be replayed."""
    return Skipped(lane=lane, sequence=await hub.operations.skip(person, LaneId(lane), why.reason))


@router.get("/messages", summary="Find messages", responses=refused(404))
async def find_messages(
    hub: Office, person: Asker, data_model: DataModel = "", patient: Line = "", order: Line = "", visit: Line = "", control: Line = "",
    limit: Limit = 50, cursor: Cursor = "",
) -> Listed[MessageOut]:  # fmt: skip
    """Return messages sent or received, newest first. Identifiers are looked up by keyed hash, exactly as written."""
    texts = {kind: text for kind, text in (("patient", patient), ("order", order), ("visit", visit), ("control", control)) if text}
    search = Search(data_model=data_model or None, before=after_of(cursor), most=limit + 1)
    return listed(ended(await hub.operations.messages(person, search, texts), lambda one: one.id, limit), _message)


def _message(found: MessageView) -> MessageOut:
    return MessageOut.model_validate(_heading(found))


def _heading(found: MessageView) -> dict[str, Any]:
    heading = found.heading
    return {
        "id": found.id, "source": found.source, "environment": found.environment, "received_at": found.received_at, "data_model": heading.get("dataModel"),
        "event_type": heading.get("eventType"), "control_id": heading.get("controlId"), "format": heading.get("format"), "replay_of": found.replay_of,
        "notes": heading.get("notes", []),
    }  # fmt: skip


@router.get("/messages/{message}", summary="Read a message", responses=refused(404))
async def read_message(message: MessageId, hub: Office, person: Asker) -> MessageWhole:
    """Return one message with its deliveries and attempts. A look at content is audited."""
    found: Opened = await hub.operations.open(person, message)
    return MessageWhole.model_validate(
        {**_heading(found.message), "deliveries": [_delivery(one) for one in found.deliveries], "content": _coded(found.raw), "reply": _coded(found.reply)}
    )


def _coded(raw: bytes | None) -> str | None:
    return base64.b64encode(raw).decode() if raw is not None else None


def _delivery(one: DeliveryView) -> DeliveryOut:
    attempts = [AttemptOut(number=each.n, at=each.at, verdict=each.verdict, took_ms=each.took_ms, reason=each.reason) for each in one.attempts]
    return DeliveryOut(
        lane=one.lane_id, sequence=one.seq, subscription=one.name, destination=one.destination, data_model=one.data_model, state=one.state,
        queued_at=one.queued_at, again=one.again, attempts=attempts,
    )  # fmt: skip


@router.post("/messages/{message}/replay", summary="Replay a message", responses=refused(404, 409))
async def replay_message(message: MessageId, hub: Office, person: Asker) -> Replayed:
    """Queue a stored message again at the tail of its lanes, routed and mapped as if it came today; 409 says why it cannot be."""
    return Replayed(lanes=sorted(await hub.operations.replay(person, message)))


@router.get("/samples/{data_model}/{event_type}", summary="Read a sample document", responses=refused(404))
async def read_sample(data_model: Annotated[str, Path(max_length=100)], event_type: Annotated[str, Path(max_length=100)], hub: Office, _: Asker) -> Trial:
    """Return an invented document of an event type, to edit and send."""
    return Trial(body=hub.devtools.sample(data_model, event_type))


@router.post("/sources/{source}/send", summary="Send a test message", responses=refused(404, 409), dependencies=[Depends(once)])
async def send_test(source: SourceId, trial: Trial, hub: Office, person: Asker) -> Sent:
    """Send as one of one's own sources: it travels, is stored and is delivered like any other."""
    return _sent(await hub.devtools.send(person, source, trial.body))


@router.post("/destinations/{destination}/receive", summary="Have the Engine send a test message", responses=refused(404, 409), dependencies=[Depends(once)])
async def receive_test(destination: DestinationId, trial: Trial, hub: Office, person: Asker) -> Sent:
    """Have Carelane Engine send a document to one of one's own destinations."""
    return _sent(await hub.devtools.receive(person, destination, trial.body))


def _sent(receipt: Receipt) -> Sent:
    if receipt.message_id is None:
        raise Conflict("The hub is not taking messages right now; try again in a moment.")
    return Sent(message=receipt.message_id, reply=receipt.reply.decode("utf-8", "replace"))

"""Platform API: bridges of a source, a destination and a data model."""

from datetime import datetime
from typing import Annotated

from fastapi import Depends, Query, Response
from pydantic import Field

from carelane.domain.office import Filter, Subscription
from carelane.domain.views import Person
from carelane.exchange.hub import Hub
from carelane.web.api.common import Asker, Cursor, DataModel, IfMatch, Limit, Office, after_of, ended, listed, once, refused, router_of, tag, version_of
from carelane.web.api.shapes import ConnectionId, DestinationId, Environment, Line, Listed, Model, Name, OrganizationId, Shape, SourceId, SubscriptionId

router = router_of("subscriptions")


class SubscriptionOut(Shape):
    """A bridge with its queue."""

    id: SubscriptionId = Field(validation_alias="uid")
    name: str
    data_model: str
    environment: str
    state: str = Field(description="proposed, active, paused or ended.", examples=["active"])
    flow: str = Field(description="How it stands, in one word: proposed, paused, draining, suspended, held, retrying, queued, flowing, silent or ended.")
    connection: ConnectionId | None
    partner: str
    partner_id: OrganizationId | None = Field(validation_alias="partner_uid")
    one_party: bool = Field(description="Both ends are one's own.")
    outward: bool = Field(description="One's own organization sends.")
    awaiting_us: bool = Field(validation_alias="awaiting_me", description="Proposed by the other side: an engineer of ours may accept.")
    source: str
    source_id: SourceId = Field(validation_alias="source_uid")
    destination: str
    destination_id: DestinationId = Field(validation_alias="destination_uid")
    lane: int | None = Field(None, validation_alias="lane_id", description="The number of its lane; null before it is accepted.")
    retry_hours: int
    created_at: datetime
    activated_at: datetime | None
    queued: int = Field(validation_alias="pending", description="How many deliveries wait.")
    delivered: int
    oldest: datetime | None = Field(description="When the oldest waiting delivery was queued.")
    delivered_at: datetime | None
    held: str | None = Field(description="Why its lane is held.")
    last_error: str | None = Field(description="Why the last try of its head failed.")
    overlay: str = Field(description="Changes to the maps for this subscription alone, in YAML; empty for none.")


class NewSubscriptions(Shape):
    """One subscription for each data model."""

    source: SourceId
    destination: DestinationId
    data_models: list[Model] = Field(min_length=1, max_length=100)
    name: Line = Field("", description="Made from the data model and the two ends when empty.")
    paused: bool = Field(False, description="Start paused, where it is active at once.")


class SubscriptionChange(Shape):
    """What to change; what is left out stays."""

    name: Name | None = None
    retry_hours: int | None = Field(None, ge=1, le=8760, description="How long a failing head is tried before the lane is held.")
    overlay: Annotated[str, Field(max_length=65536)] | None = Field(
        None, description="Changes to the maps for this subscription alone, in YAML; empty takes them back."
    )


class Ending(Shape):
    """What happens to what is queued."""

    drain: bool = Field(False, description="Deliver what is queued first; else it is kept undelivered.")


async def _one(hub: Hub, person: Person, uid: SubscriptionId, response: Response) -> SubscriptionOut:
    found: Subscription = await hub.subscriptions.one(person, uid)
    tag(response, found.version)
    return SubscriptionOut.model_validate(found)


@router.get("/subscriptions", summary="List subscriptions", responses=refused(404))
async def list_subscriptions(
    hub: Office, person: Asker, text: Annotated[Line, Query(description="Words to find in names, partners, ends, data models.")] = "",
    environment: Environment | None = None, data_model: DataModel = "", state: Line = "", connection: ConnectionId | None = None,
    with_ended: Annotated[bool, Query(alias="ended", description="Ended ones too.")] = False, limit: Limit = 50, cursor: Cursor = "",
) -> Listed[SubscriptionOut]:  # fmt: skip
    """Return the subscriptions of every connection and one's own, in the environments one sees."""
    wanted = Filter(
        text, environment or "", data_model, state, connection, sort="uid", size=limit + 1, ended=with_ended or state == "ended", after=after_of(cursor)
    )
    found = await hub.subscriptions.find(person, wanted)
    return listed(ended(found.rows, lambda one: one.uid, limit), SubscriptionOut.model_validate)


@router.post("/subscriptions", status_code=201, summary="Create subscriptions", responses=refused(404, 409), dependencies=[Depends(once)])
async def create_subscriptions(new: NewSubscriptions, hub: Office, person: Asker) -> Listed[SubscriptionOut]:
    """Create one subscription per data model: active at once where both ends are one's own, else proposed to the other side."""
    made = await hub.subscriptions.create(person, source=new.source, destination=new.destination, models=new.data_models, name=new.name, paused=new.paused)
    return Listed(items=[SubscriptionOut.model_validate(await hub.subscriptions.one(person, uid)) for uid in made])


@router.get("/subscriptions/{subscription}", summary="Read a subscription", responses=refused(404))
async def read_subscription(subscription: SubscriptionId, hub: Office, person: Asker, response: Response) -> SubscriptionOut:
    """Return one subscription with its queue and its ETag."""
    return await _one(hub, person, subscription, response)


@router.patch("/subscriptions/{subscription}", summary="Change a subscription", responses=refused(404, 409, 412))
async def change_subscription(
    subscription: SubscriptionId, change: SubscriptionChange, hub: Office, person: Asker, response: Response, if_match: IfMatch = None
) -> SubscriptionOut:
    """Rename it, say how long a failing head is tried before the lane is held, or change the maps for it alone."""
    await hub.subscriptions.change(person, subscription, name=change.name, retry_hours=change.retry_hours, overlay=change.overlay, version=version_of(if_match))
    return await _one(hub, person, subscription, response)


@router.post("/subscriptions/{subscription}/accept", summary="Accept a proposal", responses=refused(404, 409))
async def accept_subscription(subscription: SubscriptionId, hub: Office, person: Asker, response: Response) -> SubscriptionOut:
    """Say yes to what the other side proposed: it begins to carry data."""
    await hub.subscriptions.accept(person, subscription)
    return await _one(hub, person, subscription, response)


@router.post("/subscriptions/{subscription}/pause", summary="Pause", responses=refused(404, 409))
async def pause_subscription(subscription: SubscriptionId, hub: Office, person: Asker, response: Response) -> SubscriptionOut:
    """Stop delivering; messages go on queuing."""
    await hub.subscriptions.pause(person, subscription)
    return await _one(hub, person, subscription, response)


@router.post("/subscriptions/{subscription}/resume", summary="Resume", responses=refused(404, 409))
async def resume_subscription(subscription: SubscriptionId, hub: Office, person: Asker, response: Response) -> SubscriptionOut:
    """Deliver again after a pause or a drain."""
    await hub.subscriptions.resume(person, subscription)
    return await _one(hub, person, subscription, response)


@router.post("/subscriptions/{subscription}/drain", summary="Drain", responses=refused(404, 409))
async def drain_subscription(subscription: SubscriptionId, hub: Office, person: Asker, response: Response) -> SubscriptionOut:
    """Take nothing new, deliver what is queued, then stand still."""
    await hub.subscriptions.drain(person, subscription)
    return await _one(hub, person, subscription, response)


@router.post("/subscriptions/{subscription}/end", summary="End", responses=refused(404, 409))
async def end_subscription(subscription: SubscriptionId, how: Ending, hub: Office, person: Asker, response: Response) -> SubscriptionOut:
    """End it for good; history stays."""
    await hub.subscriptions.end(person, subscription, drain=how.drain)
    return await _one(hub, person, subscription, response)

"""Platform API: requests, agreements, and the state of connections."""

from datetime import date, datetime
from typing import Annotated, Literal

from fastapi import Depends, Query, Response
from pydantic import Field

from carelane.domain.office import Connection, Offer
from carelane.domain.views import Person
from carelane.exchange.hub import Hub
from carelane.web.api.common import Asker, Cursor, Limit, Office, listed, once, paged, refused, router_of, tag
from carelane.web.api.organizations import Entry, entry
from carelane.web.api.shapes import ConnectionId, Environment, Line, Listed, Model, Name, OrganizationId, Shape, Text, shaped

router = router_of("connections")
State = Literal["requested", "accepted", "connected", "suspended", "ended", "declined", "withdrawn"]


class Models(Shape):
    """Data models in each direction, seen from the organization that asks this API."""

    send: list[Model] = Field(default_factory=list, max_length=200, description="What one's own organization sends.", examples=[["PatientAdmin"]])
    receive: list[Model] = Field(default_factory=list, max_length=200, description="What one's own organization receives.", examples=[["Results"]])


class Partner(Shape):
    """The other side."""

    id: OrganizationId = Field(validation_alias="uid")
    name: str
    kind: str


class ConnectionOut(Shape):
    """A business relationship, as one's own side sees it."""

    id: ConnectionId = Field(validation_alias="uid")
    state: State
    asked_by_us: bool = Field(validation_alias="mine")
    partner: Partner
    purpose: str
    note: str
    environments: list[str]
    target_date: date | None
    requested_by: str = Field(validation_alias="requested_name")
    requested_at: datetime
    decided_by: str = Field(validation_alias="decided_name")
    decided_at: datetime | None
    decision_reason: str
    on_stop: str = Field(description="What happens to queued messages while it is suspended or after it ended: `hold` or `drain`.")
    asked: Models


class Signed(Shape):
    """A line of the agreement record."""

    data_model: str
    sender: str
    receiver: str
    asked_name: str
    signed_name: str
    signed_at: datetime


class ConnectionWhole(ConnectionOut):
    """A connection with its agreement."""

    agreement: list[Signed] = Field(validation_alias="agreed")
    queued: int = Field(description="How many deliveries wait on its lanes.")


class NewRequest(Shape):
    """A request to connect."""

    partner: OrganizationId
    purpose: Name = Field(examples=["Follow-up calls after discharge"])
    models: Models
    environments: list[Environment] = Field(["development"], max_length=3)
    note: Text = ""
    target_date: date | None = None


class Decline(Shape):
    """Why; the other side reads it."""

    reason: Line


class Stopping(Shape):
    """What happens to queued messages."""

    queued: Literal["hold", "drain"] = Field("hold", description="Keep them undelivered, or deliver them first.")


def _offers(models: Models) -> list[Offer]:
    return [Offer(one, outward=True) for one in models.send] + [Offer(one, outward=False) for one in models.receive]


def _out(found: Connection) -> ConnectionOut:
    return shaped(ConnectionOut, found, asked=_asked(found))


def _asked(found: Connection) -> Models:
    return Models(send=[one.data_model for one in found.offers if one.outward], receive=[one.data_model for one in found.offers if not one.outward])


async def _whole(hub: Hub, person: Person, uid: ConnectionId, response: Response) -> ConnectionWhole:
    found = await hub.partners.connection(person, uid)
    tag(response, found.version)
    return shaped(ConnectionWhole, found, asked=_asked(found))


@router.get("/connections", summary="List connections and requests")
async def list_connections(
    hub: Office, person: Asker, state: Annotated[list[State] | None, Query(description="Only these states; all when left out.")] = None,
    limit: Limit = 50, cursor: Cursor = "",
) -> Listed[ConnectionOut]:  # fmt: skip
    """Return connections with every partner; requests are those with `state=requested`."""
    return listed(paged(await hub.partners.connections(person, *(state or ())), lambda one: one.uid, limit, cursor), _out)


@router.post("/connections", status_code=201, summary="Request a connection", responses=refused(404, 409), dependencies=[Depends(once)])
async def request_connection(new: NewRequest, hub: Office, person: Asker, response: Response) -> ConnectionWhole:
    """Ask a listed organization to connect; its owners and admins are told."""
    uid = await hub.partners.request(
        person, new.partner, purpose=new.purpose, offers=_offers(new.models), environments=new.environments, note=new.note, target_date=new.target_date
    )
    return await _whole(hub, person, uid, response)


@router.get("/connections/{connection}", summary="Read a connection", responses=refused(404))
async def read_connection(connection: ConnectionId, hub: Office, person: Asker, response: Response) -> ConnectionWhole:
    """Return one connection with its agreement and how many messages wait."""
    return await _whole(hub, person, connection, response)


@router.get("/connections/{connection}/timeline", summary="Read its timeline", responses=refused(404))
async def read_timeline(connection: ConnectionId, hub: Office, person: Asker) -> Listed[Entry]:
    """Return every move of a connection and of its subscriptions, newest first."""
    await hub.partners.connection(person, connection)
    return Listed(items=[entry(moment) for moment in await hub.partners.timeline(person, connection)])


@router.post("/connections/{connection}/accept", summary="Accept a request", responses=refused(404, 409))
async def accept_request(connection: ConnectionId, hub: Office, person: Asker, response: Response, models: Models | None = None) -> ConnectionWhole:
    """Accept as it is, or with a narrower list of data models; for owners and admins of the partner."""
    await hub.partners.accept(person, connection, _offers(models) if models is not None else None)
    return await _whole(hub, person, connection, response)


@router.post("/connections/{connection}/decline", summary="Decline a request", responses=refused(404, 409))
async def decline_request(connection: ConnectionId, why: Decline, hub: Office, person: Asker, response: Response) -> ConnectionWhole:
    """Decline, with a reason for the other side."""
    await hub.partners.decline(person, connection, why.reason)
    return await _whole(hub, person, connection, response)


@router.post("/connections/{connection}/withdraw", summary="Withdraw one's own request", responses=refused(404, 409))
async def withdraw_request(connection: ConnectionId, hub: Office, person: Asker, response: Response) -> ConnectionWhole:
    """Take back a request that was not decided yet."""
    await hub.partners.withdraw(person, connection)
    return await _whole(hub, person, connection, response)


@router.post("/connections/{connection}/suspend", summary="Suspend a connection", responses=refused(404, 409))
async def suspend_connection(connection: ConnectionId, stop: Stopping, hub: Office, person: Asker, response: Response) -> ConnectionWhole:
    """Take nothing new for a while; what is queued is held or drained."""
    await hub.partners.suspend(person, connection, stop.queued)
    return await _whole(hub, person, connection, response)


@router.post("/connections/{connection}/resume", summary="Resume a connection", responses=refused(404, 409))
async def resume_connection(connection: ConnectionId, hub: Office, person: Asker, response: Response) -> ConnectionWhole:
    """Exchange again after a suspension."""
    await hub.partners.resume(person, connection)
    return await _whole(hub, person, connection, response)


@router.post("/connections/{connection}/end", summary="End a connection", responses=refused(404, 409))
async def end_connection(connection: ConnectionId, stop: Stopping, hub: Office, person: Asker, response: Response) -> ConnectionWhole:
    """End a connection and its subscriptions for good; history stays."""
    await hub.partners.end(person, connection, stop.queued)
    return await _whole(hub, person, connection, response)

"""Platform API: sources, destinations and the keys of sources."""

import base64
from datetime import datetime
from functools import partial
from typing import Any, Literal

from fastapi import Depends, Response
from pydantic import Field

from carelane.domain.delivery import Judgement
from carelane.domain.office import ApiKey, Endpoint, EndpointKind, FormField, Use
from carelane.domain.permissions import Right, demand
from carelane.domain.views import Person
from carelane.exchange.hub import Hub
from carelane.web.api.common import Asker, Cursor, IfMatch, Limit, Office, listed, once, paged, refused, router_of, tag, version_of
from carelane.web.api.shapes import (
    DestinationId,
    Environment,
    Judged,
    KeyId,
    Line,
    Listed,
    MessageId,
    Name,
    OrganizationId,
    Shape,
    SourceId,
    SubscriptionId,
    shaped,
)  # fmt: skip

router = router_of("endpoints")
_SETTINGS: Any = Field(
    default_factory=dict, max_length=100, description="The method's settings; GET /methods/{kind} describes them. Secrets are written here and never read back."
)


class EndpointOut(Shape):
    """What sources and destinations have in common. Settings only of one's own."""

    name: str
    environment: str
    method: str = Field(validation_alias="transport", examples=["mllp"])
    format: str = Field(examples=["hl7v2"])
    enabled: bool
    mine: bool
    owner: str
    settings: dict[str, Any]
    secrets: dict[str, str] = Field(description="Which secrets are set, by their last four characters.")
    last_at: datetime | None = Field(description="When the last message came, or was delivered.")
    uses: int = Field(description="How many live subscriptions use it.")


class SourceOut(EndpointOut):
    """Where messages start."""

    id: SourceId = Field(validation_alias="uid")
    trouble: str = Field(description="Why the hub cannot listen for it, empty when it can. It is tried again by itself.", examples=[""])


class DestinationOut(EndpointOut):
    """Where messages are delivered."""

    id: DestinationId = Field(validation_alias="uid")
    verified_at: datetime | None


class NewEndpoint(Shape):
    """A new source or destination."""

    name: Name = Field(examples=["Lakeside ADT feed"])
    environment: Environment
    method: Line = Field(examples=["webhook"])
    format: Line = Field("", description="The method's usual one when empty.")
    settings: dict[Line, Any] = _SETTINGS


class EndpointChange(Shape):
    """What to change; what is left out stays."""

    name: Name | None = None
    enabled: bool | None = None
    settings: dict[Line, Any] | None = Field(None, max_length=100, description="All plain settings anew; a secret left out stays as it is.")


class UseOut(Shape):
    """A subscription that uses an endpoint."""

    subscription: SubscriptionId
    name: str
    data_model: str
    state: str


class Setting(Shape):
    """A setting of a method."""

    name: str
    title: str
    help: str
    example: str
    kind: str
    required: bool
    secret: bool
    choices: list[str]


class Method(Shape):
    """A way to start messages or to deliver them."""

    method: str
    title: str
    formats: list[str] = Field(default_factory=list)
    settings: list[Setting]


class NewKey(Shape):
    """What a key is for."""

    name: Name = Field(examples=["integration engine, production"])


class KeyOut(Shape):
    """A key of a source."""

    id: KeyId = Field(validation_alias="uid")
    name: str
    source: str
    source_id: SourceId = Field(validation_alias="source_uid")
    environment: str
    last_four: str
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


class CreatedKey(KeyOut):
    """A new key; the key itself is not shown again."""

    key: str = Field(examples=["ck_…"])


class Received(Shape):
    """What an inbox destination received."""

    delivery_id: str
    message: MessageId = Field(validation_alias="message_id")
    at: datetime
    content_type: str
    body: str = Field(description="As text; base64 where it is no UTF-8.")
    encoding: Literal["utf-8", "base64"]


def _judged(found: Judgement) -> Judged:
    return Judged(verdict=str(found.verdict), reason=found.reason)


def _source(hub: Hub, found: Endpoint) -> SourceOut:
    return shaped(SourceOut, found, trouble=hub.troubles().get(found.id, "") if found.mine else "")


async def _endpoint(hub: Hub, person: Person, kind: EndpointKind, uid: SourceId, response: Response) -> Endpoint:
    found = await hub.endpoints.one(person, kind, uid)
    tag(response, found.version)
    return found


async def _find(
    hub: Hub, person: Person, kind: EndpointKind, environment: Environment | None, partner: OrganizationId | None, limit: int, cursor: str
) -> tuple[list[Endpoint], str | None]:
    found = await hub.endpoints.find(person, kind, environment=environment or "", partner=partner)
    return paged(found, lambda one: one.uid, limit, cursor)


async def _create(hub: Hub, person: Person, kind: EndpointKind, new: NewEndpoint, response: Response) -> Endpoint:
    uid = await hub.endpoints.create(
        person, kind, environment=new.environment, name=new.name, transport=new.method, format=new.format, settings=new.settings
    )  # fmt: skip
    return await _endpoint(hub, person, kind, uid, response)


async def _change(
    hub: Hub, person: Person, kind: EndpointKind, uid: SourceId, change: EndpointChange, if_match: str | None, response: Response
) -> Endpoint:  # fmt: skip
    await hub.endpoints.change(person, kind, uid, name=change.name, settings=change.settings, enabled=change.enabled, version=version_of(if_match))
    return await _endpoint(hub, person, kind, uid, response)


async def _uses(hub: Hub, person: Person, kind: EndpointKind, uid: SourceId) -> Listed[UseOut]:
    await hub.endpoints.one(person, kind, uid)
    found: list[Use] = await hub.endpoints.uses(person, kind, uid)
    return Listed(items=[UseOut.model_validate(one) for one in found])


@router.get("/methods/{kind}", summary="List communication methods", responses=refused(404))
async def list_methods(kind: EndpointKind, hub: Office, person: Asker) -> Listed[Method]:
    """Return the ways to start messages (`source`) or to deliver them (`destination`), with their settings."""
    demand(person, Right.SEE)
    return Listed(items=[Method(method=key, title=title, settings=[_setting(one) for one in hub.shelf.form(key)]) for key, title in hub.shelf.methods(kind)])


def _setting(one: FormField) -> Setting:
    return Setting.model_validate({name: getattr(one, name) for name in Setting.model_fields})


@router.get("/sources", summary="List sources", responses=refused(404))
async def list_sources(
    hub: Office, person: Asker, environment: Environment | None = None, partner: OrganizationId | None = None, limit: Limit = 50, cursor: Cursor = ""
) -> Listed[SourceOut]:
    """Return one's own sources, or with `partner` the names of a connected organization's."""
    return listed(await _find(hub, person, "source", environment, partner, limit, cursor), partial(_source, hub))


@router.post("/sources", status_code=201, summary="Create a source", responses=refused(404, 409), dependencies=[Depends(once)])
async def create_source(new: NewEndpoint, hub: Office, person: Asker, response: Response) -> SourceOut:
    """Create a source; for engineers of the environment."""
    return _source(hub, await _create(hub, person, "source", new, response))


@router.get("/sources/{source}", summary="Read a source", responses=refused(404))
async def read_source(source: SourceId, hub: Office, person: Asker, response: Response) -> SourceOut:
    """Return one source with its ETag."""
    return _source(hub, await _endpoint(hub, person, "source", source, response))


@router.patch("/sources/{source}", summary="Change a source", responses=refused(404, 409, 412))
async def change_source(
    source: SourceId, change: EndpointChange, hub: Office, person: Asker, response: Response, if_match: IfMatch = None
) -> SourceOut:  # fmt: skip
    """Rename it, change its settings, switch it off and on."""
    return _source(hub, await _change(hub, person, "source", source, change, if_match, response))


@router.delete("/sources/{source}", status_code=204, summary="Delete a source", responses=refused(404, 409))
async def delete_source(source: SourceId, hub: Office, person: Asker) -> None:
    """Delete a source that no subscription uses."""
    await hub.endpoints.delete(person, "source", source)


@router.get("/sources/{source}/uses", summary="List what uses a source", responses=refused(404))
async def source_uses(source: SourceId, hub: Office, person: Asker) -> Listed[UseOut]:
    """Return its live subscriptions."""
    return await _uses(hub, person, "source", source)


@router.post("/sources/{source}/test", summary="Test a source", responses=refused(404))
async def test_source(source: SourceId, hub: Office, person: Asker) -> Judged:
    """Try its settings and say in words what happened."""
    return _judged(await hub.endpoints.test(person, "source", source))


@router.post("/sources/{source}/keys", status_code=201, summary="Make a key for a source", responses=refused(404, 409), dependencies=[Depends(once)])
async def create_key(source: SourceId, new: NewKey, hub: Office, person: Asker) -> CreatedKey:
    """Make a bearer key that posts messages as this source; it is shown once."""
    uid, token = await hub.endpoints.create_key(person, source, new.name)
    made: ApiKey = next(one for one in await hub.endpoints.keys(person) if one.uid == uid)
    return shaped(CreatedKey, made, key=token)


@router.get("/keys", summary="List the keys of sources", responses=refused(404))
async def list_keys(hub: Office, person: Asker, source: SourceId | None = None, limit: Limit = 50, cursor: Cursor = "") -> Listed[KeyOut]:
    """Return the keys of one's sources, revoked ones too."""
    found = [one for one in await hub.endpoints.keys(person) if source is None or one.source_uid == source]
    return listed(paged(found, lambda one: one.uid, limit, cursor), KeyOut.model_validate)


@router.delete("/keys/{key}", status_code=204, summary="Revoke a key", responses=refused(404))
async def revoke_key(key: KeyId, hub: Office, person: Asker) -> None:
    """Make a key useless at once."""
    await hub.endpoints.revoke_key(person, key)


@router.get("/destinations", summary="List destinations", responses=refused(404))
async def list_destinations(
    hub: Office, person: Asker, environment: Environment | None = None, partner: OrganizationId | None = None, limit: Limit = 50, cursor: Cursor = ""
) -> Listed[DestinationOut]:
    """Return one's own destinations, or with `partner` the names of a connected organization's."""
    return listed(await _find(hub, person, "destination", environment, partner, limit, cursor), DestinationOut.model_validate)


@router.post("/destinations", status_code=201, summary="Create a destination", responses=refused(404, 409), dependencies=[Depends(once)])
async def create_destination(new: NewEndpoint, hub: Office, person: Asker, response: Response) -> DestinationOut:
    """Create a destination; for engineers of the environment."""
    return DestinationOut.model_validate(await _create(hub, person, "destination", new, response))


@router.get("/destinations/{destination}", summary="Read a destination", responses=refused(404))
async def read_destination(destination: DestinationId, hub: Office, person: Asker, response: Response) -> DestinationOut:
    """Return one destination with its ETag."""
    return DestinationOut.model_validate(await _endpoint(hub, person, "destination", destination, response))


@router.patch("/destinations/{destination}", summary="Change a destination", responses=refused(404, 409, 412))
async def change_destination(
    destination: DestinationId, change: EndpointChange, hub: Office, person: Asker, response: Response, if_match: IfMatch = None
) -> DestinationOut:
    """Rename it, change its settings, switch it off and on."""
    return DestinationOut.model_validate(await _change(hub, person, "destination", destination, change, if_match, response))


@router.delete("/destinations/{destination}", status_code=204, summary="Delete a destination", responses=refused(404, 409))
async def delete_destination(destination: DestinationId, hub: Office, person: Asker) -> None:
    """Delete a destination that no subscription uses."""
    await hub.endpoints.delete(person, "destination", destination)


@router.get("/destinations/{destination}/uses", summary="List what uses a destination", responses=refused(404))
async def destination_uses(destination: DestinationId, hub: Office, person: Asker) -> Listed[UseOut]:
    """Return its live subscriptions."""
    return await _uses(hub, person, "destination", destination)


@router.post("/destinations/{destination}/test", summary="Test a destination", responses=refused(404))
async def test_destination(destination: DestinationId, hub: Office, person: Asker) -> Judged:
    """Try to reach it and say in words what happened."""
    return _judged(await hub.endpoints.test(person, "destination", destination))


@router.post("/destinations/{destination}/verify", summary="Verify a destination", responses=refused(404))
async def verify_destination(destination: DestinationId, hub: Office, person: Asker) -> Judged:
    """Challenge it to prove that it is meant, and note when it answered rightly."""
    return _judged(await hub.endpoints.verify(person, destination))


@router.get("/destinations/{destination}/inbox", summary="Read an inbox", responses=refused(404))
async def read_inbox(destination: DestinationId, hub: Office, person: Asker, limit: Limit = 50) -> Listed[Received]:
    """Return what an inbox destination received, newest first. This shows content: it needs the right to it and is audited."""
    items = await hub.endpoints.inbox(person, destination)
    return Listed(items=[_received(one.delivery_id, one.message_id, one.at, one.content_type, one.body) for one in items[:limit]])


def _received(delivery_id: str, message: MessageId, at: datetime, content_type: str, body: bytes) -> Received:
    try:
        text, encoding = body.decode(), "utf-8"
    except UnicodeDecodeError:
        text, encoding = base64.b64encode(body).decode(), "base64"
    return Received.model_validate(
        {"delivery_id": delivery_id, "message_id": message, "at": at, "content_type": content_type, "body": text, "encoding": encoding}
    )

"""Platform API: one's own organization, the directory, the audit trail."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Response
from pydantic import Base64Bytes, Field

from carelane.domain.office import KINDS, Moment, Organization
from carelane.domain.views import Person
from carelane.exchange.hub import Hub
from carelane.models.schemas import model_events
from carelane.web.api.common import (
    Asker,
    Cursor,
    DataModel,
    IfMatch,
    Limit,
    Office,
    after_of,
    cursor_of,
    ended,
    listed,
    once,
    refused,
    router_of,
    tag,
    version_of,
)
from carelane.web.api.shapes import ConnectionId, Line, Listed, Model, Name, OrganizationId, Shape, Text, shaped

router = router_of("organization")
Kind = Annotated[Line, Field(description="What it is.", examples=["provider"], json_schema_extra={"enum": list(KINDS)})]


class Profile(Shape):
    """An organization as the directory shows it."""

    id: OrganizationId = Field(validation_alias="uid")
    name: str = Field(examples=["Lakeside Hospital"])
    kind: str = Field(examples=["provider"])
    listed: bool = Field(description="Whether the directory shows it.")
    place: str = Field(examples=["Lakeside, WI"])
    ehr: str = Field(description="The electronic health record system in use.", examples=["Epic"])
    about: str
    contact: str
    website: str
    offers: list[str] = Field(description="Data models it offers to send.", examples=[["PatientAdmin", "Results"]])
    wants: list[str] = Field(description="Data models it would like to receive.")
    logo: bool = Field(description="Whether it has a logo; see `/organizations/{id}/logo` on the dashboard.")


class OwnOrganization(Profile):
    """One's own organization."""

    alert_email: str = Field(description="Where the hub writes when something needs a person.")


class DirectoryEntry(Profile):
    """A listed organization, with the connection to it."""

    connection: ConnectionId | None = Field(None, description="The open connection to it, where there is one.")
    connection_state: str = Field("", description="Its state; empty when there is none.", examples=["connected"])


class ProfileChange(Shape):
    """What to change; what is left out stays."""

    name: Name | None = None
    kind: Kind | None = None
    listed: bool | None = None
    place: Line | None = None
    ehr: Line | None = None
    about: Text | None = None
    contact: Line | None = None
    website: Line | None = None
    alert_email: Line | None = None
    offers: list[Model] | None = Field(None, max_length=200)
    wants: list[Model] | None = Field(None, max_length=200)


class Logo(Shape):
    """An image."""

    image: Base64Bytes = Field(min_length=1, max_length=200_000, description="The bytes of the image, base64.")


class NewOrganization(Shape):
    """Another organization, which its creator will own."""

    name: Name
    kind: Kind


class Membership(Shape):
    """An organization one belongs to."""

    number: int
    name: str
    current: bool = Field(description="Whether this key acts in it.")


class Entry(Shape):
    """An entry of the audit trail or of a timeline."""

    at: datetime
    actor: str
    action: str = Field(examples=["connection.accept"])
    subject: str = Field("", examples=["con_0199c0de5eed7abc8def0123456789ab"])
    details: dict[str, Any] = Field(default_factory=dict)


def entry(moment: Moment, subject: str = "") -> Entry:
    """Write a moment."""
    return Entry(at=moment.at, actor=moment.actor, action=moment.action, subject=subject, details=dict(moment.body))


async def _mine(hub: Hub, person: Person, response: Response) -> OwnOrganization:
    found: Organization = await hub.team.me(person)
    tag(response, found.version)
    return OwnOrganization.model_validate(found)


@router.get("/organization", summary="Read one's own organization")
async def read_organization(hub: Office, person: Asker, response: Response) -> OwnOrganization:
    """Return the organization this key acts in, with its ETag."""
    return await _mine(hub, person, response)


@router.patch("/organization", summary="Change the profile", responses=refused(404, 409, 412))
async def change_organization(change: ProfileChange, hub: Office, person: Asker, response: Response, if_match: IfMatch = None) -> OwnOrganization:
    """Change the profile and the listing; for owners."""
    before = await hub.team.me(person)
    given = change.model_dump(exclude_none=True)
    words = {name: given.get(name, getattr(before, name)) for name in ("place", "ehr", "about", "contact", "website", "alert_email")}
    models = {name: list(given.get(name, getattr(before, name))) for name in ("offers", "wants")}
    await hub.team.change_profile(
        person, name=given.get("name", before.name), kind=given.get("kind", before.kind), listed=given.get("listed", before.listed),
        profile={**words, **models}, version=version_of(if_match) if if_match else before.version,
    )  # fmt: skip
    return await _mine(hub, person, response)


@router.put("/organization/logo", status_code=204, summary="Change the logo", responses=refused(404, 409))
async def change_logo(logo: Logo, hub: Office, person: Asker) -> None:
    """Set a PNG, JPEG or WebP of at most 128 KB; for owners."""
    await hub.team.set_logo(person, logo.image)


@router.delete("/organization/logo", status_code=204, summary="Take the logo away", responses=refused(404))
async def remove_logo(hub: Office, person: Asker) -> None:
    """Partners see the initials again; for owners."""
    await hub.team.set_logo(person, b"")


@router.get("/organizations", summary="List the organizations one belongs to")
async def list_organizations(person: Asker) -> Listed[Membership]:
    """Return every organization of this person; a key acts in one of them."""
    return Listed(items=[Membership(number=number, name=name, current=number == person.org_id) for number, name in person.orgs])


@router.post("/organizations", status_code=201, summary="Create another organization", responses=refused(409), dependencies=[Depends(once)])
async def create_organization(new: NewOrganization, hub: Office, person: Asker) -> Membership:
    """Create an organization with its environments, endpoints and default connections; one becomes its owner."""
    number = await hub.team.create_organization(new.name, new.kind, actor=person.email, owner=person.id)
    return Membership(number=number, name=new.name, current=False)


@router.get("/data-models", summary="List the data models and their event types")
async def list_models(_person: Asker) -> dict[str, list[str]]:
    """Return every data model this hub knows, with its event types."""
    return {model: list(events) for model, events in model_events().items()}


@router.get("/directory", summary="Search the directory", responses=refused(404))
async def search_directory(
    hub: Office, person: Asker, text: Line = "", kind: Line = "", data_model: DataModel = "", limit: Limit = 50, cursor: Cursor = ""
) -> Listed[DirectoryEntry]:
    """Return listed organizations by name, place, EHR or words about them, kind and data model."""
    found = await hub.partners.directory(person, text=text, kind=kind, model=data_model, size=limit + 1, after=after_of(cursor), by_id=True)
    return listed(ended(found, lambda one: one[0].uid, limit), lambda one: _entry(one[0], None, one[1]))


@router.get("/directory/{organization}", summary="Read a profile", responses=refused(404))
async def read_profile(organization: OrganizationId, hub: Office, person: Asker) -> DirectoryEntry:
    """Return an organization's public profile, with the connection to it."""
    found, connection, state = await hub.partners.profile(person, organization)
    return _entry(found, connection, state)


def _entry(found: Organization, connection: Any, state: str) -> DirectoryEntry:
    return shaped(DirectoryEntry, found, connection=connection, connection_state=state)


@router.get("/audit", summary="Read the audit trail", responses=refused(404))
async def read_audit(hub: Office, person: Asker, action: Line = "", cursor: Cursor = "") -> Listed[Entry]:
    """Return the audit trail, newest first, a hundred entries a page; `action` narrows it, such as `connection`."""
    before = after_of(cursor)
    page = min(before.int, 100_000) if before else 1
    found = await hub.team.trail(person, action=action, page=page)
    return Listed(items=[entry(moment, subject) for moment, subject in found], next=cursor_of(UUID(int=page + 1)) if len(found) == 100 else None)

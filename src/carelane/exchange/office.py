"""The office: what people do with organizations, connections, subscriptions and endpoints, on pages, in the platform API and in commands.

Every call names the person who asks; rights are checked behind it (``domain.permissions``). What is missing, foreign or
forbidden is refused alike, with ``NotFound``; what does not fit the state of things with ``Conflict``.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Protocol
from uuid import UUID

from carelane.domain.delivery import Judgement
from carelane.domain.ids import OrgId
from carelane.domain.office import (
    Answer,
    ApiKey,
    Connection,
    Draft,
    Endpoint,
    EndpointKind,
    Filter,
    FormField,
    Invitation,
    Member,
    Moment,
    Offer,
    Organization,
    Page,
    PartnerCard,
    PersonalKey,
    Stop,
    Subscription,
    Use,
)  # fmt: skip
from carelane.domain.views import InboxItem, Person


class Team(Protocol):
    """Who belongs to an organization, and what it says of itself."""

    async def sign_up(self, *, email: str, name: str, password: str, organization: str, kind: str) -> None:
        """Create a person and their organization, with environments, endpoints and default connections."""
        ...

    async def create_organization(self, name: str, kind: str, *, actor: str, owner: int | None = None) -> OrgId:
        """Create an organization with its default connections; ``owner`` becomes its first owner."""
        ...

    async def me(self, person: Person) -> Organization:
        """Return one's own organization."""
        ...

    async def change_profile(self, person: Person, *, name: str, kind: str, listed: bool, profile: Mapping[str, object], version: int | None = None) -> None:
        """Change what the directory shows; raises ``Stale`` when it is not the version that was read."""
        ...

    async def set_logo(self, person: Person, image: bytes) -> None:
        """Change the logo, a PNG, JPEG or WebP of at most 128 KB; no bytes take it away. Raises ``Conflict``."""
        ...

    async def logo(self, person: Person, uid: UUID) -> tuple[str, bytes]:
        """Return the media type and bytes of a logo one may see; raises ``NotFound``."""
        ...

    async def members(self, person: Person) -> list[Member]:
        """Return the people of one's organization; raises ``NotFound`` without the right to see roles."""
        ...

    async def difference(self, person: Person, uid: UUID, *, role: str, environments: Mapping[str, str], payloads: bool) -> tuple[list[str], list[str]]:
        """Return what a person would gain and lose by a change of roles."""
        ...

    async def change_roles(self, person: Person, uid: UUID, *, role: str, environments: Mapping[str, str], payloads: bool, version: int | None = None) -> None:
        """Give a person other roles; raises ``Stale`` when they are not the version that was read."""
        ...

    async def remove(self, person: Person, uid: UUID) -> None:
        """Take a person out of the organization; they are signed out of it at once."""
        ...

    async def invitations(self, person: Person) -> list[Invitation]:
        """Return the invitations of one's organization, newest first."""
        ...

    async def invite(self, person: Person, *, email: str, role: str, environments: Mapping[str, str], payloads: bool) -> str:
        """Invite somebody; return the token of the link, which is mailed where mail is configured."""
        ...

    async def revoke_invitation(self, person: Person, uid: UUID) -> None:
        """Withdraw an invitation that was not accepted yet."""
        ...

    async def invitation(self, token: str) -> Invitation | None:
        """Return the open invitation of a link; None when it is used, withdrawn, too old or unknown."""
        ...

    async def join(self, token: str, *, name: str, password: str) -> str:
        """Accept an invitation: a known person proves their password, a new one chooses it. Return the e-mail address."""
        ...

    async def trail(self, person: Person, *, action: str = "", page: int = 1) -> list[tuple[Moment, str]]:
        """Return the audit trail, newest first, a hundred entries a page, with what each is about."""
        ...

    async def chain(self, person: Person) -> int | None:
        """Walk the audit trail; return the first entry that does not fit, None when all do."""
        ...


class Partners(Protocol):
    """The business side: who exchanges data with whom."""

    async def directory(
        self, person: Person, *, text: str = "", kind: str = "", model: str = "", page: int = 1, size: int = 24, after: UUID | None = None, by_id: bool = False
    ) -> list[tuple[Organization, str]]:
        """Return listed organizations with the state of one's connection to each (empty when there is none), by name or by id."""
        ...

    async def profile(self, person: Person, uid: UUID) -> tuple[Organization, UUID | None, str]:
        """Return an organization's profile, with the connection to it and its state."""
        ...

    async def connections(self, person: Person, *states: str) -> list[Connection]:
        """Return the connections of one's organization, newest first; of these states, or all."""
        ...

    async def connection(self, person: Person, uid: UUID) -> Connection:
        """Return one connection with its agreement and how many messages wait."""
        ...

    async def timeline(self, person: Person, uid: UUID) -> list[Moment]:
        """Return every move of a connection and of its subscriptions, newest first."""
        ...

    async def request(
        self,
        person: Person,
        partner: UUID,
        *,
        purpose: str,
        offers: Sequence[Offer],
        environments: Sequence[str] = ("development",),
        note: str = "",
        target_date: date | None = None,
    ) -> UUID:
        """Ask an organization to connect; its owners and admins are told."""
        ...

    async def accept(self, person: Person, uid: UUID, models: Sequence[Offer] | None = None) -> None:
        """Accept a request as it is, or with a narrower list."""
        ...

    async def decline(self, person: Person, uid: UUID, reason: str) -> None:
        """Decline a request; the reason is shown to the other side."""
        ...

    async def withdraw(self, person: Person, uid: UUID) -> None:
        """Take one's own request back; raises ``Conflict`` once it was decided."""
        ...

    async def suspend(self, person: Person, uid: UUID, stop: Stop) -> None:
        """Stop exchanging for a while: nothing new is taken; what is queued is held or drained."""
        ...

    async def resume(self, person: Person, uid: UUID) -> None:
        """Exchange again after a suspension."""
        ...

    async def end(self, person: Person, uid: UUID, stop: Stop) -> None:
        """End a connection and its subscriptions for good; history stays."""
        ...


class Subscriptions(Protocol):
    """The bridges of an organization."""

    async def cards(self, person: Person) -> list[PartnerCard]:
        """Return a card per connected partner that has a subscription; figures come from samples, messages are not counted."""
        ...

    async def live(self, person: Person, connection: UUID | None) -> dict[int, tuple[int, int, int, str]]:
        """Return the figures of each lane of a connection: queued, settled, delivered, and its state in one word."""
        ...

    async def find(self, person: Person, wanted: Filter) -> Page:
        """Return a page of subscriptions."""
        ...

    async def one(self, person: Person, uid: UUID) -> Subscription:
        """Return one subscription."""
        ...

    async def create(
        self, person: Person, *, source: UUID, destination: UUID, models: Sequence[str], name: str = "", paused: bool = False, working_model: str = "datamodel"
    ) -> list[UUID]:
        """Create one subscription per data model: active at once for one party, proposed to the other side for two."""
        ...

    async def accept(self, person: Person, uid: UUID) -> None:
        """Say yes to what the other side proposed: it begins to carry data."""
        ...

    async def pause(self, person: Person, uid: UUID) -> None:
        """Stop delivering; messages go on queuing."""
        ...

    async def resume(self, person: Person, uid: UUID) -> None:
        """Deliver again after a pause or a drain."""
        ...

    async def drain(self, person: Person, uid: UUID) -> None:
        """Take nothing new, deliver what is queued, then stand still until resumed or ended."""
        ...

    async def end(self, person: Person, uid: UUID, *, drain: bool = False) -> None:
        """End it for good; what is queued is delivered first with ``drain``, else kept undelivered. History stays."""
        ...

    async def change(
        self, person: Person, uid: UUID, *, name: str | None = None, retry_hours: int | None = None, overlay: str | None = None, version: int | None = None
    ) -> None:
        """Rename it, say how long a failing head is tried before the lane is held, or change the maps for it alone."""
        ...


class Endpoints(Protocol):
    """The engineers' side: where messages start and where they are delivered."""

    async def find(self, person: Person, kind: EndpointKind, *, environment: str = "", partner: UUID | None = None) -> list[Endpoint]:
        """Return one's own endpoints, or with ``partner`` the names of a connected organization's."""
        ...

    async def one(self, person: Person, kind: EndpointKind, uid: UUID) -> Endpoint:
        """Return one endpoint; raises ``NotFound``."""
        ...

    async def uses(self, person: Person, kind: EndpointKind, uid: UUID) -> list[Use]:
        """Return the live subscriptions of an endpoint."""
        ...

    async def create(
        self, person: Person, kind: EndpointKind, *, environment: str, name: str, transport: str, format: str = "", settings: Mapping[str, object]
    ) -> UUID:
        """Create an endpoint."""
        ...

    async def change(
        self,
        person: Person,
        kind: EndpointKind,
        uid: UUID,
        *,
        name: str | None = None,
        settings: Mapping[str, object] | None = None,
        enabled: bool | None = None,
        version: int | None = None,
    ) -> None:
        """Rename an endpoint, change its settings, or switch it off and on. A secret left empty stays as it is."""
        ...

    async def delete(self, person: Person, kind: EndpointKind, uid: UUID) -> None:
        """Delete an endpoint that nothing uses; raises ``Conflict`` naming what does."""
        ...

    async def test(self, person: Person, kind: EndpointKind, uid: UUID) -> Judgement:
        """Try to reach an endpoint with its settings."""
        ...

    async def try_settings(self, person: Person, kind: EndpointKind, transport: str, environment: str, settings: Mapping[str, object]) -> Judgement:
        """Try settings that are not saved yet; raises ``Misconfigured``."""
        ...

    async def verify(self, person: Person, uid: UUID) -> Judgement:
        """Challenge a destination and note when it answered rightly."""
        ...

    async def drafts(self, person: Person) -> list[Draft]:
        """Return the endpoints half way through their wizard."""
        ...

    async def draft(self, person: Person, uid: UUID) -> tuple[Draft, Mapping[str, object]]:
        """Return a draft, and all its settings for going on with it."""
        ...

    async def save_draft(
        self,
        person: Person,
        uid: UUID | None,
        kind: EndpointKind,
        *,
        environment: str,
        name: str,
        transport: str,
        settings: Mapping[str, object],
        secret: Mapping[str, object],
    ) -> UUID:
        """Keep the progress of a wizard; nothing is checked yet but the name."""
        ...

    async def drop_draft(self, person: Person, uid: UUID) -> None:
        """Forget a draft."""
        ...

    async def keys(self, person: Person) -> list[ApiKey]:
        """Return the API keys of one's sources, live ones first."""
        ...

    async def create_key(self, person: Person, source: UUID, name: str) -> tuple[UUID, str]:
        """Make a key for a source; return its id and the key: this is the only time it can be seen."""
        ...

    async def revoke_key(self, person: Person, uid: UUID) -> None:
        """Make a key useless at once; raises ``NotFound``."""
        ...

    async def inbox(self, person: Person, uid: UUID) -> list[InboxItem]:
        """Return what an inbox destination received; a look at content, so it needs the right to it and is audited."""
        ...


class PersonalKeys(Protocol):
    """Bearer keys of people for the platform API."""

    async def find(self, person: Person) -> list[PersonalKey]:
        """Return one's own keys, live ones first."""
        ...

    async def create(self, person: Person, name: str, days: int) -> tuple[UUID, str]:
        """Make a key; return its id and the key itself, which cannot be seen again."""
        ...

    async def revoke(self, person: Person, uid: UUID) -> None:
        """Make one of one's own keys useless at once; raises ``NotFound``."""
        ...

    async def holder(self, token: str) -> Person | None:
        """Return whom a key speaks for; None when it is unknown, revoked or too old."""
        ...


class Answers(Protocol):
    """What creates with an ``Idempotency-Key`` were answered."""

    async def claim(self, person: Person, key: str, fingerprint: bytes) -> Answer | None:
        """Return the answer given before, or None when this request is the first and may go on; raises ``Conflict``."""
        ...

    async def keep(self, person: Person, key: str, answer: Answer) -> None:
        """Note what the request was answered."""
        ...

    async def drop(self, person: Person, key: str) -> None:
        """Forget a request that changed nothing."""
        ...


class MethodShelf(Protocol):
    """The communication methods an endpoint may use, with their forms."""

    def methods(self, kind: str) -> Sequence[tuple[str, str]]:
        """Return (key, title) of every method that can start messages, or deliver them."""
        ...

    def form(self, transport: str) -> Sequence[FormField]:
        """Return the fields of a method's form; raises ``Misconfigured``."""
        ...

"""What people see of organizations, connections, subscriptions and endpoints: rows of pages and of the platform API."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Literal
from uuid import UUID

Stop = Literal["hold", "drain"]
EndpointKind = Literal["source", "destination"]

KINDS = ("health-tech vendor", "provider", "payer", "lab", "pharmacy", "public health", "device maker")
"""What an organization can be; ``built-in`` ones come with the hub."""


@dataclass(frozen=True, slots=True)
class FormField:
    """One field of a plug-in's form."""

    name: str
    title: str
    help: str
    example: str
    kind: str
    required: bool
    secret: bool
    choices: tuple[str, ...] = ()
    default: object = None


@dataclass(frozen=True, slots=True)
class Organization:
    """A party with its public profile. ``offers`` and ``wants`` are data models."""

    uid: UUID
    name: str
    kind: str
    listed: bool
    place: str = ""
    ehr: str = ""
    about: str = ""
    contact: str = ""
    website: str = ""
    alert_email: str = ""
    offers: tuple[str, ...] = ()
    wants: tuple[str, ...] = ()
    id: int = 0
    version: int = 1
    logo: bool = False
    """Whether it has a logo."""

    @property
    def initials(self) -> str:
        """Up to two letters for the avatar."""
        return "".join(word[0] for word in self.name.split()[:2]).upper()


@dataclass(frozen=True, slots=True)
class Offer:
    """A data model in one direction, seen from the reader: ``outward`` means that their own organization sends."""

    data_model: str
    outward: bool


@dataclass(frozen=True, slots=True)
class Agreed:
    """A line of the agreement record."""

    data_model: str
    sender: str
    receiver: str
    outward: bool
    asked_name: str
    signed_name: str
    signed_at: datetime


@dataclass(frozen=True, slots=True)
class Moment:
    """An entry of a timeline, from the audit trail."""

    at: datetime
    actor: str
    action: str
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Connection:
    """A business relationship as one of its two sides sees it."""

    uid: UUID
    state: str
    mine: bool
    """Whether the reader's organization asked."""
    partner: Organization
    purpose: str
    note: str
    environments: tuple[str, ...]
    target_date: date | None
    requested_name: str
    requested_at: datetime
    decided_name: str
    decided_at: datetime | None
    decision_reason: str
    on_stop: str
    version: int
    offers: tuple[Offer, ...] = ()
    agreed: tuple[Agreed, ...] = ()
    queued: int = 0
    id: int = 0

    def may_send(self, *, outward: bool) -> tuple[str, ...]:
        """Return the agreed data models of one direction."""
        return tuple(line.data_model for line in self.agreed if line.outward == outward)


@dataclass(frozen=True, slots=True)
class Subscription:
    """A bridge with its lane, as one of its parties sees it."""

    uid: UUID
    lane_id: int
    name: str
    data_model: str
    working_model: str
    environment: str
    state: str
    drain: bool
    connection: UUID | None
    connection_state: str
    partner: str
    partner_uid: UUID | None
    outward: bool
    one_party: bool
    source: str
    source_uid: UUID
    destination: str
    destination_uid: UUID
    mine_source: bool
    mine_destination: bool
    awaiting_me: bool
    """Proposed by the other side: the reader's organization may accept."""
    retry_hours: int
    created_at: datetime
    activated_at: datetime | None
    tail: int
    head: int
    delivered: int
    """How many were delivered: what was filtered or skipped is not among them."""
    attempts: int
    held: str | None
    paused: str | None
    next_attempt_at: datetime | None
    delivered_at: datetime | None
    arrived_at: datetime | None
    oldest: datetime | None
    version: int
    last_error: str | None = None
    """Why the last try of its head failed."""
    overlay: str = ""
    """Changes to the maps for this subscription alone, in YAML."""

    @property
    def pending(self) -> int:
        """How many deliveries wait."""
        return self.tail - self.head

    @property
    def flow(self) -> str:
        """One word for its state: proposed, paused, draining, suspended, held, retrying, queued, flowing, silent or ended."""
        return flow_word(
            state=self.state,
            drain=self.drain,
            connection_state=self.connection_state,
            paused=self.paused,
            held=self.held,
            attempts=self.attempts,
            queued=self.tail,
            settled=self.head,
        )


def flow_word(*, state: str, drain: bool, connection_state: str, paused: str | None, held: str | None, attempts: int, queued: int, settled: int) -> str:
    """Say in one word how a subscription stands, the most telling first."""
    if state in ("proposed", "ended"):
        return state
    if drain:
        return "draining"
    if connection_state in ("suspended", "ended"):
        return "suspended"
    if paused or state == "paused":
        return "paused"
    if held:
        return "held"
    if attempts:
        return "retrying"
    if queued - settled > 1:
        return "queued"
    return "flowing" if queued else "silent"


@dataclass(frozen=True, slots=True)
class PartnerCard:
    """A card of the Connections page."""

    connection: UUID
    state: str
    partner: Organization
    environments: tuple[str, ...]
    subscriptions: int
    held: int
    paused: int
    pending: int
    last_at: datetime | None
    sparkline: tuple[int, ...] = ()
    """Messages per five minutes of the last hour, oldest first."""

    @property
    def last_hour(self) -> int:
        """Messages of the last hour."""
        return sum(self.sparkline)

    @property
    def health(self) -> str:
        """One word: suspended, held, paused, flowing or silent."""
        if self.state == "suspended":
            return "suspended"
        if self.held:
            return "held"
        if self.subscriptions and self.paused == self.subscriptions:
            return "paused"
        return "flowing" if self.last_hour else "silent"


@dataclass(frozen=True, slots=True)
class Use:
    """A subscription that uses an endpoint: why it cannot be deleted."""

    subscription: UUID
    name: str
    data_model: str
    state: str


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A source or destination. ``settings`` only for its own organization; secrets as names with their last four characters."""

    kind: EndpointKind
    uid: UUID
    name: str
    environment: str
    transport: str
    format: str
    enabled: bool
    mine: bool
    owner: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    verified_at: datetime | None = None
    last_at: datetime | None = None
    uses: int = 0
    version: int = 1
    id: int = 0


@dataclass(frozen=True, slots=True)
class Draft:
    """An endpoint half way through its wizard."""

    uid: UUID
    kind: EndpointKind
    environment: str
    name: str
    transport: str
    format: str
    settings: Mapping[str, Any]
    secrets: Mapping[str, str]
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key of a source; the key itself was shown once."""

    uid: UUID
    name: str
    source: str
    source_uid: UUID
    environment: str
    last_four: str
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class PersonalKey:
    """A person's key for the platform API; the key itself was shown once."""

    uid: UUID
    name: str
    last_four: str
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a create was answered: an HTTP status and a JSON body."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Member:
    """A person of an organization with their roles."""

    uid: UUID
    name: str
    email: str
    role: str
    payloads: bool
    environments: Mapping[str, str]
    disabled: bool = False
    version: int = 1


@dataclass(frozen=True, slots=True)
class Invitation:
    """An open, accepted or withdrawn invitation."""

    uid: UUID
    email: str
    role: str
    environments: Mapping[str, str]
    payloads: bool
    created_at: datetime
    expires_at: datetime
    accepted_at: datetime | None
    revoked_at: datetime | None
    organization: str = ""


@dataclass(frozen=True, slots=True)
class Filter:
    """What to list of subscriptions. Texts match anything shown; ``sort`` is a column, ``-`` before it descends."""

    text: str = ""
    environment: str = ""
    data_model: str = ""
    state: str = ""
    connection: UUID | None = None
    sort: str = "partner"
    page: int = 1
    size: int = 50
    ended: bool = False
    after: UUID | None = None
    """Only those with a greater id, for paging by ``sort="uid"``."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page of subscriptions and how many there are."""

    rows: tuple[Subscription, ...]
    total: int

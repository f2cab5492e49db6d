"""A message as it came, the heading that routing reads, and what the sender is told."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Literal, NamedTuple
from uuid import UUID

from carelane.domain.ids import OrgId, SourceId

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
Document = dict[str, Json]
"""A message read into its data model: plain dicts and lists."""


@dataclass(frozen=True, slots=True)
class Heading:
    """What routing and finding need to know of a message, read without parsing all of it.

    ``problem`` says why nobody can be told about this message (no trigger, unknown type); the bytes are kept all the same.
    ``search`` holds what people look messages up by, as (kind, value); only keyed hashes of it are stored.
    """

    data_model: str | None = None
    event_type: str | None = None
    control_id: str | None = None
    event_time: str | None = None
    test: bool = False
    kind: str | None = None
    destinations: tuple[str, ...] | None = None
    source_hint: str | None = None
    problem: "Problem | None" = None
    search: tuple[tuple[str, str], ...] = ()
    also: tuple[str, ...] = ()
    """Further data models the message is delivered as: the FHIR notification of a classic event, the classic event of a FHIR one."""
    notes: tuple[str, ...] = ()
    """What the transport noticed; see ``Arrival``."""
    whole: bool = True
    """Whether it arrived whole, as far as its transport can tell. What did not is kept, and never delivered."""

    def stored(self, format: str) -> dict[str, Json]:
        """Return the part kept beside the body, in the clear: no patient data."""
        notes: dict[str, Json] = {"notes": [*self.notes], "whole": self.whole} if self.notes else {}
        return {
            "format": format,
            "dataModel": self.data_model,
            "eventType": self.event_type,
            "controlId": self.control_id,
            "eventTime": self.event_time,
            "test": self.test,
            "kind": self.kind,
            "problem": self.problem.code if self.problem else None,
            **notes,
        }


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a message cannot be used as it is: a short code, a sentence without content, and the next move."""

    code: str
    text: str
    pointer: str = ""
    location: str = ""
    status: int = 400


@dataclass(frozen=True, slots=True)
class Arrival:
    """How a message came, as its transport tells it: codes worth remembering, and the problem when it did not arrive whole."""

    notes: tuple[str, ...] = ()
    problem: Problem | None = None

    def mark(self, heading: Heading) -> Heading:
        """Return the heading with what the transport noticed; that a message is not whole comes before any other problem."""
        return replace(heading, notes=self.notes, whole=self.problem is None, problem=self.problem or heading.problem)


PLAIN = Arrival()
"""As it should be."""


class Outcome(StrEnum):
    """How a sender is answered."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    REFUSED = "refused"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a message that was handed in."""

    outcome: Outcome
    reply: bytes
    message_id: UUID | None = None
    problem: Problem | None = None
    status: int = 200


class Incoming(NamedTuple):
    """A message on its way into the store: sealed, numbered, routed."""

    org_id: OrgId
    source_id: SourceId
    id: UUID
    received_at: datetime
    heading: Mapping[str, Json | bool]
    readable: bool
    body: bytes
    body_sha256: bytes
    key_id: int
    dedup_key: bytes
    reply: bytes
    tokens: tuple[int, ...] = ()
    lanes: tuple[int, ...] = ()
    replay_of: UUID | None = None


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a document says what it says: the value's place, the field it came from, the row and pack that brought it, and how."""

    target: str
    source: str
    row: str
    pack: str
    how: str
    value: object = None
    overlay: str = ""


Severity = Literal["error", "warning", "information"]


@dataclass(frozen=True, slots=True)
class Issue:
    """Something a conversion could not carry over as it was: where, never what."""

    severity: Severity
    code: str
    row: str = ""
    source: str = ""
    target: str = ""
    text: str = ""

    def as_json(self) -> dict[str, Json]:
        """Return the issue as it is stored and shown, without empty members."""
        members: dict[str, Json] = {
            "severity": self.severity,
            "code": self.code,
            "rowId": self.row,
            "sourcePath": self.source,
            "targetPath": self.target,
            "text": self.text,
        }
        return {name: value for name, value in members.items() if value}


class Leftovers(StrEnum):
    """What a reader is asked to carry in ``Meta.Extensions`` of the fields no row of a map delivers. They are listed as unmapped in any case."""

    NONE = "none"
    WHERE_NEEDED = "where-needed"
    """Only in documents without ``Converted.parsed``: for a writer that takes from there what a document leaves out."""
    CARRY = "carry"


@dataclass(slots=True)
class Converted:
    """The result of a conversion: a payload, what went wrong on the way, and what nobody asked for.

    ``parsed`` is the message as its reader had it before it became the document, in a form that formats may share and nobody else looks into.
    A reader gives it only where the document says no more and no less: no overlay changed its rows, and it is the message's only document.
    Whoever changes the document leaves it out.
    """

    document: Document
    issues: list[Issue] = field(default_factory=list)
    unmapped: list[str] = field(default_factory=list)
    parsed: object = None


@dataclass(frozen=True, slots=True)
class Origin:
    """What a writer is told of a document beside the document itself.

    ``source`` says whose it is where ``Meta.Source`` does not, so that the ids made for one source differ from another's. ``parsed``: see
    ``Converted``; a writer that knows its form may take fields from there instead of writing the document's back, and says the same.
    """

    source: str = ""
    parsed: object = None


NOWHERE = Origin()
"""Of a document nothing more is known."""

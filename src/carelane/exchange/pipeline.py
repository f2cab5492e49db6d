"""A stored message becomes what its destination wants: read → working model → operations → write, each a step from work to work.

Pure: the same bytes, ends and maps give the same result. A delivery is plain values, so it could as well be converted in another process.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

import orjson

from carelane.domain.delivery import Entry
from carelane.domain.endpoint import Destination, Route, Source
from carelane.domain.errors import Unmappable, Unreadable
from carelane.domain.ids import delivery_id
from carelane.domain.message import Converted, Document, Issue, Json, Leftovers, Origin
from carelane.exchange.ports import Formats
from carelane.kit.ids import public
from carelane.models.fhir import notification


@dataclass(frozen=True, slots=True)
class Outbound:
    """One body to send. ``suffix`` tells apart several bodies of one delivery."""

    body: bytes
    content_type: str
    suffix: str = ""


@dataclass(slots=True)
class Transformed:
    """The bodies of a delivery with what was reported on the way; ``failure`` says why there are none."""

    bodies: list[Outbound] = field(default_factory=list)
    documents: list[Document] = field(default_factory=list)
    issues: list[Issue] = field(default_factory=list)
    unmapped: list[str] = field(default_factory=list)
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message on one lane, opened, with the ends it goes between."""

    raw: bytes
    entry: Entry
    route: Route
    source: Source | None
    destination: Destination


@dataclass(frozen=True, slots=True)
class Work:
    """A delivery on its way through the steps: its documents as they are by now, and its bodies once they are written."""

    delivery: Delivery
    documents: tuple[Converted, ...] = ()
    bodies: tuple[Outbound, ...] = ()


Step = Callable[[Work], Work]
"""Changes nothing it was given. It raises ``Unreadable`` or ``Unmappable`` where there is no way on."""


def transform(raw: bytes, entry: Entry, route: Route, source: Source | None, destination: Destination, formats: Formats) -> Transformed:
    """Convert one message for one destination; never raises for content."""
    delivery = Delivery(raw, entry, route, source, destination)
    return walk(Work(delivery), steps_of(delivery, formats))


def steps_of(delivery: Delivery, formats: Formats, operations: tuple[Step, ...] = ()) -> tuple[Step, ...]:
    """Return the steps of a delivery. ``operations`` are its subscription's: they see the documents in the working model, and change only those."""
    model = delivery.route.working_model
    if model == "native":
        return (partial(_hand_on, formats),)
    if model == "fhir" and delivery.entry.format == "fhir":
        begin: tuple[Step, ...] = (_envelope,)
    else:
        read = partial(_read, formats, _wanted(delivery, changed=bool(operations)))
        begin = (read, partial(_to_fhir, formats)) if model == "fhir" else (read,)
    change = (*operations, _let_go) if operations else ()
    return (*begin, *change, partial(_write, formats))


def walk(work: Work, steps: Iterable[Step]) -> Transformed:
    """Take the steps one after another. One that fails is the last: there are no bodies, and what was reported until then is kept."""
    failure = None
    try:
        for step in steps:
            work = step(work)
    except (Unreadable, Unmappable) as error:
        failure = str(error)
    except Exception as error:  # a poison message must stop its own lane only; the type names the fault, the text could quote content
        failure = f"the conversion failed unexpectedly ({type(error).__name__}); the message is safe, report the error with its id"
    found = work.documents
    issues, unmapped = [issue for one in found for issue in one.issues], [path for one in found for path in one.unmapped]
    return Transformed(list(work.bodies), [one.document for one in found], issues, unmapped, failure)


def _hand_on(formats: Formats, work: Work) -> Work:
    """A native subscription passes on the bytes as they came."""
    came, wanted = work.delivery.entry.format, work.delivery.destination.format
    if came != wanted:
        raise Unmappable(f"a native subscription needs one format at both ends; this one goes from {came} to {wanted}")
    return Work(work.delivery, bodies=(Outbound(work.delivery.raw, formats[wanted].content_type),))


def _wanted(delivery: Delivery, *, changed: bool) -> Leftovers:
    """Leftovers are read for a destination that carries them, and for FHIR, which has a place for nearly all of them.

    FHIR is told from what was parsed where the document says the same; of one that operations change it has the leftovers only.
    """
    if delivery.destination.settings.get("leftovers") == "carry":
        return Leftovers.CARRY
    if delivery.route.working_model == "fhir":
        return Leftovers.WHERE_NEEDED
    if delivery.destination.format != "fhir":
        return Leftovers.NONE
    return Leftovers.CARRY if changed else Leftovers.WHERE_NEEDED


def _read(formats: Formats, leftovers: Leftovers, work: Work) -> Work:
    delivery = work.delivery
    settings = delivery.route.settings_of(delivery.source.settings if delivery.source else {})
    return Work(delivery, tuple(formats[delivery.entry.format].read(delivery.raw, settings, leftovers)))


def _to_fhir(formats: Formats, work: Work) -> Work:
    """Bring classic documents into the working model of a FHIR subscription: each a resource in its envelope."""
    entry, source = work.delivery.entry, work.delivery.source
    settings = work.delivery.route.settings_of(work.delivery.destination.settings)
    uid, found = str(source.uid) if source else "", []
    for number, one in enumerate(work.documents, 1):
        body, issues = formats["fhir"].write(one.document, settings, f"{entry.lane_id}x{entry.seq}-{number}", Origin(uid, one.parsed))
        found.append(_enveloped(orjson.loads(body), Converted(one.document, [*one.issues, *issues], one.unmapped)))
    return Work(work.delivery, tuple(found))


def _envelope(work: Work) -> Work:
    """What came as FHIR is in the working model of a FHIR subscription already."""
    return Work(work.delivery, (_enveloped(orjson.loads(work.delivery.raw), Converted({})),))


def _enveloped(resource: Json, came: Converted) -> Converted:
    """Put a resource into the envelope; a classic document tells when it happened and which notification says the same."""
    meta = came.document.get("Meta")
    old = meta if isinstance(meta, dict) else {}
    own = str(old.get("DataModel")), str(old.get("EventType"))
    told = own if own[0].startswith("FHIR.") else notification(*own)
    kind = str(resource.get("resourceType")) if isinstance(resource, dict) else ""
    model, event = told or (f"FHIR.{kind}", "create")
    named: dict[str, Json] = {"DataModel": model, "EventType": event}
    named.update((name, old[name]) for name in _KEPT if name in old)
    return Converted({"Meta": named, "Resource": resource}, came.issues, came.unmapped)


_KEPT = ("EventDateTime", "Test", "FacilityCode")


def _let_go(work: Work) -> Work:
    """A document that operations changed says something else than what it was made of."""
    return Work(work.delivery, tuple(Converted(one.document, one.issues, one.unmapped) for one in work.documents))


def _write(formats: Formats, work: Work) -> Work:
    """Address and write every document; where there are several, each has a suffix of its own."""
    delivery, several = work.delivery, len(work.documents) > 1
    words, settings = formats[delivery.destination.format], delivery.route.settings_of(delivery.destination.settings)
    number = f"{delivery.entry.lane_id}x{delivery.entry.seq}"
    documents: list[Converted] = []
    bodies: list[Outbound] = []
    for at, one in enumerate(work.documents, 1):
        suffix = f"-{at}" if several else ""
        document = _addressed(one.document, delivery, suffix)
        body, issues = words.write(document, settings, number + suffix, Origin(parsed=one.parsed))
        parts = words.split(body)
        bodies += [Outbound(part, words.content_type, f"{suffix}-{place}" if len(parts) > 1 else suffix) for place, part in enumerate(parts, 1)]
        documents.append(Converted(document, [*one.issues, *issues], one.unmapped))
    return Work(delivery, tuple(documents), tuple(bodies))


def _addressed(document: Document, delivery: Delivery, suffix: str) -> Document:
    """Fill in who sent it, who gets it, and the ids under which both sides find it again."""
    entry, source, destination = delivery.entry, delivery.source, delivery.destination
    meta = document.get("Meta")
    filled: Document = dict(meta) if isinstance(meta, dict) else {}
    if source is not None:
        filled["Source"] = {"ID": public("src", source.uid), "Name": source.name}
    filled["Destinations"] = [{"ID": public("dst", destination.uid), "Name": destination.name}]
    filled["Logs"] = [{"ID": public("msg", entry.message_id), "AttemptID": delivery_id(entry.lane_id, entry.seq) + suffix}]
    return {**document, "Meta": filled}

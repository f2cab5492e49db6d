"""A stored message becomes what its destination wants: read, check, write. Pure: the same bytes give the same result."""

from dataclasses import dataclass, field

import orjson

from carelane.domain.delivery import Entry
from carelane.domain.endpoint import Destination, Route, Source
from carelane.domain.errors import Unmappable, Unreadable
from carelane.domain.ids import delivery_id
from carelane.domain.message import Converted, Document, Issue, Json
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


def transform(raw: bytes, entry: Entry, route: Route, source: Source | None, destination: Destination, formats: Formats) -> Transformed:
    """Convert one message for one destination; never raises for content."""
    done = Transformed()
    try:
        if route.working_model == "native":
            if entry.format != destination.format:
                done.failure = f"a native subscription needs one format at both ends; this one goes from {entry.format} to {destination.format}"
            else:
                done.bodies.append(Outbound(raw, formats[destination.format].content_type))
            return done
        found = _read(raw, entry, route, source, destination, formats)
        for number, converted in enumerate(found):
            _write(converted, number, len(found), entry, route, source, destination, formats, done)
    except (Unreadable, Unmappable) as error:
        done.failure = str(error)
    except Exception as error:  # a poison message must stop its own lane only; the type names the fault, the text could quote content
        done.failure = f"the conversion failed unexpectedly ({type(error).__name__}); the message is safe, report the error with its id"
    return done


def _read(raw: bytes, entry: Entry, route: Route, source: Source | None, destination: Destination, formats: Formats) -> list[Converted]:
    """Read into the subscription's working model: classic documents, or FHIR resources in their envelope.

    Leftovers are read only for a destination that carries them, and for FHIR, which has a place for nearly all of them, where it is not told what came.
    """
    settings = dict(route.settings_of(source.settings if source else {}))
    if "fhir" in (route.working_model, destination.format) or destination.settings.get("leftovers") == "carry":
        settings["leftovers"] = "carry" if destination.settings.get("leftovers") == "carry" else "where-needed"
    if route.working_model != "fhir":
        return formats[entry.format].read(raw, settings)
    if entry.format == "fhir":
        return [_enveloped(orjson.loads(raw), entry, Converted({}))]
    found = []
    for number, one in enumerate(formats[entry.format].read(raw, settings)):
        wanted = {**route.settings_of(destination.settings), "origin": str(source.uid) if source else ""}
        body, issues = formats["fhir"].write(one.document, wanted, f"{entry.lane_id}x{entry.seq}-{number + 1}", one.came)
        found.append(_enveloped(orjson.loads(body), entry, Converted(one.document, [*one.issues, *issues], one.unmapped)))
    return found


def _enveloped(resource: Json, entry: Entry, came: Converted) -> Converted:
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


def _write(
    converted: Converted,
    number: int,
    count: int,
    entry: Entry,
    route: Route,
    source: Source | None,
    destination: Destination,
    formats: Formats,
    done: Transformed,
) -> None:
    words = formats[destination.format]
    suffix = f"-{number + 1}" if count > 1 else ""
    document = _addressed(converted.document, entry, source, destination, suffix)
    body, issues = words.write(document, route.settings_of(destination.settings), f"{entry.lane_id}x{entry.seq}{suffix}", converted.came)
    parts = words.split(body)
    for at, part in enumerate(parts, 1):
        done.bodies.append(Outbound(part, words.content_type, f"{suffix}-{at}" if len(parts) > 1 else suffix))
    done.documents.append(document)
    done.issues += [*converted.issues, *issues]
    done.unmapped += converted.unmapped


def _addressed(document: Document, entry: Entry, source: Source | None, destination: Destination, suffix: str) -> Document:
    """Fill in who sent it, who gets it, and the ids under which both sides find it again."""
    meta = document.get("Meta")
    filled: Document = dict(meta) if isinstance(meta, dict) else {}
    if source is not None:
        filled["Source"] = {"ID": public("src", source.uid), "Name": source.name}
    filled["Destinations"] = [{"ID": public("dst", destination.uid), "Name": destination.name}]
    filled["Logs"] = [{"ID": public("msg", entry.message_id), "AttemptID": delivery_id(entry.lane_id, entry.seq) + suffix}]
    return {**document, "Meta": filled}

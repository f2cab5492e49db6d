"""What a FHIR resource or bundle is: its parts, its data model and event, and the classic model that says the same."""

from typing import Any

import orjson

from carelane.domain.errors import Unreadable
from carelane.formats.fhir.direct.read import event_in
from carelane.models.fhir import FHIR_EVENTS, RESOURCES
from carelane.models.schemas import model_events

EVENTS = "http://terminology.hl7.org/CodeSystem/v2-0003"
OWN_EVENTS = "urn:carelane:fhir:event"
OWN_MODELS = "urn:carelane:data-model"
"""Tags of a MessageHeader: our notification, and the data model and event a bundle was written from."""
_MOST_DEPTH = 200
Resource = dict[str, Any]

_MODELS = (
    ("Appointment", "Scheduling"), ("Immunization", "Vaccination"), ("MedicationAdministration", "Medications"), ("MedicationRequest", "Medications"),
    ("DiagnosticReport", "Results"), ("DocumentReference", "Media"), ("ServiceRequest", "Order"), ("DeviceRequest", "Order"),
    ("ChargeItem", "Financial"), ("Encounter", "PatientAdmin"), ("Patient", "PatientAdmin"), ("Observation", "Results"), ("Coverage", "PatientAdmin"),
    ("Practitioner", "Provider"),
)  # fmt: skip


def parse(raw: bytes) -> Resource:
    """Read a resource.

    Raises:
        Unreadable: no JSON, no object, nested too deep, or no resource type of R4.
    """
    try:
        found = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise Unreadable(f"the body is not valid JSON: error at line {error.lineno}, column {error.colno}") from None
    if not isinstance(found, dict):
        raise Unreadable("the body is JSON, but no object")
    kind = found.get("resourceType")
    if not isinstance(kind, str) or kind not in RESOURCES:
        raise Unreadable("resourceType names no resource of FHIR R4")
    if _deeper(found, _MOST_DEPTH):
        raise Unreadable(f"the resource is nested deeper than {_MOST_DEPTH}")
    return found


def _deeper(value: Any, most: int) -> bool:
    waiting = [(value, 1)]
    while waiting:
        one, depth = waiting.pop()
        if depth > most:
            return True
        inner = one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
        waiting.extend((each, depth + 1) for each in inner if isinstance(each, dict | list))
    return False


def entries(resource: Resource) -> list[Resource]:
    """Return the resources of a bundle, or the resource itself."""
    if resource.get("resourceType") != "Bundle":
        return [resource]
    found = resource.get("entry")
    inner = [one.get("resource") for one in found if isinstance(one, dict)] if isinstance(found, list) else []
    return [one for one in inner if isinstance(one, dict) and isinstance(one.get("resourceType"), str)]


def names_of(resource: Resource) -> tuple[str, str]:
    """Return the FHIR data model and event of a resource: the notification of a message bundle, else ``FHIR.<Resource>`` and what is done with it."""
    header = next((one for one in entries(resource) if one["resourceType"] == "MessageHeader"), None)
    told = notification_of(header) if header is not None else ""
    for group, events in FHIR_EVENTS.items():
        if told in events:
            return group, told
    kind = str(resource["resourceType"])
    if kind == "Bundle":
        return "FHIR.Bundle", str(resource.get("type") or "collection")[:40]
    return f"FHIR.{kind}", "create"


def classics_in(resource: Resource) -> tuple[str, ...]:
    """Return the classic data model that reading a resource gives: that of the most telling type in it."""
    kinds = {one["resourceType"]: one for one in entries(resource)}
    told = model_of(kinds.get("MessageHeader", {})) or event_in([one for kind, one in kinds.items() if kind != "MessageHeader"])
    if told:
        return (told.partition(".")[0],)
    for wanted, model in _MODELS:
        if wanted in kinds:
            if wanted == "DocumentReference":
                return ("Notes",) if '"text/plain' in orjson.dumps(kinds[wanted].get("content")).decode() else ("Media",)
            return (model,)
    return ()


def model_of(header: Resource) -> str:
    """Return the data model and event a bundle was written from, such as ``Flowsheet.New``; empty where it does not say."""
    told = _tagged(header, OWN_MODELS)
    model, _, event = told.partition(".")
    return told if event in model_events().get(model, ()) else ""


def _tagged(header: Resource, system: str) -> str:
    meta = header.get("meta")
    tags = meta.get("tag") if isinstance(meta, dict) else None
    return next((str(one.get("code")) for one in tags if isinstance(one, dict) and one.get("system") == system), "") if isinstance(tags, list) else ""


def notification_of(header: Resource) -> str:
    """Return our notification from a message header: its event, or the tag we give it beside a v2 event."""
    event = header.get("eventCoding")
    code = str(event.get("code") or "") if isinstance(event, dict) else ""
    if any(code in events for events in FHIR_EVENTS.values()):
        return code
    return _tagged(header, OWN_EVENTS)

"""Models without HL7 v2 messages ↔ bundles: their plans, the patient by the way every patient takes, and what belongs to no resource."""

from collections.abc import Callable, Mapping
from typing import Any

from carelane.domain.errors import CarelaneError
from carelane.domain.message import Converted, Issue, Origin
from carelane.formats.fhir.assembly import Assembly
from carelane.formats.fhir.bundles import OWN_EVENTS, OWN_MODELS, Resource, entries, model_of
from carelane.formats.fhir.direct.kinds import instant
from carelane.formats.fhir.direct.plans import PLANS
from carelane.formats.fhir.direct.read import document_of, event_in
from carelane.formats.fhir.direct.remains import remains, with_remains
from carelane.formats.fhir.direct.write import compose
from carelane.formats.fhir.messages import Messages
from carelane.formats.hl7v2.read import read as read_hl7
from carelane.mapping.document import compile_get
from carelane.models.fhir import notification

Write = Callable[[Mapping[str, Any], Mapping[str, Any], str, Origin], tuple[dict[str, Any], list[Issue]]]
_PERSON = ("Demographics", "Identifiers", "Contacts", "Notes")


def written(
    document: Mapping[str, Any], settings: Mapping[str, Any], message_id: str, origin: Origin, write: Write
) -> tuple[list[Resource], Assembly, list[Issue]]:
    """Return the resources of a document, the header first; ``write`` writes the bundle of its patient."""
    meta = document.get("Meta") or {}
    model, event = str(meta.get("DataModel")), str(meta.get("EventType"))
    plan = PLANS[f"{model}.{event}"]
    source = meta.get("Source")
    named = str((source if isinstance(source, dict) else {}).get("ID") or origin.source)
    assembly = Assembly(named, message_id)
    person = compile_get(plan.patient)(dict(document)) if plan.patient else None
    link, issues = (
        (None, [])
        if not isinstance(person, dict)
        else _patient(person, meta, assembly, lambda about: write(about, {**settings, "bundle": "collection"}, message_id, Origin(origin.source)))
    )
    links, found = compose(document, plan, assembly, link)
    told = {key: value for key, value in document.items() if key != "Meta"}
    resources = list(assembly.resources.values())
    rest = remains(told, _document(f"{model}.{event}", resources))
    tags = [{"system": OWN_EVENTS, "code": known[1]}] if (known := notification(model, event)) else []
    header: Resource = {
        "resourceType": "MessageHeader",
        "id": assembly.identity("MessageHeader", message_id),
        "meta": {"tag": [*tags, {"system": OWN_MODELS, "code": f"{model}.{event}"}]},
        "eventCoding": {"system": OWN_MODELS, "code": f"{model}.{event}"},
        "source": {"name": str((source if isinstance(source, dict) else {}).get("Name") or "Carelane"), "endpoint": f"urn:carelane:local:{named or 'hub'}"},
    }
    if links:
        header["focus"] = links
    if rest is not None:
        head = next((one for one in resources if one["resourceType"] == "Composition"), next(iter(resources), header))
        head["extension"] = [*head.get("extension", []), {**rest, "url": _REST}]
    return [header, *resources], assembly, [*issues, *found]


_REST = "urn:carelane:extension:rest"
"""What of a document belongs to none of its resources."""


def _patient(
    person: Mapping[str, Any], meta: Mapping[str, Any], assembly: Assembly, write: Callable[[Mapping[str, Any]], tuple[dict[str, Any], list[Issue]]]
) -> tuple[dict[str, str] | None, list[Issue]]:
    """Add the patient as every other model's patient is written, and what that leaves out."""
    plain = {key: value for key, value in person.items() if key in _PERSON and value}
    if isinstance(demographics := plain.get("Demographics"), dict):
        mails = [one.get("Address") if isinstance(one, dict) else one for one in demographics.get("EmailAddresses") or []]
        plain["Demographics"] = {**demographics, "EmailAddresses": [one for one in mails if isinstance(one, str)]}
    about = {"Meta": {"DataModel": "PatientAdmin", "EventType": "PatientUpdate", "Source": meta.get("Source")}, "Patient": plain}
    bundle, issues = write(about)
    found = next((one["resource"] for one in bundle.get("entry", []) if one["resource"]["resourceType"] == "Patient"), None)
    if found is None:
        return None, issues
    resource = {key: value for key, value in found.items() if key not in ("id", "contact")}
    if left := remains(person, _person([resource])):
        resource["extension"] = [*resource.get("extension", []), left]
    return assembly.add(resource, found["id"]), issues


def _person(resources: list[Resource]) -> dict[str, Any]:
    """Return the patient of a bundle as documents have patients."""
    person = next((one for one in resources if one["resourceType"] == "Patient"), None)
    if person is None:
        return {}
    try:
        documents = [one.document for message in Messages([person]).messages() for one in read_hl7(message, {})]
    except CarelaneError:
        return {}
    found = documents[0].get("Patient") if documents else None
    return dict(found) if isinstance(found, dict) else {}


def _document(event: str, resources: list[Resource]) -> dict[str, Any]:
    person = next((one for one in resources if one["resourceType"] == "Patient"), None)
    patient = with_remains(_person(resources), person) if person is not None else None
    return document_of(event, resources, Messages(resources).resolve, patient)


def read(resource: Resource) -> list[Converted] | None:
    """Return the document of a bundle whose model has no HL7 v2 messages; None for every other bundle."""
    resources = entries(resource)
    header = next((one for one in resources if one["resourceType"] == "MessageHeader"), {})
    event = event_in([one for one in resources if one["resourceType"] != "MessageHeader"], model_of(header))
    if not event:
        return None
    found = _document(event, resources)
    for one in resources:
        extensions = one.get("extension")
        for part in extensions if isinstance(extensions, list) else ():
            if isinstance(part, dict) and part.get("url") == _REST:
                found = with_remains(found, {"extension": [{**part, "url": "urn:carelane:extension:remains"}]})
    model, _, name = event.rpartition(".")
    moment = instant(resource.get("timestamp"), None)
    meta: dict[str, Any] = {"DataModel": model, "EventType": name, **({"EventDateTime": moment} if moment else {}), "Test": False}
    return [Converted({"Meta": meta, **found})]

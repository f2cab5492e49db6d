"""Documents → FHIR R4 bundles, by way of the HL7 v2 fields that HL7's own tables map: one path, whatever the message came as."""

from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

from carelane.domain.errors import Unmappable
from carelane.domain.message import NOWHERE, Issue, Origin
from carelane.formats.fhir.assembly import Assembly, FhirContext
from carelane.formats.fhir.bundles import EVENTS, OWN_EVENTS, OWN_MODELS
from carelane.formats.fhir.compose import Composer, compose
from carelane.formats.fhir.direct.kinds import instant as timed
from carelane.formats.fhir.direct.write import plan_of
from carelane.formats.fhir.documents import written
from carelane.formats.fhir.elements import cut_times, instant
from carelane.formats.fhir.families import FAMILIES
from carelane.formats.fhir.nulls import without_nulls
from carelane.formats.hl7v2.message import parse
from carelane.formats.hl7v2.scope import Context, Scope
from carelane.formats.hl7v2.times import own_zone
from carelane.formats.hl7v2.triggers import codes, trigger_table
from carelane.formats.hl7v2.write import write as write_hl7
from carelane.mapping.overlay import overlay_of
from carelane.models.fhir import notification

_CONTROL = "urn:carelane:message-control-id"


def bundle_of(document: Mapping[str, Any], settings: Mapping[str, Any], message_id: str, origin: Origin = NOWHERE) -> tuple[dict[str, Any], list[Issue]]:
    """Write a document as a Bundle: ``message`` (with its header first), ``transaction`` or ``collection`` as the settings say.

    Where ``origin`` has the HL7 v2 message the document was made of, its fields need not be written anew.

    Raises:
        Unmappable: the model or event cannot be told in FHIR.
    """
    meta = document.get("Meta") or {}
    kind = str(settings.get("bundle") or "message")
    if plan_of(str(meta.get("DataModel")), str(meta.get("EventType"))):
        resources, assembly, issues = written(document, settings, message_id, origin, bundle_of)
        if kind != "message" and len(resources) == 1:
            raise Unmappable("nothing in the document has a resource of its own; only a message Bundle can carry it")
        return _bundle(kind, resources if kind == "message" else resources[1:], message_id, timed(meta.get("EventDateTime"), None), assembly), issues
    own = origin.parsed if isinstance(origin.parsed, Context) and overlay_of(settings) is None else None
    fields, issues = (own, []) if own is not None else _written(document, settings, message_id)
    message = without_nulls(fields.message)
    zone = fields.zone or (ZoneInfo(str(settings["time_zone"])) if settings.get("time_zone") else None)
    control = message.get("MSH", 10) or message_id
    source = meta.get("Source")
    named = str((source if isinstance(source, dict) else {}).get("ID") or origin.source or message.get("MSH", 3) or "")
    context = FhirContext(message, zone, assembly=Assembly(named, control, _part(meta)))
    code, trigger = codes(message)
    focus, found = compose(message, context, code, trigger, FAMILIES.get(code, lambda _work: []))
    header = [_header(context, document, focus, code, trigger)] if kind == "message" else []
    resources = [*header, *context.assembly.resources.values()]
    if context.zoneless:
        resources = [cut_times(one) for one in resources]
    return _bundle(kind, resources, context.assembly.named(), instant(message.get("MSH", 7) or "", Scope({}, context)), context.assembly), [*issues, *found]


def _part(meta: Mapping[str, Any]) -> str:
    """Return which of its message's documents one is, such as ``1.2``; empty where it is the only one."""
    told = (meta.get("Extensions") or {}).get("v2-part")
    return str(told.get("string") or "") if isinstance(told, dict) else ""


def _written(document: Mapping[str, Any], settings: Mapping[str, Any], message_id: str) -> tuple[Context, list[Issue]]:
    """Write a document's fields, with its leftovers, as HL7 v2 has them."""
    came: Any = next(iter(((document.get("Meta") or {}).get("Extensions") or {}).get("v2.MSH") or []), None)
    control = str((came or {}).get("10") or message_id) if isinstance(came, dict) else message_id
    raw, issues = write_hl7(document, {**settings, "leftovers": "carry", "version": "2.7"}, control)
    message = parse(raw)
    return Context(message, own_zone(message.get("MSH", 7))), issues


def _header(context: FhirContext, document: Mapping[str, Any], focus: list[dict[str, str]], code: str, trigger: str) -> dict[str, Any]:
    work = Composer(context.message, context, code, trigger)
    header = work.made("header", work.scope())
    line = trigger_table().get(code, {}).get(trigger)
    structure = (line.structure if line else context.message.get("MSH", 9, 3)) or ""
    header["eventCoding"] = {"system": EVENTS, "code": trigger, "display": "^".join(part for part in (code, trigger, structure) if part)}
    meta = document.get("Meta") or {}
    model, event = str(meta.get("DataModel")), str(meta.get("EventType"))
    tags = header.setdefault("meta", {}).setdefault("tag", [])
    if told := notification(model, event):
        tags.append({"system": OWN_EVENTS, "code": told[1]})
    tags.append({"system": OWN_MODELS, "code": f"{model}.{event}"})
    if focus:
        header["focus"] = focus
    identity = context.assembly.identity("MessageHeader", context.assembly.named())
    return {"resourceType": "MessageHeader", "id": identity, **header}


def _bundle(kind: str, resources: list[dict[str, Any]], control: str, moment: str | None, assembly: Assembly) -> dict[str, Any]:
    entries = []
    for one in resources:
        entry: dict[str, Any] = {"fullUrl": f"urn:uuid:{one['id']}", "resource": one}
        if kind == "transaction":
            entry["request"] = _request(one)
        entries.append(entry)
    found: dict[str, Any] = {"resourceType": "Bundle", "id": assembly.identity("Bundle", control), "type": kind}
    if kind == "message":
        found["identifier"] = {"system": _CONTROL, "value": control}
    if moment:
        found["timestamp"] = moment
    elif kind == "message":
        found["_timestamp"] = {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}]}
    if entries:
        found["entry"] = entries
    return found


_NAMED = frozenset(
    {"Patient", "RelatedPerson", "Practitioner", "PractitionerRole", "Organization", "Location", "Device", "Encounter", "EpisodeOfCare", "Account", "Coverage"}
)


def _request(resource: Mapping[str, Any]) -> dict[str, str]:
    """Create a resource, but whoever is known by an identifier with its system only once.

    An order, a report or a result is no such thing: several share a number, and a correction has that of what it corrects.
    """
    kind = str(resource["resourceType"])
    numbers = resource.get("identifier") if kind in _NAMED else None
    known = next((one for one in numbers if one.get("system") and one.get("value")), None) if isinstance(numbers, list) else None
    request = {"method": "POST", "url": kind}
    if known:
        request["ifNoneExist"] = f"identifier={known['system']}|{known['value']}"
    return request

"""Who and what takes part in an appointment: the patient, and the resources of AIP, AIL and AIG."""

from collections.abc import Callable
from typing import Any

from carelane.formats.fhir.elements import concept, leaves, time, trimmed
from carelane.formats.fhir.named import assembly_of, location, practitioner
from carelane.formats.hl7v2.scope import Scope

_STATUS = {
    "S15": "cancelled",
    "S16": "cancelled",
    "S17": "entered-in-error",
    "S26": "noshow",
    "S04": "cancelled",
    "S05": "cancelled",
    "S06": "entered-in-error",
}


def appointment(found: dict[str, Any], scope: Scope, patient: dict[str, str] | None, trigger: str) -> dict[str, Any]:
    """Complete an Appointment: its status where SCH-25 says none, and its participants, of which FHIR wants at least one."""
    found.setdefault("status", _STATUS.get(trigger, "proposed" if trigger.startswith("S0") else "booked"))
    parts = [{"actor": patient, "status": "accepted"}] if patient else []
    for name, read in (("AIP", practitioner), ("AIL", location), ("AIG", _thing)):
        parts += [one for segment in scope.segments.get(name, ()) if (one := _participant(segment, read, scope))]
    found["participant"] = [*parts, *found.get("participant", [])] or [{"actor": {"display": "unknown"}, "status": "needs-action"}]
    return found


def _participant(segment: Any, read: Callable[[str, Scope], dict[str, Any] | None], scope: Scope) -> dict[str, Any] | None:
    actor = read(segment.field(3).split(scope.context.message.seps.repetition)[0], scope) if segment.field(3) else None
    if actor is None:
        return None
    kind = concept(segment.field(4), scope) if segment.field(4) else None
    begins = {"AIP": 6, "AIL": 6, "AIG": 8}[segment.name]
    begin = time(scope.leaf(segment.field(begins)) or "", scope)
    period = {"start": begin} if begin else None
    return trimmed({"type": [kind] if kind else [], "actor": actor, "status": "accepted", "period": period})


def _thing(raw: str, scope: Scope) -> dict[str, Any] | None:
    """AIG-3 (CWE) → a Device."""
    get = leaves(raw, scope)
    if not get(1) and not get(2):
        return None
    name = [{"name": get(2), "type": "user-friendly-name"}] if get(2) else []
    resource = trimmed({"resourceType": "Device", "identifier": [{"value": get(1)}] if get(1) else [], "deviceName": name})
    return assembly_of(scope).add(resource, f"AIG|{get(1)}|{get(2)}")

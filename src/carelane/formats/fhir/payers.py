"""IN1 and IN2: who pays, for whom, under which group and plan."""

from typing import Any

from carelane.formats.fhir.assembly import key_of
from carelane.formats.fhir.elements import address, contact_point, each, human_name, leaves, trimmed
from carelane.formats.fhir.named import assembly_of
from carelane.formats.fhir.systems import authority_system
from carelane.formats.hl7v2.scope import Scope

_CLASS = "http://terminology.hl7.org/CodeSystem/coverage-class"


def coverage(found: dict[str, Any], scope: Scope, patient: dict[str, str] | None) -> dict[str, Any]:
    """Complete a Coverage: payor (IN1-3, 4, 5, 7), beneficiary, subscriber (IN1-16), class (IN1-8, 9, 35, IN1-2), policy (IN1-36)."""
    segment = scope.first("IN1")
    if segment is None:
        return found
    beneficiary = patient or {"display": "unknown"}
    found["beneficiary"] = beneficiary
    found["payor"] = [_company(scope) or beneficiary]
    policy = leaves(segment.field(36), scope)(1) if segment.field(36) else ""
    if policy:
        found.setdefault("identifier", []).append({"type": {"text": "policy number"}, "value": policy})
    if subscriber := _subscriber(scope, patient):
        found["subscriber"] = subscriber
    groups = [
        ("group", leaves(segment.field(8), scope)(1), leaves(segment.field(9), scope)(1)),
        ("plan", leaves(segment.field(2), scope)(1), leaves(segment.field(2), scope)(2)),
    ]
    classes = [
        {"type": {"coding": [{"system": _CLASS, "code": kind}]}, **trimmed({"value": value or name, "name": name})}
        for kind, value, name in groups
        if value or name
    ]
    if classes:
        found["class"] = classes
    return found


def _company(scope: Scope) -> dict[str, Any] | None:
    segment = scope.first("IN1")
    if segment is None:
        return None
    number, name = leaves(segment.field(3), scope), leaves(segment.field(4), scope)
    identifier = trimmed({"system": authority_system(number(4, 1), number(4, 2), number(4, 3)), "value": number(1)})
    where = [one for text in each(segment.field(5), scope) if (one := address(text, scope))]
    how = [one for text in each(segment.field(7), scope) if (one := contact_point(text, scope, "work"))]
    resource = trimmed({"identifier": [identifier] if number(1) else [], "name": name(1), "address": where, "telecom": how})
    if not resource:
        return None
    return assembly_of(scope).add({"resourceType": "Organization", **resource}, key_of(resource.get("identifier")) or f"{number(1)}|{name(1)}")


def _subscriber(scope: Scope, patient: dict[str, str] | None) -> dict[str, Any] | None:
    segment = scope.first("IN1")
    if segment is None:
        return None
    relation = leaves(segment.field(17), scope)(1).upper()
    if relation in ("SEL", "SELF", "01", "18", "ONESELF"):
        return patient
    name = human_name(segment.field(16).split(scope.context.message.seps.repetition)[0], scope) if segment.field(16) else None
    if name is None:
        return None
    from carelane.formats.fhir.functions import FUNCTIONS  # noqa: PLC0415

    gender = FUNCTIONS["code_gender"].read(segment.field(43), scope) if segment.field(43) else None
    where = [one for text in each(segment.field(19), scope) if (one := address(text, scope))]
    born = FUNCTIONS["day"].read(scope.leaf(segment.field(18)) or "", scope) if segment.field(18) else None
    resource = trimmed({"name": [name], "address": where, "birthDate": born, "gender": gender if isinstance(gender, str) else None})
    return assembly_of(scope).add({"resourceType": "RelatedPerson", "patient": patient or {"display": "unknown"}, **resource})

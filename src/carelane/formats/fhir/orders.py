"""Orders, results and specimens: elements made of several fields."""

from collections.abc import Mapping
from typing import Any

from carelane.formats.fhir import back
from carelane.formats.fhir.elements import (
    STRUCTURE,
    concept,
    contact_point,
    each,
    entity,
    extension,
    instant,
    leaves,
    number,
    period,
    time,
    trimmed,
    units,
)
from carelane.formats.fhir.making import field_of, leaf_of, of_raw, of_scope, of_text
from carelane.formats.fhir.named import assembly_of, at_organization, at_practitioner, organization, practitioner
from carelane.formats.fhir.systems import V2, vocabularies
from carelane.formats.fhir.values import collected
from carelane.formats.hl7v2.observations import bounds
from carelane.formats.hl7v2.scope import Scope
from carelane.mapping.edge import Function


def requester(_raw: Any, scope: Scope) -> dict[str, Any] | None:
    """ORC-12 (else OBR-16) for the organization of ORC-21 → a PractitionerRole, or the Practitioner alone."""
    separator = scope.context.message.seps.repetition
    who = practitioner((field_of(scope, "ORC", 12) or field_of(scope, "OBR", 16)).split(separator)[0], scope)
    who = at_practitioner(who, scope, field_of(scope, "ORC", 24))
    where = at_organization(organization(field_of(scope, "ORC", 21), scope), scope, where=field_of(scope, "ORC", 22), how=field_of(scope, "ORC", 23))
    if where is None:
        return who
    link = f"{(who or {}).get('reference')}@{where['reference']}"
    return assembly_of(scope).add(trimmed({"resourceType": "PractitionerRole", "practitioner": who, "organization": where}), link)


def requester_put(_item: dict[str, Any], value: Any, builder: Any) -> None:
    """The way back: OBR-16."""
    if parts := back.practitioner(value, builder):
        builder.put_field("OBR", 16, parts)


def occurrence(_raw: Any, scope: Scope) -> dict[str, Any] | None:
    """OBR-6 → occurrenceDateTime; TQ1-7 and 8 → occurrencePeriod."""
    moment = time(leaf_of(scope, "OBR", 6), scope)
    if moment:
        return {"occurrenceDateTime": moment}
    found = period(leaf_of(scope, "TQ1", 7), leaf_of(scope, "TQ1", 8), scope)
    return {"occurrencePeriod": found} if found else None


def relevant_information(raw: str, scope: Scope) -> dict[str, Any] | None:
    """OBR-13 → relevant clinical information."""
    found = concept(raw, scope)
    url = "http://hl7.org/fhir/5.0/StructureDefinition/extension-ServiceRequest.supportingInfo"
    return {"url": url, "valueCodeableConcept": found} if found else None


def callback(raw: str, scope: Scope) -> dict[str, Any] | None:
    """ORC-14, OBR-17 → the number to call back."""
    found = contact_point(raw, scope)
    return extension("servicerequest-order-callback-phone-number", "ContactPoint", found) if found else None


def report_effective(_raw: Any, scope: Scope) -> dict[str, Any] | None:
    """OBR-7 and OBR-8."""
    begin, finish = time(leaf_of(scope, "OBR", 7), scope), time(leaf_of(scope, "OBR", 8), scope)
    if begin and not finish:
        return {"effectiveDateTime": begin}
    return {"effectivePeriod": trimmed({"start": begin, "end": finish})} if begin or finish else None


def observation_category(raw: str, scope: Scope) -> dict[str, Any] | None:
    """OBX-29, table 0936 → category."""
    code = leaves(raw, scope)(1)
    return {"coding": [{"system": V2 + "0936", "code": code}]} if code else None


def observer(raw: str, scope: Scope) -> list[dict[str, Any]] | None:
    """OBX-16 → PractitionerRoles of responsible observers."""
    role = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/practitioner-role", "code": "responsibleObserver"}]}
    found = []
    for text in each(raw, scope):
        if who := practitioner(text, scope):
            found.append(assembly_of(scope).add({"resourceType": "PractitionerRole", "practitioner": who, "code": [role]}, f"observer|{who['reference']}"))
    return found or None


def laboratory(_raw: Any, scope: Scope) -> dict[str, Any] | None:
    """OBX-23 and 24 → who performed it, where no director is named."""
    if field_of(scope, "OBX", 25):
        return None
    return at_organization(organization(field_of(scope, "OBX", 23), scope), scope, where=field_of(scope, "OBX", 24))


def director(_raw: Any, scope: Scope) -> dict[str, Any] | None:
    """OBX-25 at the laboratory of OBX-23 and 24 → a PractitionerRole."""
    who = practitioner(field_of(scope, "OBX", 25), scope)
    if who is None:
        return None
    where = at_organization(organization(field_of(scope, "OBX", 23), scope), scope, where=field_of(scope, "OBX", 24))
    role = {"coding": [{"system": V2 + "0912", "code": "MDIR"}]}
    link = f"MDIR|{who['reference']}@{(where or {}).get('reference')}"
    return assembly_of(scope).add(trimmed({"resourceType": "PractitionerRole", "practitioner": who, "organization": where, "code": [role]}), link)


def device(raw: str, scope: Scope) -> dict[str, Any] | None:
    """OBX-18 (EI) → a reference to a Device."""
    found = entity(raw, scope)
    if found is None:
        return None
    return assembly_of(scope).add({"resourceType": "Device", "identifier": [found]}, f"{found.get('system', '')}|{found['value']}")


def reference_range(raw: str, scope: Scope) -> dict[str, Any] | None:
    """OBX-7 → referenceRange: always the text; low and high where it reads as two numbers."""
    text = leaves(raw, scope)(1)
    if not text:
        return None
    unit = field_of(scope, "OBX", 6)
    more = units(unit, scope) if unit else {}
    low, high = bounds(text)
    return trimmed({"low": {"value": low, **more} if low is not None else None, "high": {"value": high, **more} if high is not None else None, "text": text})


def range_back(value: Any, _builder: Any) -> list[str] | None:
    """The first referenceRange → OBX-7: its text, else its ends as people write them."""
    one = value[0] if isinstance(value, list) and value else None
    if not isinstance(one, dict):
        return None
    if one.get("text"):
        return [str(one["text"])]
    low, high = ((one.get(name) or {}).get("value") for name in ("low", "high"))
    if low is not None and high is not None:
        return [f"{low}-{high}"]
    return [f">={low}"] if low is not None else [f"<={high}"] if high is not None else None


def nature(raw: str, scope: Scope) -> dict[str, Any] | None:
    """OBX-10, table 0080."""
    found = concept(raw, scope, vocabularies()["nature"])
    return extension("observation-nature-of-abnormal-test", "CodeableConcept", found) if found else None


def analysed(value: str, scope: Scope) -> dict[str, Any] | None:
    """OBX-19 → when it was analysed."""
    moment = time(value, scope)
    return extension("observation-analysis-date-time", "DateTime", moment) if moment else None


def group_id(value: str, _scope: Scope) -> dict[str, Any]:
    """OBX-4 → what ties results together."""
    return extension("observation-v2-subid", "String", value)


def collected_at(_raw: Any, scope: Scope) -> str | None:
    """SPM-17, else OBR-7: one moment."""
    return collected(scope).get("collectedDateTime")


def collected_over(_raw: Any, scope: Scope) -> dict[str, Any] | None:
    """SPM-17, else OBR-7 and 8: a period."""
    return collected(scope).get("collectedPeriod")


def original_time(value: str, scope: Scope) -> dict[str, Any] | None:
    """A time of day without a zone is no instant: the element says so, and what was sent."""
    if instant(value, scope) is not None:
        return None
    absent = {"url": STRUCTURE + "data-absent-reason", "valueCode": "unknown"}
    return {"extension": [absent, extension("originalText", "String", value)]}


def measured(raw: str, scope: Scope) -> dict[str, Any] | None:
    """CQ → Quantity."""
    get = leaves(raw, scope)
    value = number(get(1))
    return trimmed({"value": value, "unit": get(2, 2) or get(2), "code": ""}) if value is not None else None


def container(_raw: Any, scope: Scope) -> list[dict[str, Any]] | None:
    """SPM-27 → container.type, SPM-6 → its additive."""
    kind, additive = field_of(scope, "SPM", 27), field_of(scope, "SPM", 6)
    found = trimmed(
        {"type": concept(kind, scope) if kind else None, "additiveCodeableConcept": concept(additive, scope, vocabularies()["additive"]) if additive else None}
    )
    return [found] if found else None


def described(raw: str, scope: Scope) -> list[dict[str, Any]] | None:
    """Texts → Annotations."""
    return [{"text": text} for one in each(raw, scope) if (text := leaves(one, scope)(1))] or None


def remarked(raw: str, scope: Scope) -> list[dict[str, Any]] | None:
    """CWE comments → Annotations: the text, else the code."""
    found = [leaves(one, scope) for one in each(raw, scope)]
    return [{"text": text} for get in found if (text := get(2) or get(9) or get(1))] or None


ORDERS: Mapping[str, Function] = {
    "occurrence": of_scope(occurrence),
    "requester": of_scope(requester, requester_put),
    "relevant_information": of_raw(relevant_information),
    "callback": of_raw(callback),
    "report_effective": of_scope(report_effective, back.effective),
    "observation_category": of_raw(observation_category),
    "observers": of_raw(observer, back.practitioners),
    "director": of_scope(director),
    "laboratory": of_scope(laboratory),
    "device": of_raw(device),
    "reference_range": of_raw(reference_range, range_back),
    "nature": of_raw(nature),
    "analysed": of_text(analysed),
    "group_id": of_text(group_id),
    "collected_at": of_scope(collected_at),
    "collected_over": of_scope(collected_over),
    "original_time": of_text(original_time),
    "measured": of_raw(measured),
    "container": of_scope(container),
    "described": of_raw(described),
    "remarked": of_raw(remarked),
    "filler_group_id": of_raw(lambda raw, scope: entity(raw, scope, "FGN")),
}
"""The functions by the names packs use."""

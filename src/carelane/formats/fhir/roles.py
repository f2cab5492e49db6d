"""Who takes part and in which role: PRT and ROL (chapters 7 and 15) → PractitionerRole, Device and CareTeam, each with what the segment before it tells."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from carelane.formats.fhir.elements import address, concept, contact_point, each, entity, leaves, period, trimmed
from carelane.formats.fhir.making import of_scope
from carelane.formats.fhir.named import assembly_of, location, organization, practitioner
from carelane.formats.fhir.systems import vocabularies
from carelane.formats.hl7v2.message import Segment
from carelane.formats.hl7v2.scope import Scope
from carelane.mapping.edge import Function

Link = dict[str, Any]
# Where PRT and ROL say the same: role, person, kind of provider, organization, place, begin, end, addresses, telephones.
_PLACES: Mapping[str, tuple[int, ...]] = {"PRT": (4, 5, 6, 8, 9, 11, 12, 14, 15), "ROL": (3, 4, 9, 14, 13, 5, 6, 11, 12)}
_BESIDE = frozenset({"PRT", "ROL", "NTE"})
_HANDLED = frozenset({"PID", "PD1", "PV1", "PV2", "OBX"})
"""The segments whose own resources name who takes part."""


def taking_part(members: Sequence[Segment], *owners: str) -> list[Segment]:
    """Return the PRT and ROL that follow segments of some names, with only others of their kind and notes between."""
    return [segment for segment, owner in _owned(members) if owner in owners]


def left_over(members: Sequence[Segment]) -> list[Segment]:
    """Return the PRT and ROL whose segment has no element for them: they take part in the care."""
    return [segment for segment, owner in _owned(members) if owner not in _HANDLED]


def _owned(members: Sequence[Segment]) -> Iterator[tuple[Segment, str]]:
    owner = ""
    for segment in members:
        if segment.name in _PLACES:
            yield segment, owner
        elif segment.name not in _BESIDE:
            owner = segment.name


def role_of(segment: Segment, scope: Scope) -> dict[str, Any] | None:
    """What somebody does, as a concept."""
    raw = segment.field(_PLACES[segment.name][0])
    return concept(raw, scope, vocabularies()["staff_role"]) if raw else None


def code_of(segment: Segment, scope: Scope) -> str:
    """The code of the role, such as PP for the primary care provider (table 0443)."""
    return leaves(segment.field(_PLACES[segment.name][0]), scope)(1)


def span_of(segment: Segment, scope: Scope) -> dict[str, Any]:
    """From when until when."""
    begin, end = _PLACES[segment.name][5:7]
    return period(scope.leaf(segment.field(begin)) or "", scope.leaf(segment.field(end)) or "", scope)


def person(segment: Segment, scope: Scope) -> Link | None:
    """Add the PractitionerRole a segment names, with the person, the organization and the place; the organization alone where nobody is named."""
    _, who, kind, for_whom, where, _, _, addresses, telephones = _PLACES[segment.name]
    practising = next((found for raw in each(segment.field(who), scope) if (found := practitioner(raw, scope))), None)
    serving = next((found for raw in each(segment.field(for_whom), scope) if (found := organization(raw, scope))), None)
    place = next((found for raw in each(segment.field(where), scope) if (found := location(raw, scope))), None)
    at = [found for raw in each(segment.field(addresses), scope) if (found := address(raw, scope))]
    how = [found for raw in each(segment.field(telephones), scope) if (found := contact_point(raw, scope))]
    if at and (holder := practising or serving):
        assembly_of(scope).resources[holder["reference"].removeprefix("urn:uuid:")].setdefault("address", at)
    if not (practising or serving or place):
        return None
    role, speciality = role_of(segment, scope), concept(segment.field(kind), scope) if segment.field(kind) else None
    resource = trimmed(
        {
            "resourceType": "PractitionerRole",
            "period": span_of(segment, scope),
            "practitioner": practising,
            "organization": serving,
            "code": [role] if role else [],
            "specialty": [speciality] if speciality else [],
            "location": [place] if place else [],
            "telecom": how,
        }
    )
    return assembly_of(scope).add(resource)


def device(segment: Segment, scope: Scope) -> Link | None:
    """Add the Device a PRT names (PRT-10, 16 to 22)."""
    if segment.name != "PRT" or not any(segment.field(number) for number in (10, 16, 19, 20)):
        return None
    numbers = [found for number in (10, 16) for raw in each(segment.field(number), scope) if (found := entity(raw, scope))]
    dates = [span.get("start") for number in (17, 18) if (span := period(scope.leaf(segment.field(number)) or "", "", scope)) or True]
    kind = concept(segment.field(22), scope) if segment.field(22) else None
    texts = [leaves(segment.field(number), scope)(1) for number in (19, 20, 21)]
    resource = trimmed(
        {"identifier": numbers, "manufactureDate": dates[0], "expirationDate": dates[1], "lotNumber": texts[0], "serialNumber": texts[1],
         "distinctIdentifier": texts[2], "type": kind}
    )  # fmt: skip
    return assembly_of(scope).add({"resourceType": "Device", **resource}) if resource else None


def observers(_raw: Any, scope: Scope) -> list[Link] | None:
    """PRT of a result → who performed it."""
    return [found for segment in scope.segments.get("PRT", ()) if (found := person(segment, scope))] or None


def instrument(_raw: Any, scope: Scope) -> Link | None:
    """PRT of a result → the device it was made with, where OBX-18 names none."""
    result = scope.first("OBX")
    if result is None or result.field(18):
        return None
    return next((found for segment in scope.segments.get("PRT", ()) if (found := device(segment, scope))), None)


def team(segments: Sequence[Segment], scope: Scope) -> list[dict[str, Any]]:
    """Return who takes part, as participants of a CareTeam."""
    found = []
    for segment in segments:
        device(segment, scope)
        if link := person(segment, scope):
            role = role_of(segment, scope)
            found.append(trimmed({"role": [role] if role else [], "member": link, "period": span_of(segment, scope)}))
    return found


ROLES: Mapping[str, Function] = {"taking_part": of_scope(observers), "instrument": of_scope(instrument)}
"""The functions by the names packs use."""

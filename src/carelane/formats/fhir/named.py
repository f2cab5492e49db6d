"""HL7 v2 data types that become resources of their own: people (XCN, CNN), organizations (XON, HD), places (PL)."""

import re
from typing import Any

from carelane.formats.fhir.assembly import Assembly, key_of
from carelane.formats.fhir.elements import address, assigner, concept, contact_point, human_name, identifier, leaves, trimmed
from carelane.formats.fhir.systems import IDENTIFIER_TYPE, NPI, V2, authority_system
from carelane.formats.hl7v2.scope import Scope

_PHYSICAL = "http://terminology.hl7.org/CodeSystem/location-physical-type"
# PL components from the widest place to the narrowest, with their physical type.
_PLACES = ((4, "si", "Site"), (7, "bu", "Building"), (8, "lvl", "Level"), (1, "wa", "Ward"), (2, "ro", "Room"), (3, "bd", "Bed"))


def assembly_of(scope: Scope) -> Assembly:
    """Return the bundle that a scope's conversion puts together."""
    found: Assembly = scope.context.assembly  # type: ignore[attr-defined]
    return found


def practitioner(raw: str, scope: Scope) -> dict[str, Any] | None:
    """XCN → a reference to a Practitioner."""
    if not raw:
        return None
    get = leaves(raw, scope)
    name = human_name(raw, scope, shift=1)
    if not get(1) and not name:
        return None
    kind = get(13)
    system = NPI if kind == "NPI" else authority_system(get(9, 1), get(9, 2), get(9, 3))
    number = trimmed(
        {
            "type": {"coding": [{"system": IDENTIFIER_TYPE, "code": kind}]} if kind else None,
            "system": system,
            "value": get(1),
            "assigner": assigner(get(9, 1), get(9, 2), get(9, 3), system),
        }
    )
    degree = {"code": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0360", "code": get(7)}]}} if get(7) else None
    resource = trimmed(
        {
            "resourceType": "Practitioner",
            "identifier": [number] if get(1) else [],
            "name": [name] if name else [],
            "qualification": [degree] if degree else [],
        }
    )
    key = key_of(resource.get("identifier")) or (f"{get(1)}|{get(2)}|{get(3)}" if get(1) else f"name|{get(2)}|{get(3)}|{get(4)}")
    return assembly_of(scope).add(resource, key)


def person_name(raw: str, scope: Scope) -> dict[str, Any] | None:
    """CNN, with its parts as sub-components of NDL-1 → a reference to a Practitioner."""
    get = leaves(raw, scope)
    names = [get(1, at) for at in range(1, 12)]
    if not any(names[:3]):
        return None
    name = trimmed(
        {"family": names[1], "given": [one for one in names[2:4] if one], "suffix": [names[4]] if names[4] else [], "prefix": [names[5]] if names[5] else []}
    )
    system = authority_system(names[8], names[9], names[10])
    number = trimmed({"system": system, "value": names[0]})
    resource = trimmed({"resourceType": "Practitioner", "identifier": [number] if names[0] else [], "name": [name] if name else []})
    return assembly_of(scope).add(resource, key_of(resource.get("identifier")) or "|".join(names[:4]))


def organization(raw: str, scope: Scope) -> dict[str, Any] | None:
    """XON → a reference to an Organization."""
    if not raw:
        return None
    get = leaves(raw, scope)
    value = get(10) or get(3)
    if not get(1) and not value:
        return None
    system = authority_system(get(6, 1), get(6, 2), get(6, 3))
    number = trimmed(
        {
            "type": {"coding": [{"system": IDENTIFIER_TYPE, "code": get(7)}]} if get(7) else None,
            "system": system,
            "value": value,
            "assigner": assigner(get(6, 1), get(6, 2), get(6, 3), system),
        }
    )
    resource = trimmed({"resourceType": "Organization", "identifier": [number] if value else [], "name": get(1)})
    return assembly_of(scope).add(resource, key_of(resource.get("identifier")) or f"{get(1)}|{value}")


def authority(raw: str, scope: Scope, kind: str = "Organization") -> dict[str, Any] | None:
    """HD → a reference to an Organization, or to a Device where it names an application."""
    get = leaves(raw, scope)
    parts = [get(at) for at in (1, 2, 3)]
    if not parts[0] and not parts[1]:
        return None
    identifiers = [{"value": parts[0]}] if parts[0] else []
    if parts[1]:
        identifiers.append(_universal(parts[1], parts[2]))
    resource = trimmed({"resourceType": kind, "identifier": identifiers, **({"name": parts[0] or parts[1]} if kind == "Organization" else {})})
    return assembly_of(scope).add(resource, "HD|" + "|".join(parts))


def _universal(value: str, kind: str) -> dict[str, Any]:
    """HD-2 of type HD-3 → Identifier."""
    system = authority_system("", value, kind)
    uri = system if system.startswith(("urn:oid:", "urn:uuid:")) else None
    typed = {"type": {"coding": [{"system": V2 + "0301", "code": kind}]}} if kind else {}
    return {**typed, "system": "urn:ietf:rfc:3986", "value": uri} if uri else {**typed, "value": value}


def organization_of_code(raw: str, scope: Scope) -> dict[str, Any] | None:
    """CWE that names a maker or a laboratory → a reference to an Organization."""
    get = leaves(raw, scope)
    if not get(1) and not get(2):
        return None
    system = concept(raw, scope)
    number = trimmed({"system": ((system or {}).get("coding") or [{}])[0].get("system", ""), "value": get(1)})
    resource = trimmed({"resourceType": "Organization", "identifier": [number] if get(1) else [], "name": get(2) or get(9) or get(1)})
    return assembly_of(scope).add(resource, key_of(resource.get("identifier")) or f"{get(1)}|{get(2)}")


def location(raw: str, scope: Scope) -> dict[str, Any] | None:
    """PL → a reference to the narrowest Location it names; each wider one is what it is part of."""
    get = leaves(raw, scope)
    path, last = "", None
    for component, code, _ in _PLACES:
        text, universal = get(component, 1), get(component, 2)
        if not text and not universal:
            continue
        path += f"|{code}:{text or universal}"
        system = authority_system("", universal, get(component, 3)) if universal else ""
        numbers = [trimmed({"value": text})] if text else []
        if universal:
            uri = system if system.startswith(("urn:oid:", "urn:uuid:")) else ""
            numbers.append(trimmed({"system": "urn:ietf:rfc:3986" if uri else "", "value": uri or universal}))
        resource = trimmed(
            {
                "resourceType": "Location",
                "identifier": numbers,
                "name": text or universal,
                "mode": "instance",
                "physicalType": {"coding": [{"system": _PHYSICAL, "code": code}]},
                "partOf": last,
            }
        )
        last = assembly_of(scope).add(resource, path)
    if last is None:
        if not get(9):
            return None
        return assembly_of(scope).add({"resourceType": "Location", "mode": "instance", "name": get(9), "description": get(9)}, f"PL9|{get(9)}")
    if get(9):
        assembly_of(scope).resources[last["reference"].removeprefix("urn:uuid:")].setdefault("description", get(9))
    return last


def discharge_location(raw: str, scope: Scope) -> dict[str, Any] | None:
    """DLD → a reference to a Location of that type."""
    get = leaves(raw, scope)
    code = get(1, 1)
    if not code:
        return None
    kind = {"coding": [trimmed({"system": V2 + "0113", "code": code, "display": get(1, 2)})]}
    return assembly_of(scope).add({"resourceType": "Location", "mode": "kind", "name": get(1, 2) or code, "type": [kind]}, f"DLD|{code}")


def address_place(raw: str, scope: Scope) -> dict[str, Any] | None:
    """XAD → a reference to a Location at that address."""
    found = address(raw, scope)
    if found is None:
        return None
    return assembly_of(scope).add({"resourceType": "Location", "mode": "instance", "address": found}, "XAD|" + re.sub(r"\s+", " ", raw))


def at_organization(link: dict[str, Any] | None, scope: Scope, *, where: str = "", how: str = "") -> dict[str, Any] | None:
    """Give an Organization an address (XAD) and telephone numbers (XTN)."""
    if link is None:
        return None
    resource = assembly_of(scope).resources[link["reference"].removeprefix("urn:uuid:")]
    if where and (found := address(where, scope)):
        resource.setdefault("address", [found])
    if how and (point := contact_point(how, scope)):
        resource.setdefault("telecom", [point])
    return link


def at_practitioner(link: dict[str, Any] | None, scope: Scope, where: str) -> dict[str, Any] | None:
    """Give a Practitioner an address (XAD)."""
    if link is not None and where and (found := address(where, scope)):
        assembly_of(scope).resources[link["reference"].removeprefix("urn:uuid:")].setdefault("address", [found])
    return link


def contact_at(link: dict[str, Any] | None, scope: Scope, name: str, where: str) -> dict[str, Any] | None:
    """Give an Organization whom to ask: a name (XPN), an address (XAD)."""
    person, place = human_name(name, scope) if name else None, address(where, scope) if where else None
    if link is not None and (person or place):
        resource = assembly_of(scope).resources[link["reference"].removeprefix("urn:uuid:")]
        resource.setdefault("contact", [trimmed({"name": person, "address": place})])
    return link


def episode(raw: str, scope: Scope) -> dict[str, Any] | None:
    """CX of PV1-54 → a reference to an EpisodeOfCare, of which no more is known."""
    number = identifier(raw, scope)
    if number is None:
        return None
    patient = assembly_of(scope).of("Patient")
    resource = {
        "resourceType": "EpisodeOfCare",
        "identifier": [number],
        "_status": {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}]},
        "patient": {"reference": f"urn:uuid:{patient[0]['id']}"} if patient else {"display": "unknown"},
    }
    return assembly_of(scope).add(resource, key_of([number]))


def mother(raw: str, scope: Scope) -> dict[str, Any] | None:
    """CX of PID-21 → a reference to a RelatedPerson who is the mother."""
    number = identifier(raw, scope)
    if number is None:
        return None
    patient = assembly_of(scope).of("Patient")
    resource = {
        "resourceType": "RelatedPerson",
        "identifier": [number],
        "patient": {"reference": f"urn:uuid:{patient[0]['id']}"} if patient else {"display": "patient"},
        "relationship": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-RoleCode", "code": "MTH"}]}],
    }
    return assembly_of(scope).add(resource, key_of([number]) or f"mother|{number['value']}")

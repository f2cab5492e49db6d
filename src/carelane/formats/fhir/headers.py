"""MessageHeader, EVN and encounters: elements made of several fields."""

from collections.abc import Callable, Mapping
from typing import Any

from carelane.formats.fhir.elements import (
    ABSENT,
    address,
    contact_point,
    each,
    leaves,
    number,
    time,
    trimmed,
)
from carelane.formats.fhir.making import field_of, leaf_of, member, of_raw, of_scope, of_text
from carelane.formats.fhir.named import assembly_of, authority, location, organization, practitioner
from carelane.formats.fhir.systems import LOCAL, V2, authority_system, slug, system_of
from carelane.formats.hl7v2.scope import Scope
from carelane.mapping.edge import Function

_AGENT = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"


def header_source(_raw: Any, scope: Scope) -> dict[str, Any]:
    """MSH-3 (HD) and the software of SFT-2 and 3 → source; an endpoint is required, so one is made of the name where no universal id is given."""
    get = leaves(field_of(scope, "MSH", 3), scope)
    product = scope.first("SFT")
    made = leaves(product.field(3), scope)(1) if product is not None else ""
    version = leaves(product.field(2), scope)(1) if product is not None else ""
    endpoint = _endpoint(field_of(scope, "MSH", 24) or field_of(scope, "MSH", 3), scope)
    return trimmed({"name": get(1) or get(2), "software": made or get(2), "version": version, "endpoint": endpoint})


def _endpoint(raw: str, scope: Scope) -> str:
    get = leaves(raw, scope)
    return authority_system("", get(2), get(3)) or LOCAL + slug(get(1) or "unknown")


def header_destination(_raw: Any, scope: Scope) -> list[dict[str, Any]] | None:
    """MSH-5 and MSH-6 → destination."""
    raw = field_of(scope, "MSH", 25) or field_of(scope, "MSH", 5)
    receiver = authority(field_of(scope, "MSH", 6), scope)
    if not raw and receiver is None:
        return None
    get = leaves(raw, scope)
    target = authority(field_of(scope, "MSH", 5), scope, "Device")
    receiver = organization(field_of(scope, "MSH", 23), scope) or receiver
    return [trimmed({"name": get(1) or get(2), "target": target, "endpoint": _endpoint(raw, scope), "receiver": receiver})]


def header_sender(_raw: Any, scope: Scope) -> dict[str, Any] | None:
    """MSH-4 (HD) → sender, in the country of MSH-17."""
    link, country = authority(field_of(scope, "MSH", 4), scope), leaf_of(scope, "MSH", 17)
    if not country:
        return link
    if link is None:
        return assembly_of(scope).add({"resourceType": "Organization", "_name": ABSENT, "address": [{"country": country}]}, f"MSH17|{country}")
    assembly_of(scope).resources[link["reference"].removeprefix("urn:uuid:")].setdefault("address", [{"country": country}])
    return link


def header_meta(_raw: Any, scope: Scope) -> dict[str, Any] | None:
    """MSH-11 (PT) → meta.tag, MSH-8 → a security label in words."""
    tags = [{"system": V2 + table, "code": code} for table, code in (("0103", leaf_of(scope, "MSH", 11)), ("0207", leaf_of(scope, "MSH", 11, 2))) if code]
    security = [{"display": text}] if (text := leaf_of(scope, "MSH", 8)) else []
    return {"meta": trimmed({"tag": tags, "security": security})} if tags or security else None


def _agent(code: str) -> Callable[[str, Scope], list[dict[str, Any]] | None]:
    def read(raw: str, scope: Scope) -> list[dict[str, Any]] | None:
        kind = {"type": {"coding": [{"system": _AGENT, "code": code}]}} if code else {}
        return [{**kind, "who": who} for text in each(raw, scope) if (who := practitioner(text, scope))] or None

    return read


def ordering_place(_raw: Any, scope: Scope) -> dict[str, Any] | None:
    """ORC-21, 22, 23 → the place an order comes from."""
    name, where, how = field_of(scope, "ORC", 21), field_of(scope, "ORC", 22), field_of(scope, "ORC", 23)
    get = leaves(name, scope)
    point = contact_point(how, scope) if how else None
    resource = trimmed({"name": get(1), "address": address(where, scope) if where else None, "telecom": [point] if point else []})
    if not resource:
        return None
    return assembly_of(scope).add({"resourceType": "Location", "mode": "instance", **resource}, f"ORC21|{name}|{where}")


def stay(_raw: Any, scope: Scope) -> dict[str, Any] | None:
    """PV2-11, actual length of stay in days."""
    days = number(leaf_of(scope, "PV2", 11))
    return {"length": {"value": days, "unit": "days", "system": "http://unitsofmeasure.org", "code": "d"}} if days is not None else None


def _planned(which: str) -> Callable[[str, Scope], dict[str, Any] | None]:
    def read(value: str, scope: Scope) -> dict[str, Any] | None:
        moment = time(value, scope)
        return {"url": f"http://hl7.org/fhir/5.0/StructureDefinition/extension-Encounter.planned{which}Date", "valueDateTime": moment} if moment else None

    return read


def plan_identifier(raw: str, scope: Scope) -> dict[str, Any] | None:
    """IN1-2 (CWE) → Coverage.identifier."""
    get = leaves(raw, scope)
    return trimmed({"system": system_of(get(3)) if get(3) else "", "value": get(1)}) if get(1) else None


HEADERS: Mapping[str, Function] = {
    "header_source": of_scope(header_source),
    "header_sender": of_scope(header_sender),
    "header_destination": of_scope(header_destination),
    "header_meta": of_scope(header_meta),
    "operator": of_raw(_agent("")),
    "enterer": of_raw(_agent("enterer")),
    "verifier": of_raw(_agent("verifier")),
    "author": of_raw(_agent("author")),
    "acting": of_raw(_agent("performer")),
    "ordering_place": of_scope(ordering_place),
    "stay": of_scope(stay),
    "planned_start": of_text(_planned("Start")),
    "planned_end": of_text(_planned("End")),
    "plan_identifier": of_raw(plan_identifier, member("value")),
    "facility": of_raw(lambda raw, scope: location("^^^" + raw.replace("^", "&"), scope)),
}
"""The functions by the names packs use."""

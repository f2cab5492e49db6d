"""Named functions of single resources, for elements that are made of several fields."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from carelane.formats.fhir import back
from carelane.formats.fhir.elements import (
    STRUCTURE,
    address,
    attachment,
    concept,
    contact_point,
    each,
    entity,
    extension,
    instant,
    leaves,
    number,
    period,
    plain,
    time,
    trimmed,
    units,
)
from carelane.formats.fhir.named import address_place, assembly_of, at_organization, authority, location, organization, practitioner
from carelane.formats.fhir.systems import IDENTIFIER_TYPE, LOCAL, V2, authority_system, slug, system_of, vocabularies
from carelane.formats.fhir.values import collected
from carelane.formats.hl7v2.clinical import appointment_minutes
from carelane.formats.hl7v2.scope import Scope
from carelane.mapping.edge import Function

_AGENT = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"


def _field(scope: Scope, name: str, field: int) -> str:
    segment = scope.first(name)
    return segment.field(field) if segment is not None else ""


def _leaf(scope: Scope, name: str, field: int, component: int = 1) -> str:
    raw = _field(scope, name, field)
    return leaves(raw.split(scope.context.message.seps.repetition)[0], scope)(component) if raw else ""


def _minutes(start: str, amount: float) -> str | None:
    """A moment so many minutes later."""
    if "T" not in start:
        return None
    moment = datetime.fromisoformat(start) + timedelta(minutes=amount)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


# --- MessageHeader, Provenance


def header_source(_raw: Any, scope: Scope) -> dict[str, Any]:
    """MSH-3 (HD) → source; an endpoint is required, so one is made of the name where no universal id is given."""
    get = leaves(_field(scope, "MSH", 3), scope)
    return trimmed({"name": get(1) or get(2), "software": get(2), "endpoint": _endpoint(_field(scope, "MSH", 24) or _field(scope, "MSH", 3), scope)})


def _endpoint(raw: str, scope: Scope) -> str:
    get = leaves(raw, scope)
    return authority_system("", get(2), get(3)) or LOCAL + slug(get(1) or "unknown")


def header_destination(_raw: Any, scope: Scope) -> list[dict[str, Any]] | None:
    """MSH-5 and MSH-6 → destination."""
    raw = _field(scope, "MSH", 25) or _field(scope, "MSH", 5)
    receiver = authority(_field(scope, "MSH", 6), scope)
    if not raw and receiver is None:
        return None
    get = leaves(raw, scope)
    target = authority(_field(scope, "MSH", 5), scope, "Device")
    receiver = organization(_field(scope, "MSH", 23), scope) or receiver
    return [trimmed({"name": get(1) or get(2), "target": target, "endpoint": _endpoint(raw, scope), "receiver": receiver})]


def header_meta(_raw: Any, scope: Scope) -> dict[str, Any] | None:
    """MSH-11 (PT) → meta.tag, MSH-8 → a security label in words."""
    tags = [{"system": V2 + table, "code": code} for table, code in (("0103", _leaf(scope, "MSH", 11)), ("0207", _leaf(scope, "MSH", 11, 2))) if code]
    security = [{"display": text}] if (text := _leaf(scope, "MSH", 8)) else []
    return {"meta": trimmed({"tag": tags, "security": security})} if tags or security else None


def _agent(code: str) -> Callable[[str, Scope], list[dict[str, Any]] | None]:
    def read(raw: str, scope: Scope) -> list[dict[str, Any]] | None:
        kind = {"type": {"coding": [{"system": _AGENT, "code": code}]}} if code else {}
        return [{**kind, "who": who} for text in each(raw, scope) if (who := practitioner(text, scope))] or None

    return read


def ordering_place(_raw: Any, scope: Scope) -> dict[str, Any] | None:
    """ORC-21, 22, 23 → the place an order comes from."""
    name, where, how = _field(scope, "ORC", 21), _field(scope, "ORC", 22), _field(scope, "ORC", 23)
    get = leaves(name, scope)
    point = contact_point(how, scope) if how else None
    resource = trimmed({"name": get(1), "address": address(where, scope) if where else None, "telecom": [point] if point else []})
    if not resource:
        return None
    return assembly_of(scope).add({"resourceType": "Location", "mode": "instance", **resource}, f"ORC21|{name}|{where}")


# --- Encounter, Coverage


def stay(_raw: Any, scope: Scope) -> dict[str, Any] | None:
    """PV2-11, actual length of stay in days."""
    days = number(_leaf(scope, "PV2", 11))
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


# --- Orders and results


def requester(_raw: Any, scope: Scope) -> dict[str, Any] | None:
    """ORC-12 (else OBR-16) for the organization of ORC-21 → a PractitionerRole, or the Practitioner alone."""
    separator = scope.context.message.seps.repetition
    who = practitioner((_field(scope, "ORC", 12) or _field(scope, "OBR", 16)).split(separator)[0], scope)
    where = at_organization(organization(_field(scope, "ORC", 21), scope), scope, where=_field(scope, "ORC", 22), how=_field(scope, "ORC", 23))
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
    moment = time(_leaf(scope, "OBR", 6), scope)
    if moment:
        return {"occurrenceDateTime": moment}
    found = period(_leaf(scope, "TQ1", 7), _leaf(scope, "TQ1", 8), scope)
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
    begin, finish = time(_leaf(scope, "OBR", 7), scope), time(_leaf(scope, "OBR", 8), scope)
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
    if _field(scope, "OBX", 25):
        return None
    return at_organization(organization(_field(scope, "OBX", 23), scope), scope, where=_field(scope, "OBX", 24))


def director(_raw: Any, scope: Scope) -> dict[str, Any] | None:
    """OBX-25 at the laboratory of OBX-23 and 24 → a PractitionerRole."""
    who = practitioner(_field(scope, "OBX", 25), scope)
    if who is None:
        return None
    where = at_organization(organization(_field(scope, "OBX", 23), scope), scope, where=_field(scope, "OBX", 24))
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
    from carelane.formats.hl7v2.observations import range_bound  # noqa: PLC0415

    text = leaves(raw, scope)(1)
    if not text:
        return None
    unit = _field(scope, "OBX", 6)
    more = units(leaves(unit, scope)) if unit else {}
    low, high = range_bound(0)(text, scope), range_bound(1)(text, scope)
    return trimmed({"low": {"value": low, **more} if low is not None else None, "high": {"value": high, **more} if high is not None else None, "text": text})


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


# --- Specimen


def collected_at(_raw: Any, scope: Scope) -> str | None:
    """SPM-17, else OBR-7: one moment."""
    return collected(scope).get("collectedDateTime")


def collected_over(_raw: Any, scope: Scope) -> dict[str, Any] | None:
    """SPM-17, else OBR-7 and 8: a period."""
    return collected(scope).get("collectedPeriod")


def original_time(value: str, scope: Scope) -> dict[str, Any] | None:
    """A time of day without a zone is no instant: the element says so, and what was sent."""
    if instant(value, scope) is not None or not value.strip():
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
    kind, additive = _field(scope, "SPM", 27), _field(scope, "SPM", 6)
    found = trimmed(
        {"type": concept(kind, scope) if kind else None, "additiveCodeableConcept": concept(additive, scope, vocabularies()["additive"]) if additive else None}
    )
    return [found] if found else None


def described(raw: str, scope: Scope) -> list[dict[str, Any]] | None:
    """Texts → Annotations."""
    return [{"text": text} for one in each(raw, scope) if (text := leaves(one, scope)(1))] or None


# --- Appointment


def slot_times(_raw: Any, scope: Scope) -> dict[str, Any] | None:
    """SCH-11.4, else AIS-4 or TQ1-7 → start; its length → end and minutesDuration. R4 wants both ends as instants, or neither."""
    begin = next((moment for text in (_leaf(scope, "SCH", 11, 4), _leaf(scope, "AIS", 4), _leaf(scope, "TQ1", 7)) if (moment := instant(text, scope))), None)
    minutes = appointment_minutes(None, scope)
    minutes = minutes if isinstance(minutes, int | float) and minutes > 0 else None
    end = instant(_leaf(scope, "SCH", 11, 5) or _leaf(scope, "TQ1", 8), scope) or (_minutes(begin, minutes) if begin and minutes else None)
    found: dict[str, Any] = {"minutesDuration": int(minutes)} if minutes and float(minutes).is_integer() else {}
    if begin and end:
        found |= {"start": begin, "end": end}
    elif begin:
        found["requestedPeriod"] = [{"start": begin}]
    return found or None


def slot_put(item: dict[str, Any], _value: Any, builder: Any) -> None:
    """The way back: SCH-9, 10 and 11.4."""
    if begin := back.time(item.get("start"), builder):
        builder.put("SCH", 11, 4, 1, begin)
    minutes = item.get("minutesDuration")
    if not minutes and item.get("start") and item.get("end"):
        minutes = int((datetime.fromisoformat(item["end"]) - datetime.fromisoformat(item["start"])).total_seconds() // 60)
    if minutes:
        builder.put("SCH", 9, 1, 1, minutes)
        builder.put("SCH", 10, 1, 1, "MIN")


def comment(_raw: Any, scope: Scope) -> str | None:
    """NTE-3 of every note."""
    texts = [text for segment in scope.segments.get("NTE", ()) for part in each(segment.field(3), scope) if (text := scope.leaf(part))]
    return "\n".join(texts) or None


def comment_put(_item: dict[str, Any], value: Any, builder: Any) -> None:
    """The way back: one NTE."""
    builder.branch("NTE", 0).put("NTE", 3, 1, 1, str(value))


def _contact(code: str) -> Callable[[str, Scope], list[dict[str, Any]] | None]:
    def read(raw: str, scope: Scope) -> list[dict[str, Any]] | None:
        found = []
        for text in each(raw, scope):
            if who := practitioner(text, scope):
                found.append({"type": [{"text": code}], "actor": who, "status": "accepted"})
        return found or None

    return read


# --- Doses


def vaccination_place(_raw: Any, scope: Scope) -> dict[str, Any] | None:
    """RXA-27, else RXA-11 (LA2: like PL, its address from component 9 on), at the address of RXA-28."""
    raw = _field(scope, "RXA", 27) or _field(scope, "RXA", 11)
    where = location(raw, scope) if raw else None
    at = _field(scope, "RXA", 28)
    if where is None:
        return address_place(at, scope) if at else None
    if at and (found := address(at, scope)):
        assembly_of(scope).resources[where["reference"].removeprefix("urn:uuid:")].setdefault("address", found)
    return where


def dose_quantity(_raw: Any, scope: Scope) -> dict[str, Any] | None:
    """RXA-6 in RXA-7; 999 says that nobody knows."""
    text = _leaf(scope, "RXA", 6)
    value = number(text) if text != "999" else None
    if value is None:
        return None
    unit = _field(scope, "RXA", 7)
    return {"value": value, **(units(leaves(unit, scope)) if unit else {})}


def dose_put(_item: dict[str, Any], value: Any, builder: Any) -> None:
    """The way back: RXA-6 and 7."""
    if isinstance(value, dict) and value.get("value") is not None:
        builder.put("RXA", 6, 1, 1, value["value"])
        if value.get("code") or value.get("unit"):
            builder.put("RXA", 7, 1, 1, value.get("code") or value.get("unit"))


def administered_times(_raw: Any, scope: Scope) -> dict[str, Any] | None:
    """RXA-3 and 4 → effective[x]."""
    begin, finish = time(_leaf(scope, "RXA", 3), scope), time(_leaf(scope, "RXA", 4), scope)
    if begin and finish and begin != finish:
        return {"effectivePeriod": {"start": begin, "end": finish}}
    return {"effectiveDateTime": begin} if begin else None


def prescription(value: str, _scope: Scope) -> dict[str, Any]:
    """RXE-15."""
    return {"type": {"text": "prescription number"}, "value": value}


def _amount(scope: Scope, pairs: tuple[tuple[str, int, int], ...]) -> dict[str, Any] | None:
    for name, amount, unit in pairs:
        value = number(_leaf(scope, name, amount))
        if value is not None:
            raw = _field(scope, name, unit)
            return {"value": value, **(units(leaves(raw, scope)) if raw else {})}
    return None


def dosage(_raw: Any, scope: Scope) -> list[dict[str, Any]] | None:
    """RXE-3 to 5 and 21 (else RXO-2 to 4 and 6), RXR, TQ1 → one dosageInstruction."""
    get = leaves
    low = _amount(scope, (("RXE", 3, 5), ("RXO", 2, 4), ("TQ1", 2, 2)))
    high = _amount(scope, (("RXE", 4, 5), ("RXO", 3, 4)))
    rate = {"doseRange": trimmed({"low": low, "high": high})} if low and high else {"doseQuantity": low} if low else {}
    said = _field(scope, "RXE", 21) or _field(scope, "RXO", 6) or _field(scope, "RXE", 7)
    words = "; ".join(text for part in each(said, scope) if (text := get(part, scope)(2) or get(part, scope)(1)))
    route, site, method = _field(scope, "RXR", 1), _field(scope, "RXR", 2), _field(scope, "RXR", 4)
    timing = _timing(scope)
    found = trimmed(
        {
            "text": words,
            "timing": timing,
            "site": concept(site, scope, vocabularies()["site"]) if site else None,
            "route": concept(route, scope, vocabularies()["route"]) if route else None,
            "method": concept(method, scope, vocabularies()["method"]) if method else None,
            "doseAndRate": [rate] if rate else [],
        }
    )
    return [found] if found else None


def _timing(scope: Scope) -> dict[str, Any] | None:
    begin = _leaf(scope, "TQ1", 7) or _leaf(scope, "RXE", 1, 4) or _leaf(scope, "ORC", 7, 4)
    finish = _leaf(scope, "TQ1", 8) or _leaf(scope, "RXE", 1, 5) or _leaf(scope, "ORC", 7, 5)
    bounds = period(begin, finish, scope)
    pattern = _leaf(scope, "TQ1", 3) or _leaf(scope, "RXE", 1, 2) or _leaf(scope, "ORC", 7, 2)
    return trimmed({"repeat": {"boundsPeriod": bounds} if bounds else None, "code": {"text": pattern} if pattern else None}) or None


def dosage_put(_item: dict[str, Any], value: Any, builder: Any) -> None:
    """The way back: RXE-3, 5 and 21, RXR, TQ1-7 and 8 of the first instruction."""
    one = value[0] if isinstance(value, list) and value and isinstance(value[0], dict) else {}
    rate = (one.get("doseAndRate") or [{}])[0]
    amount = rate.get("doseQuantity") or (rate.get("doseRange") or {}).get("low") or {}
    if amount.get("value") is not None:
        builder.put("RXE", 3, 1, 1, amount["value"])
        builder.put("RXE", 5, 1, 1, amount.get("code") or amount.get("unit") or "")
    if one.get("text"):
        builder.put("RXE", 21, 2, 1, one["text"])
    for field, member in ((1, "route"), (2, "site"), (4, "method")):
        if parts := back.concept(one.get(member), builder):
            builder.put_field("RXR", field, parts)
    bounds = ((one.get("timing") or {}).get("repeat") or {}).get("boundsPeriod") or {}
    for field, member in ((7, "start"), (8, "end")):
        if moment := back.time(bounds.get(member), builder):
            builder.put("TQ1", field, 1, 1, moment)


def dispensed(_raw: Any, scope: Scope) -> dict[str, Any] | None:
    """RXE-10 in RXE-11, else RXO-11 in RXO-12."""
    return _amount(scope, (("RXE", 10, 11), ("RXO", 11, 12)))


# --- Documents, charges, staff


def file_name(value: str, _scope: Scope) -> dict[str, Any]:
    """TXA-16 → an identifier by which the file is known."""
    return {"type": {"text": "file name"}, "value": value}


def contents(_raw: Any, scope: Scope) -> list[dict[str, Any]] | None:
    """OBX-5: every ED or RP is an attachment; all text together is one."""
    found, lines = [], []
    for segment in [one for one in scope.members if one.name == "OBX"]:
        kind = segment.field(2).upper()
        for part in each(segment.field(5), scope):
            if kind == "ED":
                if one := attachment(part, scope):
                    found.append({"attachment": one})
            elif kind == "RP":
                found.append({"attachment": {"url": leaves(part, scope)(1)}})
            elif text := scope.leaf(part):
                lines.append(text)
    return [*found, *([{"attachment": plain("\n".join(lines))}] if lines else [])] or None


def contents_put(_item: dict[str, Any], value: Any, builder: Any) -> None:
    """The way back: text as lines of TX, anything else as ED."""
    import base64  # noqa: PLC0415

    for at, one in enumerate(value if isinstance(value, list) else []):
        part = one.get("attachment") if isinstance(one, dict) else None
        if not isinstance(part, dict):
            continue
        kind, data = str(part.get("contentType") or ""), str(part.get("data") or "")
        child = builder.branch("OBX", at)
        if kind.startswith("text/plain") and data:
            child.put("OBX", 2, 1, 1, "TX")
            child.put("OBX", 5, 1, 1, base64.b64decode(data).decode("utf-8", "backslashreplace"))
        elif data:
            child.put("OBX", 2, 1, 1, "ED")
            child.put_field("OBX", 5, ["", kind.split("/", maxsplit=1)[0], kind.rpartition("/")[2], "Base64", data])
        elif part.get("url"):
            child.put("OBX", 2, 1, 1, "RP")
            child.put("OBX", 5, 1, 1, part["url"])


def charged_times(_raw: Any, scope: Scope) -> dict[str, Any] | None:
    """FT1-4 (DR) → occurrence[x]."""
    begin, finish = time(_leaf(scope, "FT1", 4), scope), time(_leaf(scope, "FT1", 4, 2), scope)
    if begin and finish:
        return {"occurrencePeriod": {"start": begin, "end": finish}}
    return {"occurrenceDateTime": begin} if begin else None


def counted(value: str, _scope: Scope) -> dict[str, Any] | None:
    """NM → Quantity without a unit."""
    found = number(value.strip())
    return {"value": found} if found is not None else None


def money(raw: str, scope: Scope) -> dict[str, Any] | None:
    """CP → Money."""
    get = leaves(raw, scope)
    value = number(get(1, 1))
    return trimmed({"value": value, "currency": get(1, 2) if len(get(1, 2)) == 3 else ""}) if value is not None else None


def key_identifier(raw: str, scope: Scope) -> dict[str, Any] | None:
    """STF-1 (CWE) → the key of a master file's entry."""
    code = leaves(raw, scope)(1)
    return {"type": {"text": "master file key"}, "value": code} if code else None


def licences(raw: str, scope: Scope) -> list[dict[str, Any]] | None:
    """PRA-6 (PLN) → identifiers."""
    found = []
    for text in each(raw, scope):
        get = leaves(text, scope)
        if get(1):
            kind = {"coding": [{"system": IDENTIFIER_TYPE, "code": get(2)}]} if get(2) else None
            found.append(trimmed({"type": kind, "value": get(1), "period": period("", get(4), scope)}))
    return found or None


def activity(value: str, _scope: Scope) -> bool | None:
    """STF-7, table 0183."""
    return {"A": True, "I": False}.get(value.strip().upper())


def mails(raw: str, scope: Scope) -> list[dict[str, Any]] | None:
    """STF-15 → e-mail addresses."""
    return [{"system": "email", "value": text} for one in each(raw, scope) if (text := leaves(one, scope)(1))] or None


def _member(name: str) -> Callable[[Any, Any], Any]:
    """The way back of a list: one member of its first object."""

    def write(value: Any, _builder: Any) -> list[str] | None:
        one = value[0] if isinstance(value, list) and value else None
        return [str(one[name])] if isinstance(one, dict) and one.get(name) else None

    return write


def _scope(read: Callable[[Any, Scope], Any], put: Any = None) -> Function:
    return Function("scope", read, None, put=put)


def _raw(read: Callable[[Any, Scope], Any], write: Any = None) -> Function:
    return Function("raw", read, write)


def _text(read: Callable[[Any, Scope], Any], write: Any = None) -> Function:
    return Function("text", read, write)


CLINICAL: Mapping[str, Function] = {
    "header_source": _scope(header_source),
    "header_destination": _scope(header_destination),
    "header_meta": _scope(header_meta),
    "operator": _raw(_agent("")),
    "enterer": _raw(_agent("enterer")),
    "verifier": _raw(_agent("verifier")),
    "author": _raw(_agent("author")),
    "acting": _raw(_agent("performer")),
    "ordering_place": _scope(ordering_place),
    "facility": _raw(lambda raw, scope: location("^^^" + raw.replace("^", "&"), scope)),
    "stay": _scope(stay),
    "planned_start": _text(_planned("Start")),
    "planned_end": _text(_planned("End")),
    "plan_identifier": _raw(plan_identifier, _member("value")),
    "filler_group_id": _raw(lambda raw, scope: entity(raw, scope, "FGN")),
    "occurrence": _scope(occurrence),
    "requester": _scope(requester, requester_put),
    "relevant_information": _raw(relevant_information),
    "callback": _raw(callback),
    "report_effective": _scope(report_effective, back.effective),
    "observation_category": _raw(observation_category),
    "observers": _raw(observer, back.practitioners),
    "director": _scope(director),
    "laboratory": _scope(laboratory),
    "device": _raw(device),
    "reference_range": _raw(reference_range, _member("text")),
    "nature": _raw(nature),
    "analysed": _text(analysed),
    "group_id": _text(group_id),
    "collected_at": _scope(collected_at),
    "collected_over": _scope(collected_over),
    "original_time": _text(original_time),
    "measured": _raw(measured),
    "container": _scope(container),
    "described": _raw(described),
    "slot_times": _scope(slot_times, slot_put),
    "comment": _scope(comment, comment_put),
    "placer_contact": _raw(_contact("placer contact")),
    "filler_contact": _raw(_contact("filler contact")),
    "entering_contact": _raw(_contact("enterer")),
    "vaccination_place": _scope(vaccination_place),
    "dose_quantity": _scope(dose_quantity, dose_put),
    "administered_times": _scope(administered_times),
    "prescription": _text(prescription),
    "dosage": _scope(dosage, dosage_put),
    "dispensed": _scope(dispensed),
    "file_name": _text(file_name),
    "contents": _scope(contents, contents_put),
    "charged_times": _scope(charged_times),
    "counted": _text(counted),
    "money": _raw(money),
    "key_identifier": _raw(key_identifier),
    "licences": _raw(licences),
    "activity": _text(activity),
    "mails": _raw(mails),
}
"""The functions by the names packs use."""

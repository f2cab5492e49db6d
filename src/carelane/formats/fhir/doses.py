"""Appointments and doses: elements made of several fields."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from carelane.formats.fhir import back
from carelane.formats.fhir.elements import (
    address,
    concept,
    each,
    instant,
    leaves,
    number,
    period,
    time,
    trimmed,
    units,
)
from carelane.formats.fhir.making import field_of, later, leaf_of, of_raw, of_scope, of_text
from carelane.formats.fhir.named import address_place, assembly_of, location, practitioner
from carelane.formats.fhir.systems import vocabularies
from carelane.formats.hl7v2.clinical import appointment_minutes
from carelane.formats.hl7v2.message import Segment
from carelane.formats.hl7v2.scope import Scope
from carelane.mapping.edge import Function


def slot_times(_raw: Any, scope: Scope) -> dict[str, Any] | None:
    """SCH-11.4, else AIS-4 or TQ1-7 → start; its length → end and minutesDuration. R4 wants both ends as instants, or neither."""
    begins = [leaf_of(scope, "SCH", 11, 4), leaf_of(scope, "AIS", 4), leaf_of(scope, "TQ1", 7)]
    begin = next((moment for text in begins if (moment := instant(text, scope))), None)
    minutes = appointment_minutes(None, scope)
    minutes = minutes if isinstance(minutes, int | float) and minutes > 0 else None
    end = instant(leaf_of(scope, "SCH", 11, 5) or leaf_of(scope, "TQ1", 8), scope) or (later(begin, minutes) if begin and minutes else None)
    found: dict[str, Any] = {"minutesDuration": int(minutes)} if minutes and float(minutes).is_integer() else {}
    if begin and end:
        found |= {"start": begin, "end": end}
    elif asked := period(begins[0] or begins[1] or begins[2], leaf_of(scope, "SCH", 11, 5) or leaf_of(scope, "TQ1", 8), scope):
        found["requestedPeriod"] = [asked]
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


def vaccination_place(_raw: Any, scope: Scope) -> dict[str, Any] | None:
    """RXA-27, else RXA-11 (LA2: like PL, its address from component 9 on), at the address of RXA-28."""
    raw = field_of(scope, "RXA", 27) or field_of(scope, "RXA", 11)
    where = location(raw, scope) if raw else None
    at = field_of(scope, "RXA", 28)
    if where is None:
        return address_place(at, scope) if at else None
    if at and (found := address(at, scope)):
        assembly_of(scope).resources[where["reference"].removeprefix("urn:uuid:")].setdefault("address", found)
    return where


def dose_quantity(_raw: Any, scope: Scope) -> dict[str, Any] | None:
    """RXA-6 in RXA-7; 999 says that nobody knows."""
    text = leaf_of(scope, "RXA", 6)
    value = number(text) if text != "999" else None
    if value is None:
        return None
    unit = field_of(scope, "RXA", 7)
    return {"value": value, **(units(unit, scope) if unit else {})}


def dose_put(_item: dict[str, Any], value: Any, builder: Any) -> None:
    """The way back: RXA-6 and 7."""
    if isinstance(value, dict) and value.get("value") is not None:
        builder.put("RXA", 6, 1, 1, value["value"])
        if value.get("code") or value.get("unit"):
            builder.put("RXA", 7, 1, 1, value.get("code") or value.get("unit"))


def administered_times(_raw: Any, scope: Scope) -> dict[str, Any] | None:
    """RXA-3 and 4 → effective[x]."""
    begin, finish = time(leaf_of(scope, "RXA", 3), scope), time(leaf_of(scope, "RXA", 4), scope)
    if begin and finish and begin != finish:
        return {"effectivePeriod": {"start": begin, "end": finish}}
    return {"effectiveDateTime": begin} if begin else None


def prescription(value: str, _scope: Scope) -> dict[str, Any]:
    """RXE-15."""
    return {"type": {"text": "prescription number"}, "value": value}


def _amount(scope: Scope, name: str, amount: int, *named: int) -> dict[str, Any] | None:
    """An amount in its own segment's units: another's may be of another thing (500 mg asked for, 2 tablets given)."""
    value = number(leaf_of(scope, name, amount))
    if value is None:
        return None
    raw = next((text for field in named if (text := field_of(scope, name, field))), "")
    return {"value": value, **(units(raw, scope) if raw else {})}


@dataclass(frozen=True, slots=True)
class _Fields:
    """Where a segment says how much of a drug is given: least and most, unit and form, rate and its unit, and what is told to whom gives and supplies it."""

    name: str
    low: int
    high: int
    unit: int
    form: int
    rate: int
    per: int
    told: tuple[int, int]


_ENCODED = _Fields("RXE", 3, 4, 5, 6, 23, 24, (7, 21))
_ASKED = _Fields("RXO", 2, 3, 4, 5, 21, 22, (7, 6))


def dosage(_raw: Any, scope: Scope) -> list[dict[str, Any]] | None:
    """RXE as the pharmacy encoded it, else RXO as it was asked for, each in its own units; the route behind it (RXR), TQ1 → one dosageInstruction."""
    encoded = scope.first("RXE") is not None
    rate = next((found for one in (_ENCODED, _ASKED) if (found := _rate(scope, one))), None)
    if rate is None and (least := _amount(scope, "TQ1", 2, 2)):
        rate = {"doseQuantity": least}
    words = _words(scope, _ENCODED if encoded else _ASKED)
    route = _route(scope)
    site, way, method = (route.field(number) if route is not None else "" for number in (2, 1, 4))
    found = trimmed(
        {
            "text": "; ".join(words),
            "additionalInstruction": [{"text": one} for one in _words(scope, _ASKED) if encoded and one not in words],
            "timing": _timing(scope),
            "site": concept(site, scope, vocabularies()["site"]) if site else None,
            "route": concept(way, scope, vocabularies()["route"]) if way else None,
            "method": concept(method, scope, vocabularies()["method"]) if method else None,
            "doseAndRate": [rate] if rate else [],
        }
    )
    return [found] if found else None


def _rate(scope: Scope, of: _Fields) -> dict[str, Any] | None:
    low, high = _amount(scope, of.name, of.low, of.unit, of.form), _amount(scope, of.name, of.high, of.unit, of.form)
    dose = {"doseRange": {"low": low, "high": high}} if low and high and low != high else {"doseQuantity": low or high} if low or high else {}
    rate = _amount(scope, of.name, of.rate, of.per)
    return {**dose, **({"rateQuantity": rate} if rate else {})} or None


def _words(scope: Scope, of: _Fields) -> list[str]:
    """What is told to whom gives the drug, then to whom supplies it."""
    parts = [leaves(part, scope) for field in of.told for part in each(field_of(scope, of.name, field), scope)]
    return [text for get in parts if (text := get(2) or get(9) or get(1))]


def _route(scope: Scope) -> Segment | None:
    """The route behind the encoded order; that of what was asked for where no other is told."""
    names = [segment.name for segment in scope.members]
    behind = scope.members[names.index("RXE") :] if "RXE" in names else ()
    return next((segment for segment in behind if segment.name == "RXR"), scope.first("RXR"))


def _timing(scope: Scope) -> dict[str, Any] | None:
    begin = leaf_of(scope, "TQ1", 7) or leaf_of(scope, "RXE", 1, 4) or leaf_of(scope, "ORC", 7, 4)
    finish = leaf_of(scope, "TQ1", 8) or leaf_of(scope, "RXE", 1, 5) or leaf_of(scope, "ORC", 7, 5)
    bounds = period(begin, finish, scope)
    pattern = leaf_of(scope, "TQ1", 3) or leaf_of(scope, "RXE", 1, 2) or leaf_of(scope, "ORC", 7, 2)
    return trimmed({"repeat": {"boundsPeriod": bounds} if bounds else None, "code": {"text": pattern} if pattern else None}) or None


def dosage_put(_item: dict[str, Any], value: Any, builder: Any) -> None:
    """The way back: RXE-3 to 5, 21, 23 and 24, RXR, TQ1-7 and 8 of the first instruction."""
    one = value[0] if isinstance(value, list) and value and isinstance(value[0], dict) else {}
    rate = (one.get("doseAndRate") or [{}])[0]
    span = rate.get("doseRange") or {}
    amounts = ((3, 5, rate.get("doseQuantity") or span.get("low")), (4, 5, span.get("high")), (23, 24, rate.get("rateQuantity")))
    for field, unit, amount in amounts:
        if isinstance(amount, dict) and amount.get("value") is not None:
            builder.put("RXE", field, 1, 1, amount["value"])
            builder.put("RXE", unit, 1, 1, amount.get("code") or amount.get("unit") or "")
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
    return _amount(scope, "RXE", 10, 11) or _amount(scope, "RXO", 11, 12)


DOSES: Mapping[str, Function] = {
    "slot_times": of_scope(slot_times, slot_put),
    "comment": of_scope(comment, comment_put),
    "placer_contact": of_raw(_contact("placer contact")),
    "filler_contact": of_raw(_contact("filler contact")),
    "entering_contact": of_raw(_contact("enterer")),
    "vaccination_place": of_scope(vaccination_place),
    "dose_quantity": of_scope(dose_quantity, dose_put),
    "administered_times": of_scope(administered_times),
    "prescription": of_text(prescription),
    "dosage": of_scope(dosage, dosage_put),
    "dispensed": of_scope(dispensed),
}
"""The functions by the names packs use."""

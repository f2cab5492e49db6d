"""Elements that take one of several forms: Observation.value[x], effective[x], performed[x]. Each returns the members to set."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from carelane.formats.fhir.attachments import VALUE, attachment, pointer
from carelane.formats.fhir.elements import concept, each, leaves, number, period, time, trimmed, units
from carelane.formats.fhir.quantities import Units, compared, described, original, quantity
from carelane.formats.hl7v2.scope import Scope

_TIME = re.compile(r"(\d{2})(\d{2})(\d{2})?", re.ASCII)
_TEXT = ("ST", "TX", "FT", "")
_CODED = ("CE", "CWE", "CNE", "CF", "IS", "ID")


def observed(_raw: Any, scope: Scope) -> dict[str, Any] | None:
    """OBX-5 by OBX-2, in the units of OBX-6; what does not fit its type stays text; repetitions of one value become components."""
    segment = scope.first("OBX")
    if segment is None:
        return None
    kind = segment.field(2).strip().upper()
    if kind in ("ED", "RP"):
        return None
    unit = units(segment.field(6), scope) if segment.field(6) else {}
    segments = [one for one in scope.members if one.name == "OBX"] or [segment]
    if kind in _TEXT:
        lines = [scope.leaf(part) or "" for one in segments for part in scope.repetitions(one.field(5))]
        text = "\n".join(lines).strip("\n")
        if not text.strip():
            return None
        return _written(text.strip(), unit) if unit and len(lines) == 1 else described(text, unit)
    found = [value for part in each(segment.field(5), scope) if (value := _one(kind, part, scope, unit))]
    if len(found) < 2:
        return found[0] if found else None
    if all("valueString" in one for one in found):
        return described("\n".join(original(one.get("_valueString")) or one["valueString"] for one in found), unit)
    code = concept(segment.field(3), scope)
    return {"component": [{"code": code, **one} for one in found]} if code else found[0]


def _one(kind: str, raw: str, scope: Scope, unit: Units) -> dict[str, Any] | None:
    read = _READERS.get(kind)
    if read is not None:
        return read(raw, scope, unit)
    if kind in _CODED:
        value = concept(raw, scope)
        return {"valueCodeableConcept": value} if value else None
    get = leaves(raw, scope)
    return described(" ".join(text for at in range(1, 30) if (text := get(at))), unit)


def _numeric(raw: str, scope: Scope, unit: Units) -> dict[str, Any] | None:
    return _written(leaves(raw, scope)(1), unit)


def _written(text: str, unit: Units) -> dict[str, Any] | None:
    """A number in words, as NM has it, and with a unit ST and TX."""
    found = compared(text, unit)
    return {"valueQuantity": found} if found else described(text, unit)


def _moment(raw: str, scope: Scope, _unit: Units) -> dict[str, Any] | None:
    text = leaves(raw, scope)(1)
    moment = time(text, scope)
    return {"valueDateTime": moment} if moment else _string(text)


def _clock(raw: str, scope: Scope, _unit: Units) -> dict[str, Any] | None:
    text = leaves(raw, scope)(1)
    match = _TIME.match(text)
    return {"valueTime": f"{match[1]}:{match[2]}:{match[3] or '00'}"} if match else _string(text)


def _span(raw: str, scope: Scope, _unit: Units) -> dict[str, Any] | None:
    get = leaves(raw, scope)
    found = period(get(1), get(2), scope)
    return {"valuePeriod": found} if found else None


def _numbers(raw: str, scope: Scope, unit: Units) -> dict[str, Any] | None:
    get = leaves(raw, scope)
    found = trimmed({"low": quantity(get(1), unit), "high": quantity(get(2), unit)})
    return {"valueRange": found} if found else None


def pointed(_raw: Any, scope: Scope) -> list[dict[str, Any]] | None:
    """OBX-5 of ED and RP → the extension of a value that is a file or points at one; R4 has no valueAttachment."""
    segment = scope.first("OBX")
    kind = segment.field(2).strip().upper() if segment is not None else ""
    if segment is None or kind not in ("ED", "RP"):
        return None
    segments = [one for one in scope.members if one.name == "OBX"] or [segment]
    raws = [part for one in segments for part in each(one.field(5), scope)]
    found = [attachment(raws, scope)] if kind == "ED" else [pointer(raw, scope) for raw in raws]
    return [{"url": VALUE, "valueAttachment": one} for one in found if one] or None


def _string(text: str) -> dict[str, Any] | None:
    return {"valueString": text} if text else None


def _structured(get: Any, unit: Units) -> dict[str, Any] | None:
    """SN: a quantity with a comparator, a ratio or a range; what is none of them stays text."""
    sign, low, separator, high = get(1), get(2), get(3), get(4)
    if sign and not (low or separator or high):  # all in the first component
        found = compared(sign, unit, whole=False)
        return {"valueQuantity": found} if found else described(sign, unit)
    first, second = quantity(low, unit, sign), quantity(high, unit)
    if first is not None and separator in (":", "/") and second is not None:
        return {"valueRatio": {"numerator": first, "denominator": second}}
    if first is not None and separator == "-" and second is not None and sign in ("", "="):
        return {"valueRange": {"low": first, "high": second}}
    if first is not None and not separator and not high:
        return {"valueQuantity": first}
    between = "" if first is not None or second is not None or number(low) is not None else " "  # words are no number, whatever OBX-2 says
    return described(between.join(text for text in (sign, low, separator, high) if text), unit)


_READERS: Mapping[str, Callable[[str, Scope, Units], dict[str, Any] | None]] = {
    "NM": _numeric,
    "SN": lambda raw, scope, unit: _structured(leaves(raw, scope), unit),
    "DT": _moment,
    "DTM": _moment,
    "TS": _moment,
    "TM": _clock,
    "DR": _span,
    "NR": _numbers,
}


def effective(_raw: Any, scope: Scope) -> dict[str, Any] | None:
    """OBX-14 of a result, else OBR-7 and OBR-8: a moment or a period."""
    result, order = scope.first("OBX"), scope.first("OBR")
    own = time(scope.leaf(result.field(14)) or "", scope) if result is not None else None
    if own:
        return {"effectiveDateTime": own}
    return _moments(order, 7, 8, "effective", scope)


def performed(_raw: Any, scope: Scope) -> dict[str, Any] | None:
    """PR1-5, for as long as PR1-7 is not known as an end."""
    segment = scope.first("PR1")
    moment = time(scope.leaf(segment.field(5)) or "", scope) if segment is not None else None
    return {"performedDateTime": moment} if moment else None


def _moments(segment: Any, start: int, end: int, name: str, scope: Scope) -> dict[str, Any] | None:
    if segment is None:
        return None
    begin, finish = time(scope.leaf(segment.field(start)) or "", scope), time(scope.leaf(segment.field(end)) or "", scope)
    if begin and not finish:
        return {f"{name}DateTime": begin}
    return {f"{name}Period": trimmed({"start": begin, "end": finish})} if begin or finish else None


def collected(scope: Scope) -> dict[str, Any]:
    """SPM-17 (DR), else OBR-7 and OBR-8, as members of Specimen.collection."""
    specimen = scope.first("SPM")
    if specimen is not None and specimen.field(17):
        get = leaves(specimen.field(17), scope)
        begin, finish = time(get(1), scope), time(get(2), scope)
        if finish:
            return {"collectedPeriod": trimmed({"start": begin, "end": finish})}
        if begin:
            return {"collectedDateTime": begin}
    return _moments(scope.first("OBR"), 7, 8, "collected", scope) or {}

"""Observation.value[x] → OBX-2, 5 and 6, as the sender wrote them where the resource says how."""

from collections.abc import Callable, Mapping
from typing import Any

from carelane.formats.fhir.attachments import VALUE
from carelane.formats.fhir.back import Components, concept, dicts, first, listed, shown_text, time
from carelane.formats.fhir.quantities import PLAIN, digits, original, unit_in
from carelane.formats.fhir.systems import name_of


def observed(item: dict[str, Any], _value: Any, builder: Any) -> None:
    """Observation.value[x] → OBX-2, 5 and 6."""
    kind, parts = _observed(item)
    if kind:
        builder.put("OBX", 2, 1, 1, kind)
        builder.segments["OBX"][5] = [
            listed([original(item.get("_valueString"))] if kind == "ST" and item.get("_valueString") and original(item["_valueString"]) else parts)
        ]
    unit = unit_in(item)
    if unit.get("unit") or unit.get("code"):
        builder.put("OBX", 6, 1, 1, shown_text(unit.get("code")) or shown_text(unit.get("unit")))
        if unit.get("system"):
            builder.put("OBX", 6, 3, 1, name_of(shown_text(unit["system"])))


def pointed(_item: dict[str, Any], value: Any, builder: Any) -> None:
    """The extension of a value that is a file → OBX-2 and 5: ED, or RP where it only says where the file is."""
    for one in dicts(value):
        part = first(one.get("valueAttachment"))
        if one.get("url") != VALUE or not part:
            continue
        kind, _, subtype = shown_text(part.get("contentType")).partition("/")
        if part.get("data"):
            builder.put("OBX", 2, 1, 1, "ED")
            builder.put_field("OBX", 5, [shown_text(part.get("title")), kind, subtype, "Base64", shown_text(part["data"])])
        elif part.get("url"):
            builder.put("OBX", 2, 1, 1, "RP")
            builder.put_field("OBX", 5, [shown_text(part["url"]), shown_text(part.get("title")), kind, subtype])


def _observed(item: Mapping[str, Any]) -> tuple[str, Components]:
    for name_, write in _VALUES.items():
        value = item.get(name_)
        if value is not None and (found := write(value)) is not None:
            return found
    return "", []


def _quantity(value: Any) -> tuple[str, Components] | None:
    one = first(value)
    shown = digits(one)
    if whole := original(one):
        return "ST", [whole]
    return ("SN", [shown_text(one["comparator"]), shown]) if one.get("comparator") else ("NM" if PLAIN.fullmatch(shown) else "ST", [shown])


def _ratio(value: Any) -> tuple[str, Components] | None:
    top, bottom = first(first(value).get("numerator")), first(first(value).get("denominator"))
    return "SN", [shown_text(top.get("comparator")), digits(top), ":", digits(bottom)]


def _range(value: Any) -> tuple[str, Components] | None:
    low, high = first(first(value).get("low")), first(first(value).get("high"))
    return "SN", ["", digits(low), "-", digits(high)]


_VALUES: Mapping[str, Callable[[Any], tuple[str, Components] | None]] = {
    "valueQuantity": _quantity,
    "valueCodeableConcept": lambda value: ("CWE", concept(value, None) or [""]),
    "valueRatio": _ratio,
    "valueRange": _range,
    "valuePeriod": lambda value: ("DR", [time(first(value).get("start"), None) or "", time(first(value).get("end"), None) or ""]),
    "valueDateTime": lambda value: ("DTM", [time(value, None)]),
    "valueTime": lambda value: ("TM", [shown_text(value).replace(":", "")]),
    "valueString": lambda value: ("ST", [shown_text(value)]),
    "valueInteger": lambda value: ("NM", [shown_text(value)]),
    "valueBoolean": lambda value: ("ID", ["Y" if value else "N"]),
}

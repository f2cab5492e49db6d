"""Named functions of single families: appointments, documents, doses, staff; each pure, each with its way back."""

from collections.abc import Mapping
from typing import Any

from carelane.formats.hl7v2.message import Segment
from carelane.formats.hl7v2.observations import document_of
from carelane.formats.hl7v2.scope import Scope
from carelane.mapping.edge import Function, Odd

_HOUR, _SECOND = ("H", "HR", "HRS", "HOUR", "HOURS"), ("S", "SEC", "SECS", "SECOND", "SECONDS")
_UNKNOWN_DOSE = "999"


def _minutes(amount: str | None, unit: str | None) -> float | int | Odd | None:
    """A length of time in minutes; without a unit it is in minutes already."""
    if not amount:
        return None
    try:
        value = float(amount)
    except ValueError:
        return Odd(None, "bad-number", "a length of time is a number")
    shown = (unit or "").upper()
    value = value * 60 if shown in _HOUR else value / 60 if shown in _SECOND else value
    return int(value) if value.is_integer() else value


def _first(scope: Scope, name: str, field: int) -> str | None:
    segment = scope.first(name)
    return scope.leaf(segment.field(field)) if segment is not None and segment.field(field) else None


def appointment_minutes(_raw: Any, scope: Scope) -> float | int | Odd | None:
    """SCH-9 in SCH-10; else SCH-11.3, AIS-7 in AIS-8, AIP-9 in AIP-10."""
    sch = scope.first("SCH")
    quantity = scope.leaf(sch.field(11), 3) if sch is not None else None
    for amount, unit in (
        (_first(scope, "SCH", 9), _first(scope, "SCH", 10)),
        (quantity, "MIN"),
        (_first(scope, "AIS", 7), _first(scope, "AIS", 8)),
        (_first(scope, "AIP", 9), _first(scope, "AIP", 10)),
    ):
        if amount:
            return _minutes(amount, unit)
    return None


def appointment_put(_item: dict[str, Any], value: Any, builder: Any) -> None:
    """Write SCH-9 and SCH-10."""
    builder.put("SCH", 9, 1, 1, value)
    builder.put("SCH", 10, 1, 1, "MIN")


def visit_number_back(item: dict[str, Any], value: Any, builder: Any) -> None:
    """Write PV1-19 where the appointment has a number of its own; else the visit is known by that of the appointment."""
    extensions = item.get("Extensions")
    if isinstance(extensions, dict) and extensions.get("appointment-number"):
        builder.put("PV1", 19, 1, 1, value)


def service_minutes(_raw: Any, scope: Scope) -> float | int | Odd | None:
    """AIS-7 in AIS-8; else as long as the appointment."""
    own = _first(scope, "AIS", 7)
    return _minutes(own, _first(scope, "AIS", 8)) if own else appointment_minutes(None, scope)


def service_put(_item: dict[str, Any], value: Any, builder: Any) -> None:
    """Write AIS-7 and AIS-8."""
    builder.put("AIS", 7, 1, 1, value)
    builder.put("AIS", 8, 1, 1, "MIN")


def _contents(scope: Scope) -> list[Segment]:
    return [segment for segment in scope.members if segment.name == "OBX"]


def document_text(_raw: Any, scope: Scope) -> str | None:
    """OBX-5 of every OBX, in order, repetitions and segments joined by newlines."""
    seps = scope.context.message.seps
    lines = [scope.leaf(part) or "" for segment in _contents(scope) for part in segment.field(5).split(seps.repetition)]
    return "\n".join(lines) if any(lines) else None


def document_text_put(item: dict[str, Any], value: Any, builder: Any) -> None:
    """Write one OBX of type TX a line."""
    extensions = item.get("Extensions") if isinstance(item.get("Extensions"), dict) else {}
    code = (extensions or {}).get("content-code")
    for number, text in enumerate(str(value).split("\n")):
        child = builder.branch("OBX", number)
        child.put("OBX", 2, 1, 1, "TX")
        if isinstance(code, dict) and code.get("string"):
            child.put("OBX", 3, 1, 1, code["string"])
        if item.get("DocumentDescription"):
            child.put("OBX", 3, 2, 1, item["DocumentDescription"])
        if text:
            child.put("OBX", 5, 1, 1, text)
        child.put("OBX", 11, 1, 1, "F")
    builder.segments.pop("OBX", None)


def _file(scope: Scope) -> list[Segment]:
    """The OBX of a file, whether its type is told or not."""
    return [one for one in scope.segments.get("OBX", ()) if _kind(one) in ("ED", "RP", "")]


def _kind(segment: Segment) -> str:
    return segment.field(2).strip().upper()


def document_file(_raw: Any, scope: Scope) -> str | Odd | None:
    """The file in ED-5 (its pieces joined), or the pointer of an RP."""
    segments = _file(scope)
    if not segments:
        return None
    if _kind(segments[0]) == "RP":
        return scope.leaf(segments[0].field(5))
    return document_of(scope, segments)


def accompanying_text(_raw: Any, scope: Scope) -> str | None:
    """The text that comes beside a file, line by line."""
    return document_text(None, scope.within({}, 0, _beside(scope)))


def _beside(scope: Scope) -> list[Segment]:
    return [one for one in scope.members if one.name == "OBX" and _kind(one) not in ("ED", "RP", "")]


def document_type(_raw: Any, scope: Scope) -> str | None:
    """ED-3, the subtype, else ED-2: PDF, RTF, image."""
    for segment in _file(scope):
        text = scope.leaf(segment.field(5), 3) or scope.leaf(segment.field(5), 2)
        if text:
            return text
    return None


def document_file_put(item: dict[str, Any], value: Any, builder: Any) -> None:
    """Write one OBX: of type RP for a pointer (Base64 knows no colon), else ED."""
    pointer, kind = "://" in str(value), str(item.get("FileType") or "")
    builder.put("OBX", 1, 1, 1, "1")
    builder.put("OBX", 2, 1, 1, "RP" if pointer else "ED")
    builder.segments["OBX"][5] = [[[str(value)], [""], [kind]]] if pointer else [[[""], [""], [kind], ["Base64"], [str(value)]]]
    builder.put("OBX", 11, 1, 1, "F")


def dose_text(text: str, _scope: Scope) -> str | None:
    """RXA-6: 999 says that nobody knows how much."""
    return None if text.strip() == _UNKNOWN_DOSE else text


def dose_number(text: str, scope: Scope) -> float | int | Odd | None:
    """The same as a number."""
    known = dose_text(text, scope)
    if known is None:
        return None
    try:
        value = float(known)
    except ValueError:
        return Odd(None, "bad-number", "a dose is a number")
    return int(value) if value.is_integer() else value


def instructions(_raw: Any, scope: Scope) -> str | None:
    """What the patient and the pharmacy are told, a line a repetition: RXE-7 and 21; RXO-7 and 6 where nothing is encoded."""
    found = (*_lines(scope, "RXE", 7), *_lines(scope, "RXE", 21)) if scope.first("RXE") else (*_lines(scope, "RXO", 7), *_lines(scope, "RXO", 6))
    return "\n".join(found) or None


def administration_instructions(_raw: Any, scope: Scope) -> str | None:
    """Which of these lines say how it is given: the others are for the pharmacy."""
    return "\n".join(_lines(scope, "RXE", 7) if scope.first("RXE") else _lines(scope, "RXO", 7)) or None


def requested_instructions(_raw: Any, scope: Scope) -> str | None:
    """What was asked for (RXO-7 and 6) where the pharmacy encoded the order."""
    return "\n".join((*_lines(scope, "RXO", 7), *_lines(scope, "RXO", 6))) or None if scope.first("RXE") else None


def _lines(scope: Scope, name: str, number: int) -> list[str]:
    segment = scope.first(name)
    texts = [scope.leaf(part, 2) or scope.leaf(part, 9) or scope.leaf(part) for part in scope.repetitions(segment.field(number))] if segment is not None else []
    return [text for text in texts if text]


def _told_of(scope: Scope) -> list[Segment]:
    return [one for one in (scope.first("RXE") or scope.first("RXO"),) if one is not None]


def instructions_put(item: dict[str, Any], value: Any, builder: Any) -> None:
    """Write what is for whom gives the drug into RXE-7, the rest into RXE-21."""
    extensions = item.get("Extensions")
    told = (extensions if isinstance(extensions, dict) else {}).get("administration-instructions")
    given = str(told.get("string") or "").split("\n") if isinstance(told, dict) else []
    lines = str(value).split("\n")
    for number, wanted in ((7, [line for line in lines if line in given]), (21, [line for line in lines if line not in given])):
        if any(wanted):
            builder.put_field("RXE", number, [[[""], [line]] for line in wanted])


def active(text: str, _scope: Scope) -> bool | Odd:
    """STF-7, table 0183."""
    known = {"A": True, "I": False}
    return known.get(text.strip().upper(), Odd(None, "unmapped-code", "table 0183 knows A and I"))


def licence(_raw: Any, scope: Scope) -> list[dict[str, str]] | None:
    """PRA-6 (PLN): a practitioner's number and its type."""
    number, kind = scope.leaf(scope.repetition, 1), scope.leaf(scope.repetition, 2)
    return [{"ID": number, "IDType": kind or "Unknown"}] if number else None


def licence_put(_item: dict[str, Any], value: Any, builder: Any) -> None:
    """Write PLN."""
    if isinstance(value, list) and value and isinstance(value[0], dict):
        builder.put_leaf(1, 1, value[0].get("ID") or "")
        builder.put_leaf(2, 1, value[0].get("IDType") or "")


_ALL: frozenset[int] | None = None

CLINICAL: Mapping[str, Function] = {
    "appointment_minutes": Function("scope", appointment_minutes, None, (("SCH", 9), ("SCH", 10)), _ALL, put=appointment_put),
    "visit_number_back": Function("scope", lambda _raw, _scope: None, None, put=visit_number_back),
    "service_minutes": Function("scope", service_minutes, None, (("AIS", 7), ("AIS", 8)), _ALL, put=service_put),
    "document_text": Function("scope", document_text, None, (("OBX", 5),), put=document_text_put),
    "document_type": Function("scope", document_type, None, (("OBX", 5),), segments=_file),
    "accompanying_text": Function("scope", accompanying_text, None, (("OBX", 5),), segments=_beside),
    "document_file": Function("scope", document_file, None, (("OBX", 5),), segments=_file, put=document_file_put),
    "dose_text": Function("text", dose_text, lambda value, _builder: str(value)),
    "dose_number": Function("text", dose_number, lambda value, _builder: str(value)),
    "instructions": Function(
        "scope", instructions, None, (("RXE", 7), ("RXE", 21), ("RXO", 7), ("RXO", 6)), frozenset({1, 2, 9}), segments=_told_of, put=instructions_put, at=2
    ),
    "administration_instructions": Function("scope", administration_instructions, None),
    "requested_instructions": Function("scope", requested_instructions, None, (("RXO", 7), ("RXO", 6)), frozenset({1, 2, 9})),
    "active": Function("text", active, lambda value, _builder: "A" if value else "I"),
    "licence": Function("scope", licence, None, (("", 0),), put=licence_put),
}
"""The functions by the names packs use."""

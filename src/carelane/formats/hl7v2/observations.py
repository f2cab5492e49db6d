"""OBX-5 by OBX-2 (chapter 7): numbers keep their digits, text over several segments is one, documents are joined."""

import base64
import binascii
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from carelane.formats.hl7v2.message import NULL, Segment
from carelane.formats.hl7v2.scope import Scope
from carelane.formats.hl7v2.times import from_iso, to_date, to_datetime
from carelane.mapping.edge import Odd

# Table 0125 → the document's value types.
VALUE_TYPES = {
    "NM": "Numeric",
    "SN": "Structured Numeric",
    "ST": "String",
    "TX": "String",
    "FT": "Formatted Text",
    "CE": "Coded Entry",
    "CWE": "Coded Entry",
    "CNE": "Coded Entry",
    "CF": "Coded Entry",
    "IS": "Coded Entry",
    "ID": "Coded Entry",
    "DT": "Date",
    "TM": "Time",
    "TS": "DateTime",
    "DTM": "DateTime",
    "ED": "Encapsulated Data",
    "RP": "Reference Pointer",
    "XAD": "Address",
    "AD": "Address",
    "XPN": "Name",
    "PN": "Name",
    "XCN": "ID And Name",
    "CN": "ID And Name",
    "CX": "ID",
    "CK": "ID",
    "EI": "ID",
    "XTN": "Phone Number",
    "TN": "Phone Number",
    "MO": "Money",
    "CP": "Price",
}
TYPES_BACK = {
    "Numeric": "NM",
    "Structured Numeric": "SN",
    "String": "ST",
    "Formatted Text": "FT",
    "Coded Entry": "CWE",
    "Date": "DT",
    "Time": "TM",
    "DateTime": "DTM",
    "Encapsulated Data": "ED",
    "Reference Pointer": "RP",
    "Address": "XAD",
    "Name": "XPN",
    "ID And Name": "XCN",
    "ID": "CX",
    "Phone Number": "XTN",
    "Money": "MO",
    "Price": "CP",
}
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)", re.ASCII)
_RANGE = re.compile(r"\s*([+-]?\d+(?:\.\d+)?)\s*-\s*([+-]?\d+(?:\.\d+)?)\s*", re.ASCII)


def _declared(segment: Segment, scope: Scope) -> str:
    """OBX-2, of which some senders make a coded element."""
    return (scope.leaf(segment.field(2)) or "").strip().upper()


def observation_type(_raw: Any, scope: Scope) -> str | Odd | None:
    """Return the value type; a number that is none, or a type nobody declared, is text and reported."""
    segment = scope.first("OBX")
    if segment is None:
        return None
    declared = _declared(segment, scope)
    if not declared:
        return Odd("String", "missing-type", "OBX-2 is empty; read as text") if segment.field(5) else "String"
    kind = VALUE_TYPES.get(declared)
    if kind is None:
        return Odd("String", "unmapped-code", "OBX-2 is in no table; read as text")
    if declared == "NM" and (text := scope.leaf(segment.field(5))) and not _NUMBER.fullmatch(text.strip()):
        return Odd("String", "type-mismatch", "OBX-2 says NM, OBX-5 is no plain number; kept as text")
    return kind


def observation_value(_raw: Any, scope: Scope) -> str | Odd | None:
    """Return the value as text."""
    segment = scope.first("OBX")
    if segment is None:
        return None
    declared = _declared(segment, scope)
    if declared in ("TX", "FT", "ST", ""):
        return _text(scope, [s for s in scope.members if s.name == "OBX"] or [segment])
    raw = segment.field(5)
    if not raw:
        return None
    reader = _READERS.get(declared, _leading)
    if declared == "ED":
        return document_of(scope, [s for s in scope.members if s.name == "OBX"] or [segment])
    parts = raw.split(scope.context.message.seps.repetition)
    values = [value for part in parts if part and (value := reader(part, scope)) is not None]
    odd = next((value for value in values if isinstance(value, Odd)), None)
    joined = "\n".join(str(value.value if isinstance(value, Odd) else value) for value in values if not (isinstance(value, Odd) and value.value is None))
    return Odd(joined or None, odd.code, odd.text) if odd else joined or None


def _text(scope: Scope, segments: list[Segment]) -> str | None:
    separator = scope.context.message.seps.repetition
    lines = ["" if part == NULL else scope.text(part) for segment in segments for part in segment.field(5).split(separator)]
    return "\n".join(lines) if any(lines) else None


def _leading(raw: str, scope: Scope) -> str | None:
    return scope.leaf(raw)


def _coded(raw: str, scope: Scope) -> str | None:
    """The text people read; the code where there is none."""
    return scope.leaf(raw, 2) or scope.leaf(raw, 9) or scope.leaf(raw, 1)


def _structured(raw: str, scope: Scope) -> str | None:
    """SN: comparator and number, ``^1^:^128`` is a titre, ``^3^-^5`` a range."""
    return "".join(scope.leaf(raw, number) or "" for number in (1, 2, 3, 4)) or None


def _joined(raw: str, scope: Scope) -> str | None:
    separator = scope.context.message.seps.component
    return " ".join(text for number in range(1, raw.count(separator) + 2) if (text := scope.leaf(raw, number))) or None


def document_of(scope: Scope, segments: list[Segment]) -> str | Odd | None:
    """ED: pieces over several OBX are one document; base64 may carry line breaks."""
    pieces, encodings = [], set()
    for segment in segments:
        for part in segment.field(5).split(scope.context.message.seps.repetition):
            pieces.append("".join((scope.leaf(part, 5) or "").split()))
            encodings.add((scope.leaf(part, 4) or "").lower())
    text = "".join(pieces)
    if not text:  # a file that is the whole field stands in the wrong place; the first of several components names the source application (chapter 2A, ED)
        raw = scope.repetitions(segments[0].field(5))[0]
        alone = scope.leaf(raw) if scope.context.message.seps.component not in raw else None
        return Odd(alone, "misplaced-document", "ED-5 is empty; the first component was taken") if alone else None
    if "base64" in encodings:
        try:
            base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            return Odd(text, "bad-base64", "ED-5 is not valid base64; kept as it came")
    return text


_READERS: dict[str, Callable[[str, Scope], Any]] = {
    "CE": _coded,
    "CWE": _coded,
    "CNE": _coded,
    "CF": _coded,
    "SN": _structured,
    "XPN": _joined,
    "PN": _joined,
    "XCN": _joined,
    "CN": _joined,
    "XAD": _joined,
    "AD": _joined,
    "DT": lambda raw, scope: to_date(scope.leaf(raw) or "", scope),
    "TS": lambda raw, scope: to_datetime(scope.leaf(raw) or "", scope),
    "DTM": lambda raw, scope: to_datetime(scope.leaf(raw) or "", scope),
}


@lru_cache(512)
def bounds(text: str) -> tuple[float | int | None, float | int | None]:
    """Return both ends of a range that reads ``low-high``; a laboratory has a few hundred of them."""
    found = _RANGE.fullmatch(text)
    if found is None:
        return None, None
    low, high = (int(value) if value.is_integer() else value for value in map(float, found.groups()))
    return low, high


def range_bound(end: int) -> Callable[[str, Scope], float | int | None]:
    """Return a function for the low (0) or high (1) end of OBX-7 where it reads ``low-high``."""

    return lambda text, _scope: bounds(text)[end]


def range_text(text: str, _scope: Scope) -> str:
    """OBX-7 as it came."""
    return text


def value_part(number: int) -> Callable[[str, Scope], str | None]:
    """Return a function for one component of every repetition of OBX-5, a line each, as the lines of the value are."""

    def read(raw: str, scope: Scope) -> str | None:
        found = [scope.leaf(part, number) or "" for part in scope.repetitions(raw) if part and part != NULL]
        return "\n".join(found) if any(found) else None

    return read


SHARED_STATUS = {
    "U": "Final", "V": "Final", "S": "Preliminary", "R": "Preliminary", "A": "Corrected", "B": "Corrected", "W": "Deleted", "O": "None Specified",
}  # fmt: skip
"""Codes of table 0085 whose status another code is written for."""


def status_code(_raw: Any, scope: Scope) -> str | None:
    """OBX-11 as it came."""
    segment = scope.first("OBX")
    return scope.leaf(segment.field(11)) if segment is not None else None


def status_back(item: dict[str, Any], value: Any, builder: Any) -> None:
    """Write the very code of a status, while the document still tells that status."""
    code = _string(item.get("Extensions"), "status-code")
    if code is not None and SHARED_STATUS.get(code) == value:
        builder.put("OBX", 11, 1, 1, code)


def type_put(_item: dict[str, Any], value: Any, builder: Any) -> None:
    """Write OBX-2 for a value type."""
    builder.put("OBX", 2, 1, 1, TYPES_BACK.get(str(value), "ST"))


def observation_put(item: dict[str, Any], value: Any, builder: Any) -> None:
    """Write OBX-2 and OBX-5 for a result; numbers keep the digits they came with, coded values their code."""
    extensions = item.get("Extensions") or {}
    named = _string(extensions, "value-type")
    told = item.get("ValueType")
    same = named is not None and told in (None, VALUE_TYPES.get(named, "String"))
    kind = named if named is not None and same else TYPES_BACK.get(str(told), "ST")
    builder.put("OBX", 2, 1, 1, kind)
    text = str(value)
    if kind in ("CWE", "CE", "CNE", "IS"):
        builder.segments["OBX"][5] = _coded_back(text, _string(extensions, "value-code") or "", _string(extensions, "value-codeset") or "")
        return
    if kind == "SN" and (found := _STRUCTURED.fullmatch(text)):
        components = [part or "" for part in found.groups()]
    elif kind == "ED":
        components = ["", "", "", "Base64", text]
    elif kind in ("DT", "DTM", "TM", "TS"):
        builder.segments["OBX"][5] = [[[from_iso(one, builder) or one]] for one in text.split("\n")]
        return
    else:
        components = [text]
    if any(components):
        builder.segments["OBX"][5] = [[[part] for part in components]]


def _coded_back(text: str, code: str, codeset: str) -> list[Any]:
    """Return the repetitions of a coded value: one a line where codes were told line by line too."""
    codes, codesets, texts = code.split("\n"), codeset.split("\n"), text.split("\n")
    if len(codes) == 1 or len(codes) != len(texts):
        codes, codesets, texts = codes[:1], codesets[:1], [text]
    codesets += [""] * (len(codes) - len(codesets))
    return [[[one], [said if said != one else ""], [system]] for one, said, system in zip(codes, texts, codesets, strict=False)]


_STRUCTURED = re.compile(r"(<>|[<>]=?|=)?(\d*\.?\d+)?(?:([-:/+.])(\d*\.?\d+)?)?")


def _string(extensions: Any, name: str) -> str | None:
    found = extensions.get(name) if isinstance(extensions, dict) else None
    text = found.get("string") if isinstance(found, dict) else None
    return str(text) if text is not None else None

"""Named functions of HL7 v2 maps: data types that need more than one leaf (XAD, XTN, XCN, PL, CWE, OBX-5), both ways."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from carelane.formats.hl7v2.clinical import CLINICAL
from carelane.formats.hl7v2.message import NULL, Segment, pick
from carelane.formats.hl7v2.observations import (
    observation_put,
    observation_type,
    observation_value,
    range_bound,
    range_text,
    status_back,
    status_code,
    type_put,
    value_part,
)
from carelane.formats.hl7v2.scope import Scope
from carelane.formats.hl7v2.selectors import is_mail
from carelane.formats.hl7v2.times import birth_time, from_iso, from_iso_date, to_date, to_datetime
from carelane.mapping.edge import Function, Odd
from carelane.mapping.generate import EXTENSION_URL

# Table 0396 → the names people use; the first code of a name is written back.
CODESETS = {
    "I10": "ICD-10",
    "I10C": "ICD-10",
    "I9": "ICD-9",
    "I9C": "ICD-9",
    "LN": "LOINC",
    "SCT": "SNOMED CT",
    "C4": "CPT",
    "CPT4": "CPT",
    "HCPCS": "HCPCS",
    "RXNORM": "RxNorm",
}
_CODESETS_BACK = {name: code for code, name in reversed(CODESETS.items())}

_UNTYPED = "Unknown"
_PUNCTUATION = re.compile(r"[\s().\-/]")


def address(raw: str, scope: Scope) -> dict[str, Any] | None:
    """XAD (chapter 2A): the first line and the second make one street address."""
    parts = _parts(raw, scope, 9)
    lines = [part for part in (parts[0] or _street(raw, scope), parts[1]) if part]
    found = _present({"StreetAddress": ", ".join(lines), "City": parts[2], "State": parts[3], "ZIP": parts[4], "Country": parts[5], "County": parts[8]})
    if found is not None and len(lines) > 1:
        found["Extensions"] = {"street-lines": {"url": EXTENSION_URL + "street-lines", "strings": lines}}
    return found


def _street(raw: str, scope: Scope) -> str:
    """SAD: the name of the street and the number of the dwelling, where they are not in the first part already."""
    return " ".join(text for number in (2, 3) if (text := scope.leaf(raw, 1, number)))


def address_back(value: dict[str, Any], _builder: object) -> list[Any]:
    """Write XAD; the whole street goes into the first line, unless it is known how it was divided."""
    street = value.get("StreetAddress") or ""
    extensions = value.get("Extensions")
    lines = ((extensions if isinstance(extensions, dict) else {}).get("street-lines") or {}).get("strings") or []
    first, second = lines if len(lines) == 2 and ", ".join(lines) == street else (street, "")
    return [[first], second, value.get("City"), value.get("State"), value.get("ZIP"), value.get("Country"), "", "", value.get("County")]


def phone(raw: str, scope: Scope) -> str | None:
    """XTN: the unformatted number, else the old free text, else its parts; in E.164 where it says its country."""
    if is_mail(raw, scope):
        return None
    parts = _parts(raw, scope, 12)
    country, joined = parts[4], parts[5] + parts[6]
    text = parts[11] or parts[0] or (f"+{country}{joined}" if country and joined else joined)
    if not text:
        return None
    bare = _PUNCTUATION.sub("", text) if text[0] == "+" else text
    return bare if bare[0] == "+" and bare[1:].isdigit() and 7 <= len(bare) - 1 <= 15 else text


def phone_back(value: str, _builder: object) -> list[Any]:
    """Write XTN with the number as it is, in the first component and the unformatted one."""
    return [value, "", "PH", "", "", "", "", "", "", "", "", value]


def mobile_back(value: str, _builder: object) -> list[Any]:
    """Write XTN as a mobile number."""
    return [value, "PRS", "CP", "", "", "", "", "", "", "", "", value]


def emails(raw: str, scope: Scope) -> list[str]:
    """Every e-mail address among the repetitions of an XTN field, in component 4, or in 1 as many send it."""
    found = []
    for text in raw.split(scope.context.message.seps.repetition):
        if text and is_mail(text, scope):
            value = scope.leaf(text, 4) or scope.leaf(text, 1)
            if value:
                found.append(value)
    return found


def emails_back(value: list[str], _builder: object) -> list[Any] | None:
    """Write each address as an XTN of type Internet."""
    return [[[""], ["NET"], ["Internet"], [str(text)]] for text in value] or None


def identifier_type(_raw: Any, scope: Scope) -> str | None:
    """CX-5 when it is unique among the repetitions, else with the assigning authority before it (CX-4.1): none is dropped."""
    separator = scope.context.message.seps.component
    if not scope.leaf(scope.repetition, 1):
        return None
    own = scope.leaf(scope.repetition, 5)
    authority = scope.leaf(scope.repetition, 4, 1) or scope.leaf(scope.repetition, 6, 1)
    if not own:
        return authority or _UNTYPED
    twins = scope.context.types_of(scope.siblings)[pick(scope.repetition, separator, 5)]
    return f"{authority}:{own}" if twins > 1 and authority else own


def provider(raw: str, scope: Scope) -> dict[str, Any] | None:
    """XCN: an id, a name, credentials; an id typed NPI is also the NPI."""
    parts = _parts(raw, scope, 21)
    identifier = parts[0]
    kind = (parts[12] or parts[8]) if identifier else ""
    found = _present({"ID": identifier, "IDType": kind, "LastName": parts[1], "FirstName": parts[2]}) or {}
    credentials = [text for text in (parts[6], parts[20]) if text]
    if credentials:
        found["Credentials"] = credentials
    return found or None


def provider_npi(raw: str, scope: Scope) -> dict[str, Any] | None:
    """XCN for the models whose providers have an ``NPI`` of their own."""
    found = provider(raw, scope)
    if found and "NPI" in (found.get("IDType") or "").upper():
        found["NPI"] = found["ID"]
    return found


def provider_back(value: dict[str, Any], _builder: object) -> list[Any]:
    """Write XCN."""
    credentials = [*(value.get("Credentials") or []), "", ""]
    kind = value.get("IDType") or ("NPI" if value.get("NPI") else "")
    written = [value.get("ID") or value.get("NPI"), value.get("LastName"), value.get("FirstName"), "", "", "", credentials[0], "", "", "", "", "", kind]
    return [*written, "", "", "", "", "", "", "", credentials[1]] if credentials[1] else written


def providers(raw: str, scope: Scope) -> list[dict[str, Any]]:
    """Every repetition of an XCN field."""
    return [found for text in raw.split(scope.context.message.seps.repetition) if text and (found := provider(text, scope))]


def providers_back(value: list[dict[str, Any]], builder: object) -> list[Any] | None:
    """Write one XCN a provider."""
    return [[[("" if part is None else str(part))] for part in provider_back(one, builder)] for one in value] or None


def location(raw: str, scope: Scope) -> dict[str, str] | None:
    """PL: point of care, room, bed, facility, person location type."""
    parts = _parts(raw, scope, 6)
    return _present({"Department": parts[0], "Room": parts[1], "Bed": parts[2], "Facility": parts[3], "Type": parts[5]})


def location_back(value: dict[str, Any], _builder: object) -> list[Any]:
    """Write PL."""
    return [value.get("Department"), value.get("Room"), value.get("Bed"), value.get("Facility"), "", value.get("Type")]


def coded(raw: str, scope: Scope) -> dict[str, str] | None:
    """CE, CWE, CNE → Code, Codeset, Description; original text alone is a description without a code."""
    parts = _parts(raw, scope, 9)
    return _present({"Code": parts[0], "Codeset": CODESETS.get(parts[2], parts[2]), "Description": parts[1] or parts[8]})


def coded_back(value: dict[str, Any], _builder: object) -> list[Any]:
    """Write CWE from either spelling of the text."""
    return [value.get("Code"), value.get("Description") or value.get("Name"), codeset_back(value.get("Codeset") or "", _builder)]


def coded_name(raw: str, scope: Scope) -> dict[str, str] | None:
    """The same with ``Name`` for the text."""
    parts = _parts(raw, scope, 9)
    return _present({"Code": parts[0], "Codeset": CODESETS.get(parts[2], parts[2]), "Name": parts[1] or parts[8]})


_UNITS = frozenset({"UCUM", "ISO+", "ANS+", "ISO2955+", "ANSI+"})


def units(raw: str, scope: Scope) -> str | None:
    """A unit as people read it (CE, CWE): its text, or the code where the code is of a system of units and can be read itself."""
    parts = _parts(raw, scope, 9)
    code, text = (parts[0], parts[1] or parts[8])
    found = code if parts[2].upper() in _UNITS and code else text or code
    return found or None


def reactions(raw: str, scope: Scope) -> list[dict[str, str]]:
    """AL1-5, IAM-5: repeating free text; each is a reaction's name."""
    parts = raw.split(scope.context.message.seps.repetition)
    return [{"Name": text} for part in parts if (text := scope.leaf(part))]


def reactions_back(value: list[dict[str, Any]], _builder: object) -> list[Any] | None:
    """Write the reactions' names."""
    return [[[str(one.get("Name") or one.get("Code") or "")]] for one in value] or None


def yes(text: str, _scope: Scope) -> bool | Odd | None:
    """Table 0136."""
    return {"Y": True, "N": False}.get(text.strip().upper(), Odd(None, "unmapped-code", "table 0136 knows Y and N"))


def hispanic(text: str, _scope: Scope) -> bool | Odd | None:
    """PID-22, table 0189 and the CDC codes."""
    known = {"H": True, "2135-2": True, "N": False, "NH": False, "2186-5": False, "U": None}
    return known[text] if text in known else Odd(None, "unmapped-code", "table 0189 knows H, N and U")


def hispanic_back(value: bool, _builder: object) -> str:
    """Write table 0189."""
    return "H" if value else "N"


def texts(raw: str, scope: Scope) -> list[str]:
    """Every repetition's first leaf."""
    parts = raw.split(scope.context.message.seps.repetition)
    return [text for part in parts if (text := scope.leaf(part))]


def texts_back(value: list[Any], _builder: object) -> list[Any] | None:
    """Write one repetition a text."""
    return [[[str(text)]] for text in value] or None


def notes(_raw: Any, scope: Scope) -> list[str] | None:
    """NTE-3 of every note in sight, repetitions joined by newlines."""
    return _said(_in_sight(scope), scope)


def _in_sight(scope: Scope) -> Sequence[Segment]:
    return scope.segments.get("NTE", ())


def _said(segments: Iterable[Segment], scope: Scope) -> list[str] | None:
    return [text for segment in segments if (text := _text_of(segment.field(3), scope))] or None


def _text_of(raw: str, scope: Scope) -> str:
    if scope.context.message.seps.repetition in raw:
        return "\n".join(scope.text(part) for part in scope.repetitions(raw) if part and part != NULL)
    return "" if raw == NULL else scope.text(raw)


def patient_notes(_raw: Any, scope: Scope) -> list[str] | None:
    """The notes that follow the patient's own segments, before any order or result."""
    return _said(_of_the_patient(scope), scope)


def _of_the_patient(scope: Scope) -> list[Segment]:
    found, owner = [], ""
    for segment in scope.members:
        if segment.name != "NTE":
            owner = segment.name
            if owner in _NOT_PATIENT:
                break
        elif owner in _PATIENT:
            found.append(segment)
    return found


_PATIENT = frozenset({"PID", "PD1", "NK1", "PV1", "PV2"})
_NOT_PATIENT = frozenset({"ORC", "OBR", "OBX", "RXA", "RXE", "FT1"})


def notes_back(_item: dict[str, Any], value: list[Any], builder: Any) -> None:
    """Write one NTE a note."""
    for number, text in enumerate(value):
        if text:
            builder.branch("NTE", number).put("NTE", 3, 1, 1, text)


def identifier_type_back(_item: dict[str, Any], value: Any, builder: Any) -> None:
    """Write CX-4 and CX-5; an unknown type is none."""
    authority, colon, kind = str(value).rpartition(":")
    if colon:
        builder.put_leaf(4, 1, authority)
    if kind != _UNTYPED:
        builder.put_leaf(5, 1, kind)


def number(text: str, _scope: Scope) -> float | int | Odd:
    """A plain number."""
    try:
        value = float(text)
    except ValueError:
        return Odd(None, "bad-number", "not a number")
    return int(value) if value.is_integer() else value


def codeset(text: str, _scope: Scope) -> str:
    """The name of a coding system; unknown ones as they came."""
    return CODESETS.get(text, text)


def codeset_back(value: str, _builder: object) -> str:
    """Write table 0396."""
    return _CODESETS_BACK.get(value, value)


def _parts(raw: str, scope: Scope, count: int) -> list[str]:
    """Return at least so many components, each its first leaf; missing ones are empty."""
    values = scope.context.values(raw)
    return values if len(values) >= count else values + [""] * (count - len(values))


def _present(values: Mapping[str, str]) -> dict[str, Any] | None:
    return {name: text for name, text in values.items() if text} or None


FUNCTIONS: Mapping[str, Function] = {
    **CLINICAL,
    "datetime": Function("text", to_datetime, from_iso),
    "date": Function("text", to_date, from_iso_date),
    "birth_time": Function("text", birth_time, None),
    "address": Function("raw", address, address_back, reads=frozenset({1, 2, 3, 4, 5, 6, 9})),
    "phone": Function("raw", phone, phone_back, reads=frozenset({1, 2, 3, 5, 6, 7, 12})),
    "mobile": Function("raw", phone, mobile_back, reads=frozenset({1, 2, 3, 5, 6, 7, 12})),
    "emails": Function("raw", emails, emails_back, reads=frozenset({1, 2, 3, 4})),
    "identifier_type": Function("scope", identifier_type, None, (("", 0),), frozenset({5}), put=identifier_type_back),
    "provider": Function("raw", provider, provider_back, reads=frozenset({1, 2, 3, 7, 13})),
    "provider_npi": Function("raw", provider_npi, provider_back, reads=frozenset({1, 2, 3, 7, 13})),
    "providers": Function("raw", providers, providers_back, reads=frozenset({1, 2, 3, 7, 13})),
    "location": Function("raw", location, location_back, reads=frozenset({1, 2, 3, 4, 6})),
    "coded": Function("raw", coded, coded_back, parts=frozenset({3}), reads=frozenset({1, 2, 3})),
    "coded_name": Function("raw", coded_name, coded_back, parts=frozenset({3}), reads=frozenset({1, 2, 3})),
    "codeset": Function("text", codeset, codeset_back),
    "units": Function("raw", units, lambda value, _builder: [str(value)], parts=frozenset({1, 3}), reads=frozenset({1, 2, 3})),
    "reactions": Function("raw", reactions, reactions_back, reads=frozenset({1})),
    "yes_no": Function("text", yes, lambda value, _builder: "Y" if value else "N"),
    "hispanic": Function("text", hispanic, hispanic_back),
    "texts": Function("raw", texts, texts_back, reads=frozenset({1})),
    "notes": Function("scope", notes, None, (("NTE", 3),), segments=_in_sight, put=notes_back),
    "patient_notes": Function("scope", patient_notes, None, (("NTE", 3),), segments=_of_the_patient, put=notes_back),
    "number": Function("text", number, lambda value, _builder: str(value)),
    "observation_value": Function("scope", observation_value, None, (("OBX", 5),), put=observation_put),
    "observation_type": Function("scope", observation_type, None, (("OBX", 2),), frozenset({1}), put=type_put),
    "value_codes": Function("raw", value_part(1), None, reads=frozenset({1})),
    "value_codesets": Function("raw", value_part(3), None, reads=frozenset({3})),
    "status_code": Function("scope", status_code, None, (("OBX", 11),)),
    "status_back": Function("scope", lambda _raw, _scope: None, None, put=status_back),
    "one_text": Function("raw", texts, texts_back, reads=frozenset({1})),
    "range_low": Function("text", range_bound(0), None),
    "range_high": Function("text", range_bound(1), None),
    "range_text": Function("text", range_text, lambda value, _builder: str(value)),
}

"""HL7 v2 data types → FHIR data types (HL7's v2-to-FHIR data type maps); each function is pure and says nothing it was not told."""

import re
from collections.abc import Callable, Iterator
from typing import Any

from carelane.formats.fhir.assembly import FhirContext
from carelane.formats.fhir.systems import CLIA, IDENTIFIER_TYPE, Vocabulary, authority_system, system_of, vocabularies
from carelane.formats.hl7v2.scope import Scope
from carelane.formats.hl7v2.times import to_date, to_datetime

STRUCTURE = "http://hl7.org/fhir/StructureDefinition/"
ABSENT = {"extension": [{"url": f"{STRUCTURE}data-absent-reason", "valueCode": "unknown"}]}
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,2})?", re.ASCII)
_MOST_DIGITS = 16
_DATE = re.compile(r"\d{4}(-\d{2}(-\d{2})?)?", re.ASCII)

Get = Callable[..., str]


def leaves(raw: str, scope: Scope) -> Get:
    """Return a reader of one repetition's leaves: component and sub-component; empty when absent."""

    values = valued(raw, scope)

    def get(component: int = 1, sub: int = 1) -> str:
        if sub == 1:
            return values[component - 1]
        return (scope.leaf(raw, component, sub) or "").strip()

    return get


def valued(raw: str, scope: Scope) -> list[str]:
    """Return the first leaf of each of at least 32 components, empty where there is none."""
    context: FhirContext = scope.context  # type: ignore[assignment]  # every scope of this package is made with one
    return context.valued(raw)


def each(raw: str, scope: Scope) -> Iterator[str]:
    """Yield the repetitions of a field that hold something."""
    for text in scope.repetitions(raw):
        if text:
            yield text


def trimmed(value: dict[str, Any]) -> dict[str, Any]:
    """Return an object without empty members; nought and false are values."""
    return {name: one for name, one in value.items() if one or one == 0}


def extension(url: str, kind: str, value: Any) -> dict[str, Any]:
    """Return an extension of HL7's own definitions."""
    return {"url": STRUCTURE + url, f"value{kind}": value}


class Cut(str):
    """The date of a time of day without a zone, which FHIR cannot tell; ``sent`` is what came, for the element's extension (``cut_times``)."""

    __slots__ = ("sent",)
    sent: str


def time(text: str, scope: Scope) -> str | None:
    """DTM → dateTime. A time of day needs a zone in FHIR: without one, only the date is said, and the rest kept."""
    if not text:
        return None
    found = to_datetime(text, scope)
    value = found if isinstance(found, str) else getattr(found, "value", None)
    if value is None:
        return None
    if value.endswith("Z") or "T" not in value:
        return value
    cut = Cut(value[:10])
    cut.sent = text
    return cut


def cut_times(value: Any) -> Any:
    """Return a value in which every date that was cut from a time says in an extension of its element what was sent."""
    if isinstance(value, list):
        beside = [_sent(one) for one in value if isinstance(one, dict) and "url" in one and isinstance(one.get("valueDateTime"), Cut)]
        return [*(cut_times(one) for one in value), *beside]
    if not isinstance(value, dict):
        return str(value) if isinstance(value, Cut) else value
    found: dict[str, Any] = {}
    for name, one in value.items():
        found[name] = cut_times(one)
        if isinstance(one, Cut) and f"_{name}" not in value and "url" not in value:
            found[f"_{name}"] = {"extension": [extension("originalText", "String", one.sent)]}
    return found


def _sent(one: dict[str, Any]) -> dict[str, Any]:
    """An extension says what was sent in another one: few readers look for an element's extension inside of it."""
    return {"url": SENT, "extension": [{"url": "of", "valueUri": one["url"]}, {"url": "text", "valueString": one["valueDateTime"].sent}]}


SENT = "urn:carelane:extension:sent"


def instant(text: str, scope: Scope) -> str | None:
    """DTM → instant: only a full time with a zone is one."""
    value = time(text, scope)
    return value if value is not None and "T" in value else None


def day(text: str, scope: Scope) -> str | None:
    """DTM → date, as much of it as is known."""
    found = to_date(text, scope) if text else None
    return found if isinstance(found, str) and _DATE.fullmatch(found) else None


def period(start: str, end: str, scope: Scope) -> dict[str, Any]:
    """Two DTM → Period."""
    return trimmed({"start": time(start, scope), "end": time(end, scope)})


def number(text: str) -> int | float | None:
    """NM → decimal; whole numbers stay whole, and one with more digits than JSON numbers keep is none."""
    match = _NUMBER.fullmatch(text)
    if match is None or len(text) > _MOST_DIGITS:
        return None
    return float(text) if match[2] or "." in text else int(text)


def coding(code: str, display: str, system: str, version: str = "") -> dict[str, Any]:
    """Return a Coding; without a code or a text there is none."""
    found = {}
    if code:
        if system:
            found["system"] = system
        if version:
            found["version"] = version
        found["code"] = code
    if display:
        found["display"] = display
    return found


def concept(raw: str, scope: Scope, vocabulary: Vocabulary | None = None) -> dict[str, Any] | None:
    """CWE, CE, CNE → CodeableConcept: the translation first, then every coding that was sent, then the original text."""
    of = valued(raw, scope)
    table = vocabulary.table if vocabulary else ""
    codings = []
    translated = translate(of[0], vocabulary) if vocabulary else None
    if translated:
        codings.append(translated)
    for at, of_version in _TRIPLETS:
        code, display = of[at], of[at + 1]
        if code or display:
            codings.append(coding(code, display, system_of(of[at + 2], "" if at else table), of[of_version]))
    if translated and len(codings) > 1 and codings[1].get("code") == translated["code"] and codings[1].get("system") == translated["system"]:
        codings[0:2] = [{**translated, **codings[1]}]
    found: dict[str, Any] = {"coding": codings} if codings else {}
    if text := of[8] or (of[1] if not of[0] else ""):
        found["text"] = text
    return found or None


_TRIPLETS = ((0, 6), (3, 7), (9, 12))
"""Where code, display and system of the three codings of a CWE begin, and where their versions are, from nought."""


def translate(code: str, vocabulary: Vocabulary) -> dict[str, Any] | None:
    """Return the Coding a v2 code is translated to."""
    if code in vocabulary.other:
        system, other = vocabulary.other[code]
        return {"system": system, "code": other}
    value = vocabulary.codes.get(code) or vocabulary.codes.get(code.upper()) or vocabulary.codes.get(code.capitalize())
    return {"system": vocabulary.system, "code": value} if value else None


def coded(code: str, name: str) -> str | None:
    """Return the code of an element with a required binding: translated, or none."""
    found = translate(code, vocabularies()[name]) if code else None
    return str(found["code"]) if found else None


def assigner(namespace: str, universal: str, kind: str, system: str) -> dict[str, Any] | None:
    """HD → the Reference of who assigned an identifier; a universal id that the identifier's system does not tell is one of its own."""
    found: dict[str, Any] = {}
    if universal and universal.lower() not in system.lower():
        found["identifier"] = {"system": CLIA, "value": universal} if kind.upper() == "CLIA" else {"value": universal}
    if shown := namespace or universal:
        found["display"] = shown
    return found or None


def identifier(raw: str, scope: Scope, kind: str = "") -> dict[str, Any] | None:
    """CX → Identifier."""
    get = leaves(raw, scope)
    if not get(1):
        return None
    code = get(5) or kind
    system = authority_system(get(4, 1), get(4, 2), get(4, 3))
    extensions = [
        extension("identifier-checkDigit", "String", get(2)) if get(2) else None,
        extension("namingsystem-checkDigit", "String", get(3)) if get(3) else None,
    ]
    return trimmed(
        {
            "extension": [one for one in extensions if one],
            "type": {"coding": [{"system": IDENTIFIER_TYPE, "code": code}]} if code else None,
            "system": system,
            "value": get(1),
            "period": period(get(7), get(8), scope),
            "assigner": assigner(get(4, 1), get(4, 2), get(4, 3), system),
        }
    )


def entity(raw: str, scope: Scope, kind: str = "") -> dict[str, Any] | None:
    """EI → Identifier, with its type where the field says what it is (PLAC, FILL, FGN, PGN)."""
    get = leaves(raw, scope)
    if not get(1):
        return None
    system = authority_system(get(2), get(3), get(4))
    return trimmed(
        {
            "type": {"coding": [{"system": IDENTIFIER_TYPE, "code": kind}]} if kind else None,
            "system": system,
            "value": get(1),
            "assigner": assigner(get(2), get(3), get(4), system),
        }
    )


def pair(raw: str, scope: Scope, component: int, kind: str) -> dict[str, Any] | None:
    """EIP → Identifier of the placer (component 1) or the filler (2); its parts are sub-components."""
    get = leaves(raw, scope)
    if not get(component, 1):
        return None
    system = authority_system(get(component, 2), get(component, 3), get(component, 4))
    kinds = {"coding": [{"system": IDENTIFIER_TYPE, "code": kind}]}
    return trimmed(
        {"type": kinds, "system": system, "value": get(component, 1), "assigner": assigner(get(component, 2), get(component, 3), get(component, 4), system)}
    )


def human_name(raw: str, scope: Scope, shift: int = 0) -> dict[str, Any] | None:
    """XPN → HumanName; in XCN the same parts stand one component later (``shift`` 1)."""
    get = leaves(raw, scope)
    at = shift
    if shift:
        kind, assembly, start, end, professional = get(10), get(18), get(19), get(20), get(21)
    else:
        kind, assembly, start, end, professional = get(7), get(11), get(12), get(13), get(14)
    found = trimmed(
        {
            "use": coded(kind, "name_use"),
            "family": get(1 + at),
            "given": [text for text in (get(2 + at), get(3 + at)) if text],
            "prefix": [get(5 + at)] if get(5 + at) else [],
            "suffix": [text for text in (get(4 + at), "" if shift else get(6), professional) if text],
            "period": period(start, end, scope),
        }
    )
    if not any(name in found for name in ("family", "given", "prefix", "suffix")):
        return None
    if assembly in ("F", "G"):
        found["extension"] = [extension("humanname-assembly-order", "Code", "NL1" if assembly == "F" else "NL2")]
    own = [("humanname-own-prefix", get(1 + at, 2)), ("humanname-own-name", get(1 + at, 3)), ("humanname-partner-prefix", get(1 + at, 4)),
           ("humanname-partner-name", get(1 + at, 5))]  # fmt: skip
    parts = [extension(url, "String", text) for url, text in own if text]
    if parts and "family" in found:
        found["_family"] = {"extension": parts}
    return found


def nickname(raw: str, scope: Scope) -> dict[str, Any] | None:
    """XPN-15, what someone is called by → a name of its own."""
    called = leaves(raw, scope)(15)
    return {"use": "nickname", "given": [called]} if called else None


def address(raw: str, scope: Scope) -> dict[str, Any] | None:
    """XAD → Address."""
    get = leaves(raw, scope)
    street, parts = get(1, 1), [text for text in (get(1, 3), get(1, 2)) if text]
    if not street:
        street, parts = " ".join(parts), []
    lines = [text for text in (street, *(part for part in parts if f" {part} " not in f" {street} "), get(2), get(19)) if text]
    kind = get(7).upper()
    extensions = []
    if get(10):
        extensions.append(extension("iso21090-ADXP-censusTract", "String", get(10)))
    if kind == "HV":
        extensions.append(extension("iso21090-AD-use", "Code", "HV"))
    start, end = (get(12, 1), get(12, 2)) if get(12) else (get(13), get(14))
    found = trimmed(
        {
            "extension": extensions,
            "use": coded(kind, "address_use"),
            "type": coded(kind, "address_type"),
            "line": lines,
            "city": get(3),
            "state": get(4),
            "postalCode": get(5),
            "country": get(6),
            "district": get(9),
            "period": period(start, end, scope),
        }
    )
    return found if any(name in found for name in ("line", "city", "state", "postalCode", "country", "district")) else None


def contact_point(raw: str, scope: Scope, use: str = "") -> dict[str, Any] | None:
    """XTN → ContactPoint: e-mail wherever it stands, else the unformatted number, else its parts."""
    get = leaves(raw, scope)
    equipment = get(3)
    mail = next((text for text in (get(4), get(1), get(12)) if "@" in text), "") or (get(4) if equipment.lower() in ("internet", "x.400") else "")
    value = mail or get(12) or _assembled(get) or get(1)
    if not value:
        return None
    system = "email" if mail else coded(equipment, "telecom_system") or coded(equipment.upper(), "telecom_system") or ("phone" if value else None)
    chosen = coded(get(2), "telecom_use") or ("mobile" if equipment.upper() == "CP" else None) or use
    parts = [
        ("contactpoint-country", get(5)),
        ("contactpoint-area", get(6)),
        ("contactpoint-local", "" if mail else get(7)),
        ("contactpoint-extension", get(8)),
    ]
    rank = number(get(18))
    return trimmed(
        {
            "extension": [extension(url, "String", text) for url, text in parts if text],
            "system": system,
            "value": value,
            "use": "mobile" if equipment.upper() == "CP" and not get(2) else chosen,
            "rank": rank if isinstance(rank, int) and rank > 0 else None,
            "period": period(get(13), get(14), scope),
        }
    )


def _assembled(get: Get) -> str:
    country, area, local, more = get(5), get(6), get(7), get(8)
    if not local:
        return ""
    text = " ".join(part for part in ("+" + country.removeprefix("+") if country else "", area, local) if part)
    return f"{text} X{more}" if more else text


def units(raw: str, scope: Scope) -> dict[str, Any]:
    """CWE → unit, system and code of a Quantity."""
    of = valued(raw, scope)
    code = of[0]
    system = system_of(of[2]) if code else ""
    name = of[1] or of[8] or code
    found = {"unit": name} if name else {}
    if system:
        found |= {"system": system, "code": code}
    return found

"""FHIR data types → HL7 v2 fields: what the functions of FHIR maps do on the way back. Each gets a value and the builder."""

from collections.abc import Callable, Mapping
from typing import Any

from carelane.formats.fhir.quantities import PLAIN, digits, original, unit_in
from carelane.formats.fhir.systems import LOCAL, NPI, Vocabulary, name_of

Components = list[Any]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None or isinstance(value, dict | list) else str(value)


def _first(value: Any) -> dict[str, Any]:
    one = value[0] if isinstance(value, list) and value else value
    return one if isinstance(one, dict) else {}


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def text(value: Any, _builder: Any) -> str | None:
    """A text or a number."""
    if isinstance(value, bool):
        return "Y" if value else "N"
    return _text(value) or None


def texts(value: Any, _builder: Any) -> list[Any] | None:
    """One repetition a text."""
    return [[[_text(one)]] for one in value if _text(one)] or None if isinstance(value, list) else None


def boolean(value: Any, _builder: Any) -> str | None:
    """Table 0136."""
    return ("Y" if value else "N") if isinstance(value, bool) else None


def day(value: Any, _builder: Any) -> str | None:
    """Date → DT."""
    return _text(value)[:10].replace("-", "") or None


def time(value: Any, _builder: Any) -> str | None:
    """DateTime, instant → DTM."""
    shown = _text(value)
    if not shown:
        return None
    date, _, clock = shown.partition("T")
    if not clock:
        return date.replace("-", "")
    zone = ""
    if clock.endswith("Z"):
        clock, zone = clock[:-1], "+0000"
    elif len(clock) > 6 and clock[-6] in "+-":
        clock, zone = clock[:-6], clock[-6:].replace(":", "")
    whole, _, fraction = clock.partition(".")
    tail = "." + fraction.rstrip("0") if fraction.strip("0") else ""
    return date.replace("-", "") + whole.replace(":", "") + tail + zone


def concept(value: Any, _builder: Any, vocabulary: Vocabulary | None = None) -> Components | None:
    """CodeableConcept → CWE: the sender's own coding first, a translation back into the v2 table where there is only that."""
    value = _first(value)
    codings, shown = _dicts(value.get("coding")), _text(value.get("text"))
    if vocabulary is not None and vocabulary.codes:
        own = [one for one in codings if one.get("system") != vocabulary.system]
        if not own and codings:
            code_ = _text(codings[0].get("code"))
            return [vocabulary.back.get(code_, code_), _text(codings[0].get("display")), "HL7" + vocabulary.table if code_ in vocabulary.back else ""]
        codings = own
    parts: Components = []
    for one in codings[:2]:
        parts += [_text(one.get("code")), _text(one.get("display")), name_of(_text(one.get("system")))]
    if not parts and not shown:
        return None
    if shown and len(parts) < 9:
        parts += [""] * (8 - len(parts))
        parts.append(shown)
    if codings and codings[0].get("version"):
        parts += [""] * (7 - len(parts))
        parts[6] = _text(codings[0]["version"])
    return parts


def concepts(value: Any, builder: Any, vocabulary: Vocabulary | None = None) -> list[Any] | None:
    """Several CWE."""
    return [[[part] for part in found] for one in _dicts(value) if (found := concept(one, builder, vocabulary))] or None


def code(value: Any, _builder: Any, vocabulary: Vocabulary) -> Components | None:
    """A code with a required binding → the v2 code."""
    shown = _text(value[0] if isinstance(value, list) and value else value)
    found = vocabulary.back.get(shown, shown)
    return [found] if found else None


def coding(value: Any, builder: Any, vocabulary: Vocabulary | None = None) -> Components | None:
    """Coding → CWE."""
    found = concept({"coding": [value]}, builder, vocabulary) if isinstance(value, dict) else None
    return found[:1] if found and vocabulary is not None else found


def _authority(one: Mapping[str, Any]) -> list[str]:
    system = _text(one.get("system"))
    shown = _text(one.get("assigner", {}).get("display")) if isinstance(one.get("assigner"), dict) else ""
    if system.startswith("urn:oid:"):
        return [shown, system.removeprefix("urn:oid:"), "ISO"]
    if system.startswith("urn:uuid:"):
        return [shown, system.removeprefix("urn:uuid:"), "UUID"]
    if system.startswith(LOCAL):
        return [shown or system.removeprefix(LOCAL)]
    return [shown, system, "URI"] if system else [shown]


def _kind(one: Mapping[str, Any]) -> str:
    return _text(_first(_first(one.get("type")).get("coding")).get("code"))


def identifier(value: Any, _builder: Any) -> Components | None:
    """Identifier → CX."""
    one = _first(value)
    if not one.get("value"):
        return None
    period = _first(one.get("period"))
    kind = "NPI" if one.get("system") == NPI else _kind(one)
    return [_text(one["value"]), "", "", _authority(one), kind, "", day(period.get("start"), None) or "", day(period.get("end"), None) or ""]


def identifiers(value: Any, builder: Any) -> list[Any] | None:
    """Several CX."""
    return [_listed(found) for one in _dicts(value) if (found := identifier(one, builder))] or None


def entity(value: Any, _builder: Any) -> Components | None:
    """Identifier → EI."""
    one = _first(value)
    return [_text(one["value"]), *_authority(one)] if one.get("value") else None


def numbered(value: Any, builder: Any, kind: str, *, only: bool) -> Components | None:
    """The identifier of one kind (PLAC, FILL) → EI; the first one where none says its kind, unless ``only`` that kind will do."""
    known = _dicts(value)
    chosen = next((one for one in known if _kind(one) == kind), None)
    if chosen is None and not only:
        chosen = next((one for one in known if _kind(one) not in ("PLAC", "FILL", "VN", "FGN", "PGN")), None)
    return entity(chosen, builder) if chosen else None


def visit_number(value: Any, builder: Any) -> Components | None:
    """The visit number among an encounter's identifiers → CX."""
    known = _dicts(value)
    chosen = next((one for one in known if _kind(one) == "VN"), known[0] if known else None)
    return identifier(chosen, builder) if chosen else None


def entities(value: Any, builder: Any) -> list[Any] | None:
    """Several EI."""
    return [_listed(found) for one in _dicts(value) if (found := entity(one, builder))] or None


def _listed(parts: Components) -> list[list[str]]:
    return [part if isinstance(part, list) else [_text(part)] for part in parts]


_NAME_USE = {"official": "L", "usual": "D", "maiden": "M", "nickname": "N", "anonymous": "MSK", "temp": "TEMP", "old": "BAD"}


def name(value: Any, _builder: Any) -> Components | None:
    """HumanName → XPN."""
    one = _first(value)
    given = [_text(part) for part in one.get("given") or []]
    suffix = [_text(part) for part in one.get("suffix") or []]
    family = _text(one.get("family")) or (_text(one.get("text")) if not given else "")
    if not family and not given:
        return None
    prefix = _text((one.get("prefix") or [""])[0])
    return [family, given[0] if given else "", " ".join(given[1:]), suffix[0] if suffix else "", prefix, suffix[1] if len(suffix) > 1 else "",
            _NAME_USE.get(_text(one.get("use")), "")]  # fmt: skip


def names(value: Any, builder: Any) -> list[Any] | None:
    """Several XPN."""
    return [_listed(found) for one in _dicts(value) if (found := name(one, builder))] or None


_ADDRESS_USE = {"home": "H", "work": "B", "temp": "C", "old": "BA", "billing": "BI"}


def address(value: Any, _builder: Any) -> Components | None:
    """Address → XAD."""
    one = _first(value)
    lines = [_text(part) for part in one.get("line") or []]
    first = lines[0] if lines else _text(one.get("text"))
    parts = [first, ", ".join(lines[1:]), *(_text(one.get(part)) for part in ("city", "state", "postalCode", "country"))]
    if not any(parts):
        return None
    kind = _ADDRESS_USE.get(_text(one.get("use")), "M" if one.get("type") == "postal" else "")
    return [*parts, kind, "", _text(one.get("district"))]


def addresses(value: Any, builder: Any) -> list[Any] | None:
    """Several XAD."""
    return [_listed(found) for one in _dicts(value) if (found := address(one, builder))] or None


def telecoms(value: Any, _builder: Any) -> list[Any] | None:
    """ContactPoint → XTN, each a repetition."""
    found = []
    for one in _dicts(value):
        shown, system, use = _text(one.get("value")), one.get("system"), one.get("use")
        if not shown:
            continue
        if system == "email":
            found.append(_listed(["", "NET", "Internet", shown]))
            continue
        equipment = {"fax": "FX", "pager": "BP"}.get(_text(system), "CP" if use == "mobile" else "PH")
        code_ = {"home": "PRN", "work": "WPN", "mobile": "PRS"}.get(_text(use), "")
        found.append(_listed([shown, code_, equipment, "", "", "", "", "", "", "", "", shown]))
    return found or None


def language(value: Any, builder: Any) -> Components | None:
    """Communication → PID-15."""
    return concept(_first(value).get("language"), builder)


def _resolved(value: Any, builder: Any) -> dict[str, Any]:
    context = getattr(builder, "context", None)
    found = context(value) if context is not None else None
    return found if isinstance(found, dict) else {}


def practitioner(value: Any, builder: Any) -> Components | None:
    """Reference(Practitioner) → XCN, by what it refers to or says of itself."""
    link = _first(value)
    who = _resolved(link, builder)
    if who.get("resourceType") == "PractitionerRole":
        who = _resolved(who.get("practitioner"), builder)
    number = _first(who.get("identifier")) or _first(link.get("identifier"))
    parts = name(who.get("name"), builder) or [_text(link.get("display"))]
    if not number.get("value") and not any(parts):
        return None
    kind = "NPI" if number.get("system") == NPI else _kind(number)
    padded = [*parts, "", "", "", "", "", ""]
    degree = _text(_first(_first(_first(who.get("qualification")).get("code")).get("coding")).get("code"))
    authority = [] if kind == "NPI" else _authority(number)
    return [_text(number.get("value")), padded[0], padded[1], padded[2], padded[3], padded[4], degree, "", authority or "", "", "", "", kind]


def practitioners(value: Any, builder: Any) -> list[Any] | None:
    """Several XCN."""
    return [_listed(found) for one in _dicts(value) if (found := practitioner(one, builder))] or None


def organization(value: Any, builder: Any) -> Components | None:
    """Reference(Organization) → XON."""
    link = _first(value)
    found = _resolved(link, builder)
    number = _first(found.get("identifier")) or _first(link.get("identifier"))
    shown = _text(found.get("name")) or _text(link.get("display"))
    if not shown and not number.get("value"):
        return None
    return [shown, "", "", "", "", _authority(number) if number else "", _kind(number), "", "", _text(number.get("value"))]


def organizations(value: Any, builder: Any) -> list[Any] | None:
    """Several XON."""
    return [_listed(found) for one in _dicts(value) if (found := organization(one, builder))] or None


_PLACE = {"wa": 0, "ro": 1, "bd": 2, "si": 3, "bu": 6, "lvl": 7}


def location(value: Any, builder: Any) -> Components | None:
    """Reference(Location) → PL, up through what each place is part of."""
    parts: Components = [""] * 9
    link, at = _first(value), 0
    while link and at < 8:
        found = _resolved(link, builder)
        kind = _text(_first(_first(found.get("physicalType")).get("coding")).get("code"))
        shown = _text(_first(found.get("identifier")).get("value")) or _text(found.get("name")) or _text(link.get("display"))
        place = _PLACE.get(kind, 0)
        if shown and not parts[place]:
            parts[place] = shown
        link, at = _first(found.get("partOf")), at + 1
    return parts if any(parts) else None


def here(value: Any, builder: Any) -> Components | None:
    """The place a patient is at now."""
    chosen = next((one for one in _dicts(value) if one.get("status") in (None, "active", "planned")), None)
    return location(chosen.get("location"), builder) if chosen else None


def participants(value: Any, builder: Any, code: str) -> list[Any] | None:
    """Who takes part in one way."""
    return practitioners([one.get("individual") or one.get("actor") for one in _dicts(value) if _has(one, "type", code)], builder)


def actors(value: Any, builder: Any, code: str) -> list[Any] | None:
    """Who performed one function; where nobody says which, all."""
    return practitioners([one.get("actor") for one in _dicts(value) if not one.get("function") or _has(one, "function", code)], builder)


def _has(one: Mapping[str, Any], member: str, wanted: str) -> bool:
    found = one.get(member)
    return any(coding_.get("code") == wanted for each in (found if isinstance(found, list) else [found]) for coding_ in _dicts(_first(each).get("coding")))


def reactions(value: Any, _builder: Any) -> list[Any] | None:
    """reaction.manifestation → AL1-5."""
    shown = [_first(one.get("manifestation")) for one in _dicts(value)]
    return [[[_text(one.get("text")) or _text(_first(one.get("coding")).get("display"))]] for one in shown if one] or None


def notes(_item: dict[str, Any], value: Any, builder: Any) -> None:
    """Annotation → NTE."""
    for at, one in enumerate(_dicts(value)):
        if one.get("text"):
            builder.branch("NTE", at).put("NTE", 3, 1, 1, _text(one["text"]))


def observed(item: dict[str, Any], _value: Any, builder: Any) -> None:
    """Observation.value[x] → OBX-2, 5 and 6."""
    kind, parts = _observed(item)
    if kind:
        builder.put("OBX", 2, 1, 1, kind)
        builder.segments["OBX"][5] = [
            _listed([original(item.get("_valueString"))] if kind == "ST" and item.get("_valueString") and original(item["_valueString"]) else parts)
        ]
    unit = unit_in(item)
    if unit.get("unit") or unit.get("code"):
        builder.put("OBX", 6, 1, 1, _text(unit.get("code")) or _text(unit.get("unit")))
        if unit.get("system"):
            builder.put("OBX", 6, 3, 1, name_of(_text(unit["system"])))


def _observed(item: Mapping[str, Any]) -> tuple[str, Components]:
    for name_, write in _VALUES.items():
        value = item.get(name_)
        if value is not None and (found := write(value)) is not None:
            return found
    return "", []


def _quantity(value: Any) -> tuple[str, Components] | None:
    one = _first(value)
    shown = digits(one)
    if whole := original(one):
        return "ST", [whole]
    return ("SN", [_text(one["comparator"]), shown]) if one.get("comparator") else ("NM" if PLAIN.fullmatch(shown) else "ST", [shown])


def _ratio(value: Any) -> tuple[str, Components] | None:
    top, bottom = _first(_first(value).get("numerator")), _first(_first(value).get("denominator"))
    return "SN", [_text(top.get("comparator")), digits(top), ":", digits(bottom)]


def _range(value: Any) -> tuple[str, Components] | None:
    low, high = _first(_first(value).get("low")), _first(_first(value).get("high"))
    return "SN", ["", digits(low), "-", digits(high)]


_VALUES: Mapping[str, Callable[[Any], tuple[str, Components] | None]] = {
    "valueQuantity": _quantity,
    "valueCodeableConcept": lambda value: ("CWE", concept(value, None) or [""]),
    "valueRatio": _ratio,
    "valueRange": _range,
    "valuePeriod": lambda value: ("DR", [time(_first(value).get("start"), None) or "", time(_first(value).get("end"), None) or ""]),
    "valueDateTime": lambda value: ("DTM", [time(value, None)]),
    "valueTime": lambda value: ("TM", [_text(value).replace(":", "")]),
    "valueString": lambda value: ("ST", [_text(value)]),
    "valueInteger": lambda value: ("NM", [_text(value)]),
    "valueBoolean": lambda value: ("ID", ["Y" if value else "N"]),
}


def effective(item: dict[str, Any], _value: Any, builder: Any) -> None:
    """effective[x] → OBX-14 of a result, OBR-7 and OBR-8 of a report."""
    period = _first(item.get("effectivePeriod"))
    moment = time(item.get("effectiveDateTime") or item.get("effectiveInstant") or period.get("start"), builder)
    if moment is None:
        return
    if item.get("resourceType") == "Observation":
        builder.put("OBX", 14, 1, 1, moment)
        return
    builder.put("OBR", 7, 1, 1, moment)
    if end := time(period.get("end"), builder):
        builder.put("OBR", 8, 1, 1, end)

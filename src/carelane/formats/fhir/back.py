"""FHIR data types → HL7 v2 fields: what the functions of FHIR maps do on the way back. Each gets a value and the builder."""

from collections.abc import Mapping
from typing import Any

from carelane.formats.fhir.systems import LOCAL, NPI, Vocabulary, name_of

Components = list[Any]


def shown_text(value: Any) -> str:
    """Return a text or a number as text; empty for anything else."""
    return value if isinstance(value, str) else "" if value is None or isinstance(value, dict | list) else str(value)


def first(value: Any) -> dict[str, Any]:
    """Return an object, or the first of several."""
    one = value[0] if isinstance(value, list) and value else value
    return one if isinstance(one, dict) else {}


def dicts(value: Any) -> list[dict[str, Any]]:
    """Return the objects of a list."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def text(value: Any, _builder: Any) -> str | None:
    """A text or a number."""
    if isinstance(value, bool):
        return "Y" if value else "N"
    return shown_text(value) or None


def texts(value: Any, _builder: Any) -> list[Any] | None:
    """One repetition a text."""
    return [[[shown_text(one)]] for one in value if shown_text(one)] or None if isinstance(value, list) else None


def boolean(value: Any, _builder: Any) -> str | None:
    """Table 0136."""
    return ("Y" if value else "N") if isinstance(value, bool) else None


def day(value: Any, _builder: Any) -> str | None:
    """Date → DT."""
    return shown_text(value)[:10].replace("-", "") or None


def time(value: Any, _builder: Any) -> str | None:
    """DateTime, instant → DTM."""
    shown = shown_text(value)
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
    value = first(value)
    codings, shown = dicts(value.get("coding")), shown_text(value.get("text"))
    if vocabulary is not None and vocabulary.codes:
        own = [one for one in codings if one.get("system") != vocabulary.system]
        if not own and codings:
            code_ = shown_text(codings[0].get("code"))
            return [vocabulary.back.get(code_, code_), shown_text(codings[0].get("display")), "HL7" + vocabulary.table if code_ in vocabulary.back else ""]
        codings = own
    parts: Components = []
    for one in codings[:2]:
        parts += [shown_text(one.get("code")), shown_text(one.get("display")), name_of(shown_text(one.get("system")))]
    if not parts and not shown:
        return None
    if shown and len(parts) < 9:
        parts += [""] * (8 - len(parts))
        parts.append(shown)
    if codings and codings[0].get("version"):
        parts += [""] * (7 - len(parts))
        parts[6] = shown_text(codings[0]["version"])
    return parts


def concepts(value: Any, builder: Any, vocabulary: Vocabulary | None = None) -> list[Any] | None:
    """Several CWE."""
    return [[[part] for part in found] for one in dicts(value) if (found := concept(one, builder, vocabulary))] or None


def code(value: Any, _builder: Any, vocabulary: Vocabulary) -> Components | None:
    """A code with a required binding → the v2 code."""
    shown = shown_text(value[0] if isinstance(value, list) and value else value)
    found = vocabulary.back.get(shown, shown)
    return [found] if found else None


def coding(value: Any, builder: Any, vocabulary: Vocabulary | None = None) -> Components | None:
    """Coding → CWE."""
    found = concept({"coding": [value]}, builder, vocabulary) if isinstance(value, dict) else None
    return found[:1] if found and vocabulary is not None else found


def _authority(one: Mapping[str, Any]) -> list[str]:
    system = shown_text(one.get("system"))
    shown = shown_text(one.get("assigner", {}).get("display")) if isinstance(one.get("assigner"), dict) else ""
    if system.startswith("urn:oid:"):
        return [shown, system.removeprefix("urn:oid:"), "ISO"]
    if system.startswith("urn:uuid:"):
        return [shown, system.removeprefix("urn:uuid:"), "UUID"]
    if system.startswith(LOCAL):
        return [shown or system.removeprefix(LOCAL)]
    return [shown, system, "URI"] if system else [shown]


def _kind(one: Mapping[str, Any]) -> str:
    return shown_text(first(first(one.get("type")).get("coding")).get("code"))


def identifier(value: Any, _builder: Any) -> Components | None:
    """Identifier → CX."""
    one = first(value)
    if not one.get("value"):
        return None
    period = first(one.get("period"))
    kind = "NPI" if one.get("system") == NPI else _kind(one)
    return [shown_text(one["value"]), "", "", _authority(one), kind, "", day(period.get("start"), None) or "", day(period.get("end"), None) or ""]


def identifiers(value: Any, builder: Any) -> list[Any] | None:
    """Several CX."""
    return [listed(found) for one in dicts(value) if (found := identifier(one, builder))] or None


def entity(value: Any, _builder: Any) -> Components | None:
    """Identifier → EI."""
    one = first(value)
    return [shown_text(one["value"]), *_authority(one)] if one.get("value") else None


def numbered(value: Any, builder: Any, kind: str, *, only: bool) -> Components | None:
    """The identifier of one kind (PLAC, FILL) → EI; the first one where none says its kind, unless ``only`` that kind will do."""
    known = dicts(value)
    chosen = next((one for one in known if _kind(one) == kind), None)
    if chosen is None and not only:
        chosen = next((one for one in known if _kind(one) not in ("PLAC", "FILL", "VN", "FGN", "PGN")), None)
    return entity(chosen, builder) if chosen else None


def visit_number(value: Any, builder: Any) -> Components | None:
    """The visit number among an encounter's identifiers → CX."""
    known = dicts(value)
    chosen = next((one for one in known if _kind(one) == "VN"), known[0] if known else None)
    return identifier(chosen, builder) if chosen else None


def entities(value: Any, builder: Any) -> list[Any] | None:
    """Several EI."""
    return [listed(found) for one in dicts(value) if (found := entity(one, builder))] or None


def listed(parts: Components) -> list[list[str]]:
    """Return components as lists of their sub-components."""
    return [part if isinstance(part, list) else [shown_text(part)] for part in parts]


_NAME_USE = {"official": "L", "usual": "D", "maiden": "M", "nickname": "N", "anonymous": "MSK", "temp": "TEMP", "old": "BAD"}


def name(value: Any, _builder: Any) -> Components | None:
    """HumanName → XPN."""
    one = first(value)
    given = [shown_text(part) for part in one.get("given") or []]
    suffix = [shown_text(part) for part in one.get("suffix") or []]
    family = shown_text(one.get("family")) or (shown_text(one.get("text")) if not given else "")
    if not family and not given:
        return None
    prefix = shown_text((one.get("prefix") or [""])[0])
    return [family, given[0] if given else "", " ".join(given[1:]), suffix[0] if suffix else "", prefix, suffix[1] if len(suffix) > 1 else "",
            _NAME_USE.get(shown_text(one.get("use")), "")]  # fmt: skip


def names(value: Any, builder: Any) -> list[Any] | None:
    """Several XPN."""
    return [listed(found) for one in dicts(value) if (found := name(one, builder))] or None


_ADDRESS_USE = {"home": "H", "work": "B", "temp": "C", "old": "BA", "billing": "BI"}


def address(value: Any, _builder: Any) -> Components | None:
    """Address → XAD."""
    one = first(value)
    lines = [shown_text(part) for part in one.get("line") or []]
    top = lines[0] if lines else shown_text(one.get("text"))
    parts = [top, ", ".join(lines[1:]), *(shown_text(one.get(part)) for part in ("city", "state", "postalCode", "country"))]
    if not any(parts):
        return None
    kind = _ADDRESS_USE.get(shown_text(one.get("use")), "M" if one.get("type") == "postal" else "")
    return [*parts, kind, "", shown_text(one.get("district"))]


def addresses(value: Any, builder: Any) -> list[Any] | None:
    """Several XAD."""
    return [listed(found) for one in dicts(value) if (found := address(one, builder))] or None


def telecoms(value: Any, _builder: Any) -> list[Any] | None:
    """ContactPoint → XTN, each a repetition."""
    found = []
    for one in dicts(value):
        shown, system, use = shown_text(one.get("value")), one.get("system"), one.get("use")
        if not shown:
            continue
        if system == "email":
            found.append(listed(["", "NET", "Internet", shown]))
            continue
        equipment = {"fax": "FX", "pager": "BP"}.get(shown_text(system), "CP" if use == "mobile" else "PH")
        code_ = {"home": "PRN", "work": "WPN", "mobile": "PRS"}.get(shown_text(use), "")
        found.append(listed([shown, code_, equipment, "", "", "", "", "", "", "", "", shown]))
    return found or None


def language(value: Any, builder: Any) -> Components | None:
    """Communication → PID-15."""
    return concept(first(value).get("language"), builder)


def _resolved(value: Any, builder: Any) -> dict[str, Any]:
    context = getattr(builder, "context", None)
    found = context(value) if context is not None else None
    return found if isinstance(found, dict) else {}


def practitioner(value: Any, builder: Any) -> Components | None:
    """Reference(Practitioner) → XCN, by what it refers to or says of itself."""
    link = first(value)
    who = _resolved(link, builder)
    if who.get("resourceType") == "PractitionerRole":
        who = _resolved(who.get("practitioner"), builder)
    number = first(who.get("identifier")) or first(link.get("identifier"))
    parts = name(who.get("name"), builder) or [shown_text(link.get("display"))]
    if not number.get("value") and not any(parts):
        return None
    kind = "NPI" if number.get("system") == NPI else _kind(number)
    padded = [*parts, "", "", "", "", "", ""]
    degree = shown_text(first(first(first(who.get("qualification")).get("code")).get("coding")).get("code"))
    authority = [] if kind == "NPI" else _authority(number)
    return [shown_text(number.get("value")), padded[0], padded[1], padded[2], padded[3], padded[4], degree, "", authority or "", "", "", "", kind]


def practitioners(value: Any, builder: Any) -> list[Any] | None:
    """Several XCN."""
    return [listed(found) for one in dicts(value) if (found := practitioner(one, builder))] or None


def organization(value: Any, builder: Any) -> Components | None:
    """Reference(Organization) → XON."""
    link = first(value)
    found = _resolved(link, builder)
    number = first(found.get("identifier")) or first(link.get("identifier"))
    shown = shown_text(found.get("name")) or shown_text(link.get("display"))
    if not shown and not number.get("value"):
        return None
    return [shown, "", "", "", "", _authority(number) if number else "", _kind(number), "", "", shown_text(number.get("value"))]


def organizations(value: Any, builder: Any) -> list[Any] | None:
    """Several XON."""
    return [listed(found) for one in dicts(value) if (found := organization(one, builder))] or None


_PLACE = {"wa": 0, "ro": 1, "bd": 2, "si": 3, "bu": 6, "lvl": 7}


def location(value: Any, builder: Any) -> Components | None:
    """Reference(Location) → PL, up through what each place is part of."""
    parts: Components = [""] * 9
    link, at = first(value), 0
    while link and at < 8:
        found = _resolved(link, builder)
        kind = shown_text(first(first(found.get("physicalType")).get("coding")).get("code"))
        shown = shown_text(first(found.get("identifier")).get("value")) or shown_text(found.get("name")) or shown_text(link.get("display"))
        place = _PLACE.get(kind, 0)
        if shown and not parts[place]:
            parts[place] = shown
        link, at = first(found.get("partOf")), at + 1
    return parts if any(parts) else None


def here(value: Any, builder: Any) -> Components | None:
    """The place a patient is at now."""
    chosen = next((one for one in dicts(value) if one.get("status") in (None, "active", "planned")), None)
    return location(chosen.get("location"), builder) if chosen else None


def participants(value: Any, builder: Any, code: str) -> list[Any] | None:
    """Who takes part in one way."""
    return practitioners([one.get("individual") or one.get("actor") for one in dicts(value) if _has(one, "type", code)], builder)


def actors(value: Any, builder: Any, code: str) -> list[Any] | None:
    """Who performed one function; where nobody says which, all."""
    return practitioners([one.get("actor") for one in dicts(value) if not one.get("function") or _has(one, "function", code)], builder)


def _has(one: Mapping[str, Any], member: str, wanted: str) -> bool:
    found = one.get(member)
    return any(coding_.get("code") == wanted for each in (found if isinstance(found, list) else [found]) for coding_ in dicts(first(each).get("coding")))


def reactions(value: Any, _builder: Any) -> list[Any] | None:
    """reaction.manifestation → AL1-5."""
    shown = [first(one.get("manifestation")) for one in dicts(value)]
    return [[[shown_text(one.get("text")) or shown_text(first(one.get("coding")).get("display"))]] for one in shown if one] or None


def notes(_item: dict[str, Any], value: Any, builder: Any) -> None:
    """Annotation → NTE."""
    for at, one in enumerate(dicts(value)):
        if one.get("text"):
            builder.branch("NTE", at).put("NTE", 3, 1, 1, shown_text(one["text"]))


def effective(item: dict[str, Any], _value: Any, builder: Any) -> None:
    """effective[x] → OBX-14 of a result, OBR-7 and OBR-8 of a report."""
    period = first(item.get("effectivePeriod"))
    moment = time(item.get("effectiveDateTime") or item.get("effectiveInstant") or period.get("start"), builder)
    if moment is None:
        return
    if item.get("resourceType") == "Observation":
        builder.put("OBX", 14, 1, 1, moment)
        return
    builder.put("OBR", 7, 1, 1, moment)
    if end := time(period.get("end"), builder):
        builder.put("OBR", 8, 1, 1, end)

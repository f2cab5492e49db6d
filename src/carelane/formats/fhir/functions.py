"""The named functions of FHIR maps. ``concept_x``, ``concepts_x``, ``code_x`` and ``was_x`` exist for every vocabulary x."""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from carelane.formats.fhir import back, elements, named, resulted
from carelane.formats.fhir.elements import STRUCTURE, concept, each, extension, leaves
from carelane.formats.fhir.making import spoken
from carelane.formats.fhir.systems import IDENTIFIER_TYPE, PARTICIPATION, SSN, V2, Vocabulary, vocabularies
from carelane.formats.fhir.values import effective, observed, performed, pointed
from carelane.formats.hl7v2.scope import Scope
from carelane.formats.hl7v2.times import own_zone
from carelane.mapping.edge import Function, Odd

Read = Callable[[Any, Scope], Any]


def _many(read: Callable[..., Any], **more: Any) -> Read:
    """One value a repetition."""
    return lambda raw, scope: [found for text in each(raw, scope) if (found := read(text, scope, **more)) is not None] or None


def _concept(vocabulary: Vocabulary) -> Read:
    return lambda raw, scope: concept(raw, scope, vocabulary)


def _code(name: str) -> Read:
    def read(raw: str, scope: Scope) -> str | Odd | None:
        text = leaves(raw, scope)(1)
        found = elements.coded(text, name)
        return found if found or not text else Odd(None, "unmapped-code", f"table {vocabularies()[name].table} of FHIR's closed list")

    return read


def _participant(code: str, text: str) -> Read:
    def one(raw: str, scope: Scope) -> dict[str, Any] | None:
        who = named.practitioner(raw, scope)
        return {"type": [{"coding": [{"system": PARTICIPATION, "code": code}], "text": text}], "individual": who} if who else None

    return _many(one)


def _function(system: str, code: str) -> Read:
    def one(raw: str, scope: Scope) -> dict[str, Any] | None:
        who = named.practitioner(raw, scope)
        return {"function": {"coding": [{"system": system, "code": code}]}, "actor": who} if who else None

    return _many(one)


def _place(status: str) -> Read:
    def one(raw: str, scope: Scope) -> dict[str, Any] | None:
        where = named.location(raw, scope)
        if where is None:
            return None
        first = scope.first("PV1")
        planned = status == "active" and first is not None and scope.leaf(first.field(2)) == "P"
        return {"location": where, "status": "planned" if planned else status}

    return one


def _extended(url: str, kind: str, read: Read) -> Read:
    def one(raw: str, scope: Scope) -> dict[str, Any] | None:
        value = read(raw, scope)
        return extension(url, kind, value) if value is not None else None

    return one


def _nested(url: str, inner: str) -> Read:
    """An extension whose value stands in an extension inside it, as with citizenship."""

    def one(raw: str, scope: Scope) -> dict[str, Any] | None:
        value = concept(raw, scope)
        return {"url": STRUCTURE + url, "extension": [{"url": inner, "valueCodeableConcept": value}]} if value else None

    return _many(one)


def text(value: str, _scope: Scope) -> str:
    """As it came, without blanks around it."""
    return value


def first_text(raw: str, scope: Scope) -> str | None:
    """The first leaf of a repetition."""
    return leaves(raw, scope)(1) or None


def texts(raw: str, scope: Scope) -> list[str] | None:
    """The first leaf of each repetition."""
    return [found for one in each(raw, scope) if (found := leaves(one, scope)(1))] or None


def boolean(value: str, _scope: Scope) -> bool | Odd:
    """Table 0136, and what senders write instead."""
    known = {"Y": True, "YES": True, "1": True, "T": True, "TRUE": True, "N": False, "NO": False, "0": False, "F": False, "FALSE": False}
    return known.get(value.upper(), Odd(None, "unmapped-code", "table 0136 knows Y and N"))


def positive(value: str, _scope: Scope) -> int | None:
    """A positive integer."""
    found = elements.number(value)
    return found if isinstance(found, int) and found > 0 else None


def unsigned(value: str, _scope: Scope) -> int | None:
    """An integer of nought or more."""
    found = elements.number(value)
    return found if isinstance(found, int) and found >= 0 else None


def decimal(value: str, _scope: Scope) -> int | float | None:
    """A number."""
    return elements.number(value)


def ssn(value: str, _scope: Scope) -> dict[str, Any]:
    """PID-19."""
    return {"type": {"coding": [{"system": IDENTIFIER_TYPE, "code": "SS"}]}, "system": SSN, "value": value}


def licence(raw: str, scope: Scope) -> dict[str, Any] | None:
    """DLN → Identifier."""
    get = leaves(raw, scope)
    if not get(1):
        return None
    return elements.trimmed(
        {
            "type": {"coding": [{"system": IDENTIFIER_TYPE, "code": "DL"}]},
            "value": get(1),
            "assigner": {"display": get(2)} if get(2) else None,
            "period": elements.period("", get(3), scope),
        }
    )


def names(raw: str, scope: Scope) -> list[dict[str, Any]] | None:
    """Every name, and what the person is called by."""
    found = [one for text_ in each(raw, scope) for one in (elements.human_name(text_, scope), elements.nickname(text_, scope)) if one]
    return found or None


def birth_time(value: str, scope: Scope) -> dict[str, Any] | None:
    """PID-7 with a time → the extension of birthDate, on the clock of the place of birth: in UTC it could be another day."""
    moment = elements.time(value, scope)
    if isinstance(moment, elements.Cut):
        return {"extension": [extension("originalText", "String", moment.sent)]}
    zone = own_zone(value) or scope.context.zone
    if moment is None or zone is None or "T" not in moment:
        return None
    local = datetime.fromisoformat(moment).astimezone(zone)
    return {"extension": [extension("patient-birthTime", "DateTime", local.isoformat("T", "milliseconds" if local.microsecond else "seconds"))]}


def language(raw: str, scope: Scope) -> dict[str, Any] | None:
    """PID-15 → communication."""
    found = concept(raw, scope, vocabularies()["language"])
    return {"language": found} if found else None


def us_core(raw: str, scope: Scope, url: str) -> dict[str, Any] | None:
    """PID-10, PID-22 → US Core race and ethnicity: the CDC categories as codes, the rest as text."""
    parts: list[dict[str, Any]] = []
    shown = []
    for one in each(raw, scope):
        get = leaves(one, scope)
        code = {"H": "2135-2", "N": "2186-5", "NH": "2186-5"}.get(get(1), get(1)) if url.endswith("ethnicity") else get(1)
        if code in _CATEGORIES:
            parts.append({"url": "ombCategory", "valueCoding": {"system": "urn:oid:2.16.840.1.113883.6.238", "code": code, "display": _CATEGORIES[code]}})
        elif code in _UNKNOWN and url.endswith("race"):
            null = "UNK" if code == "U" else code
            parts.append({"url": "ombCategory", "valueCoding": {"system": "http://terminology.hl7.org/CodeSystem/v3-NullFlavor", "code": null}})
        shown.append(get(2) or get(9) or _CATEGORIES.get(code, "") or get(1))
    said = ", ".join(text_ for text_ in shown if text_)
    if not said:
        return None
    most = 1 if url.endswith("ethnicity") else 5
    return {"url": "http://hl7.org/fhir/us/core/StructureDefinition/" + url, "extension": [*parts[:most], {"url": "text", "valueString": said}]}


_CATEGORIES = {
    "1002-5": "American Indian or Alaska Native", "2028-9": "Asian", "2054-5": "Black or African American",
    "2076-8": "Native Hawaiian or Other Pacific Islander", "2106-3": "White", "2135-2": "Hispanic or Latino", "2186-5": "Not Hispanic or Latino",
}  # fmt: skip
_UNKNOWN = ("UNK", "ASKU", "U")


def interpretations(raw: str, scope: Scope) -> list[dict[str, Any]] | None:
    """OBX-8 → interpretation, each repetition a concept."""
    return [found for one in each(raw, scope) if (found := concept(one, scope, vocabularies()["interpretation"]))] or None


def notes(_raw: Any, scope: Scope) -> list[dict[str, Any]] | None:
    """NTE → Annotation, with who wrote it (NTE-5) and when (NTE-6)."""
    found = []
    for segment in scope.segments.get("NTE", ()):
        lines = [one for part in each(segment.field(3), scope) if (one := scope.leaf(part))]
        if lines:
            who = named.practitioner(segment.field(5), scope) if segment.field(5) else None
            kind = concept(segment.field(4), scope) if segment.field(4) else None
            extra = [extension("annotationType", "CodeableConcept", kind)] if kind else []
            note = {"extension": extra, "authorReference": who, "time": elements.time(scope.leaf(segment.field(6)) or "", scope), "text": "\n".join(lines)}
            found.append(elements.trimmed(note))
    return found or None


def reactions(raw: str, scope: Scope) -> list[dict[str, Any]] | None:
    """AL1-5, IAM-5 → reaction.manifestation, with the severity of the allergy where that is one of a reaction."""
    allergy = scope.first("AL1") or scope.first("IAM")
    code = leaves(allergy.field(4), scope)(1) if allergy is not None else ""
    severity = elements.coded(code, "reaction_severity")
    found = [elements.trimmed({"manifestation": [{"text": text_}], "severity": severity}) for text_ in texts(raw, scope) or []]
    return found or None


def diagnosis_use(raw: str, scope: Scope) -> dict[str, Any] | None:
    """DG1-6 → diagnosis.use."""
    return concept(raw, scope, vocabularies()["diagnosis_role"])


def security(raw: str, scope: Scope) -> list[dict[str, Any]] | None:
    """ORC-28 → a security label."""
    found = concept(raw, scope, vocabularies()["confidentiality"])
    return found.get("coding") if found else None


def event_extension(value: str, _scope: Scope) -> dict[str, Any]:
    """ORC-1 → the business event an order's message tells of."""
    return {
        "url": STRUCTURE + "businessEvent",
        "extension": [{"url": "value", "valueCodeableConcept": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0119", "code": value}]}}],
    }


def _employer(raw: str, scope: Scope) -> dict[str, Any] | None:
    """NK1-13, with the contact person of NK1-30 and 32."""
    segment = scope.first("NK1")
    link = named.organization(raw, scope)
    return link if segment is None else named.contact_at(link, scope, segment.field(30), segment.field(32))


def _raw(read: Read, write: Callable[[Any, Any], Any] | None = None) -> Function:
    return Function("raw", read, write)


def _text(read: Read, write: Callable[[Any, Any], Any] | None = None) -> Function:
    return Function("text", spoken(read), write)


def _was(vocabulary: Vocabulary) -> Read:
    """The sender's own code beside one with a required binding, where that does not tell it: an element's extension ``alternate-codes``."""

    told = frozenset(code for code, value in vocabulary.codes.items() if vocabulary.back.get(value) == code)

    def read(raw: str, scope: Scope) -> dict[str, Any] | None:
        if raw in told:
            return None
        code = " ".join(leaves(raw.split(scope.context.message.seps.repetition, maxsplit=1)[0], scope)(1).split())
        if not code or code in told:
            return None
        coding = {"system": V2 + vocabulary.table, "code": code}
        return {"extension": [{"url": f"{STRUCTURE}alternate-codes", "valueCodeableConcept": {"coding": [coding]}}]}

    return read


def _vocabulary_functions() -> dict[str, Function]:
    found: dict[str, Function] = {}
    for name, vocabulary in vocabularies().items():
        found[f"concept_{name}"] = _raw(_concept(vocabulary), partial(back.concept, vocabulary=vocabulary))
        found[f"concepts_{name}"] = _raw(_many(_concept(vocabulary)), partial(back.concepts, vocabulary=vocabulary))
        if vocabulary.codes:
            found[f"code_{name}"] = _raw(_code(name), partial(back.code, vocabulary=vocabulary))
            found[f"was_{name}"] = _raw(_was(vocabulary))
    return found


FUNCTIONS: Mapping[str, Function] = {
    **_vocabulary_functions(),
    "concept": _raw(concept, back.concept),
    "concepts": _raw(_many(concept), back.concepts),
    "coding": _raw(lambda raw, scope: (concept(raw, scope) or {}).get("coding", [None])[0], back.coding),
    "class": _raw(
        lambda raw, scope: (concept(raw, scope, vocabularies()["encounter_class"]) or {}).get("coding", [None])[0],
        partial(back.coding, vocabulary=vocabularies()["encounter_class"]),
    ),
    "names": _raw(names, back.names),
    "name": _raw(elements.human_name, back.name),
    "identifiers": _raw(_many(elements.identifier), back.identifiers),
    "identifier": _raw(elements.identifier, back.identifier),
    "visit_number": _raw(partial(elements.identifier, kind="VN"), back.visit_number),
    "addresses": _raw(_many(elements.address), back.addresses),
    "address": _raw(elements.address, back.address),
    "telecoms_home": _raw(_many(elements.contact_point, use="home"), back.telecoms),
    "telecoms_work": _raw(_many(elements.contact_point, use="work"), None),
    "telecoms": _raw(_many(elements.contact_point), back.telecoms),
    "placer": _raw(partial(elements.entity, kind="PLAC"), partial(back.numbered, kind="PLAC", only=False)),
    "filler": _raw(partial(elements.entity, kind="FILL"), partial(back.numbered, kind="FILL", only=True)),
    "filler_group": _raw(lambda raw, scope: elements.pair(raw, scope, 2, "FGN")),
    "placer_group": _raw(lambda raw, scope: elements.pair(raw, scope, 1, "PGN")),
    "placer_part": _raw(lambda raw, scope: elements.pair(raw, scope, 1, "PLAC")),
    "filler_part": _raw(lambda raw, scope: elements.pair(raw, scope, 2, "FILL")),
    "entity": _raw(elements.entity, back.entity),
    "entities": _raw(_many(elements.entity), back.entities),
    "practitioner": _raw(named.practitioner, back.practitioner),
    "practitioners": _raw(_many(named.practitioner), back.practitioners),
    "interpreter": _raw(named.person_name),
    "interpreters": _raw(_many(named.person_name)),
    "organization": _raw(named.organization, back.organization),
    "employer": _raw(_employer, back.organization),
    "episode": _raw(named.episode),
    "organizations": _raw(_many(named.organization), back.organizations),
    "code_organization": _raw(named.organization_of_code),
    "authority": _raw(named.authority),
    "location": _raw(named.location, back.location),
    "discharge_location": _raw(named.discharge_location),
    "here": _raw(_place("active"), back.here),
    "before": _raw(_place("completed")),
    "reserved": _raw(_place("reserved")),
    "planned_place": _raw(_place("planned")),
    "attender": _raw(_participant("ATND", "attender"), partial(back.participants, code="ATND")),
    "referrer": _raw(_participant("REF", "referrer"), partial(back.participants, code="REF")),
    "consultant": _raw(_participant("CON", "consultant"), partial(back.participants, code="CON")),
    "admitter": _raw(_participant("ADM", "admitter"), partial(back.participants, code="ADM")),
    "participant": _raw(_participant("PART", "Participation"), partial(back.participants, code="PART")),
    "orderer": _raw(_function("http://terminology.hl7.org/CodeSystem/v2-0443", "OP")),
    "administerer": _raw(_function("http://terminology.hl7.org/CodeSystem/v2-0443", "AP"), partial(back.actors, code="AP")),
    "surgeon": _raw(_function("http://snomed.info/sct", "304292004")),
    "anesthetist": _raw(_function("http://snomed.info/sct", "88189002")),
    "performer": _raw(_many(lambda raw, scope: {"actor": who} if (who := named.practitioner(raw, scope)) else None)),
    "mother": _raw(named.mother),
    "ssn": _text(ssn),
    "licence": _raw(licence),
    "day": _text(elements.day, back.day),
    "time": _text(elements.time, back.time),
    "instant": _text(elements.instant, back.time),
    "birth_time": _text(birth_time),
    "text": _text(text, back.text),
    "first_text": _raw(first_text, back.text),
    "texts": _raw(texts, back.texts),
    "boolean": _text(boolean, back.boolean),
    "positive": _text(positive, back.text),
    "unsigned": _text(unsigned, back.text),
    "decimal": _text(decimal, back.text),
    "language": _raw(language, back.language),
    "race": _raw(partial(us_core, url="us-core-race"), None),
    "ethnicity": _raw(partial(us_core, url="us-core-ethnicity"), None),
    "interpretations": _raw(interpretations, partial(back.concepts, vocabulary=vocabularies()["interpretation"])),
    "notes": Function("scope", notes, None, put=back.notes),
    "reactions": _raw(reactions, back.reactions),
    "diagnosis_use": _raw(diagnosis_use, None),
    "security": _raw(security),
    "protected": _raw(lambda raw, scope: [{"system": V2 + "0136", "code": code}] if (code := leaves(raw, scope)(1)) else None),
    "business_event": _text(event_extension),
    "mothers_maiden_name": _raw(lambda raw, scope: extension("patient-mothersMaidenName", "String", found) if (found := leaves(raw, scope)(1, 1)) else None),
    "birth_place": _text(lambda value, _scope: extension("patient-birthPlace", "Address", {"text": value})),
    "religion": _raw(_extended("patient-religion", "CodeableConcept", _concept(vocabularies()["religion"]))),
    "citizenship": _raw(_nested("patient-citizenship", "code")),
    "nationality": _raw(_nested("patient-nationality", "code")),
    "species": _raw(_nested("patient-animal", "species")),
    "disability": _raw(_extended("patient-disability", "CodeableConcept", concept)),
    "congregation": _raw(lambda raw, scope: extension("patient-congregation", "String", found) if (found := leaves(raw, scope)(1)) else None),
    "importance": _raw(_extended("patient-importance", "CodeableConcept", _concept(vocabularies()["vip"]))),
    "mode_of_arrival": _raw(
        lambda raw, scope: (
            extension("encounter-modeOfArrival", "Coding", found["coding"][0])
            if (found := concept(raw, scope, vocabularies()["arrival_mode"])) and found.get("coding")
            else None
        )
    ),
    "asserted": _text(lambda value, scope: extension("condition-assertedDate", "DateTime", moment) if (moment := elements.time(value, scope)) else None),
    "status_reason": _raw(_extended("event-statusReason", "CodeableConcept", concept)),
    "observed": Function("scope", observed, None, put=resulted.observed),
    "pointed": Function("scope", pointed, None, put=resulted.pointed),
    "effective": Function("scope", effective, None, put=back.effective),
    "performed": Function("scope", performed, None),
}
"""The functions by the names packs use."""

"""The named functions of these maps. ``read`` goes to FHIR, ``write`` back; both get one value and what is around it."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from carelane.formats.fhir.direct import concepts, kinds, people
from carelane.formats.fhir.direct.concepts import Read, code_of, coded, concept_of, made_of, state
from carelane.formats.fhir.direct.kinds import Json
from carelane.mapping.edge import Function

_TERMINOLOGY = "http://terminology.hl7.org/CodeSystem/"
_GENDERS = {"Male": "male", "Female": "female", "Other": "other", "Unknown": "unknown"}
_ENDED = {"active": "active", "inactive": "inactive", "resolved": "resolved", "completed": "resolved", "remission": "remission", "recurrence": "recurrence"}
_DONE = {"completed": "completed", "complete": "completed", "active": "in-progress", "aborted": "stopped", "cancelled": "not-done", "held": "on-hold"}
_TAKEN = {"active": "active", "completed": "completed", "aborted": "stopped", "suspended": "on-hold", "cancelled": "stopped", "discontinued": "stopped"}
_GIVEN = {"completed": "completed", "complete": "completed", "active": "completed", "not-done": "not-done", "refused": "not-done"}
_RESULT = {"final": "final", "completed": "final", "preliminary": "preliminary", "corrected": "corrected", "amended": "amended", "active": "registered"}
_ACTIVE = {"active": "active", "completed": "completed", "aborted": "revoked", "cancelled": "revoked", "held": "on-hold", "new": "draft"}
_STUDY = {"active": "active", "completed": "completed", "closed": "closed-to-accrual", "suspended": "temporarily-closed-to-accrual", "withdrawn": "withdrawn"}
_ENROLLED = {
    "candidate": "candidate",
    "eligible": "eligible",
    "enrolled": "on-study",
    "active": "on-study",
    "on-study": "on-study",
    "completed": "off-study",
    "withdrawn": "withdrawn",
}
_HIGH = {"high criticality": "high", "high": "high", "low criticality": "low", "low": "low", "unable to assess criticality": "unable-to-assess"}


def _first(value: Any) -> Any:
    return next(iter(value), None) if isinstance(value, list) else value


def _object(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def texted(value: Any, _scope: Any) -> Json | None:
    """A text → a CodeableConcept that has nothing else."""
    return {"text": value} if isinstance(value, str) and value else None


def texted_back(value: Any, _builder: Any) -> str | None:
    """The text of a CodeableConcept."""
    one = _object(_first(value))
    return one.get("text") or next((coding.get("display") for coding in one.get("coding") or [] if isinstance(coding, dict)), None)


def numbered(value: Any, _scope: Any) -> Json | None:
    """A number → an Identifier that has nothing else."""
    return {"value": value} if isinstance(value, str) and value else None


def numbered_back(value: Any, _builder: Any) -> str | None:
    """The number of the first Identifier."""
    return _object(_first(value)).get("value")


def displayed_back(value: Any, _builder: Any) -> str | None:
    """The text of a reference to nothing."""
    return _object(value).get("display")


def manifestation(value: Any, scope: Any) -> Json:
    """A reaction; FHIR requires what it is."""
    found: Json = concept_of("Name")(value, scope) or {"text": str(_object(value).get("Text") or "unknown")}
    return found


def refuted(value: Any, _scope: Any) -> Json | None:
    """A diagnosis that was ruled out."""
    return {"coding": [{"system": f"{_TERMINOLOGY}condition-ver-status", "code": "refuted"}]} if value is True else None


def refuted_back(value: Any, _builder: Any) -> bool | None:
    """Whether a diagnosis was ruled out."""
    return True if any(one.get("code") == "refuted" for one in _object(value).get("coding") or [] if isinstance(one, dict)) else None


def assessed(value: Any, _scope: Any) -> Json | None:
    """An assessed diagnosis: several codes for one thing, and its text."""
    codes = [concepts.coding_of(one, "Name") for one in _object(value).get("Codes") or [] if isinstance(one, dict)]
    text = _object(value).get("Value")
    return {**({"coding": [one for one in codes if one]} if any(codes) else {}), **({"text": text} if text else {})} or None


def assessed_back(value: Any, _builder: Any) -> Json | None:
    """The codes and the text."""
    one = _object(value)
    codes = [coded(coding, "Name") for coding in one.get("coding") or [] if isinstance(coding, dict)]
    return {**({"Codes": codes} if codes else {}), **({"Value": one["text"]} if one.get("text") else {})} or None


def dosage(value: Any, scope: Any) -> Json | None:
    """How a drug is taken: text, route, dose, how often, and whether only when needed."""
    one = _object(value)
    dose, route, often = kinds.quantity(one.get("Dose"), scope), concept_of("Name")(one.get("Route"), scope), _object(one.get("Frequency"))
    period = kinds.number(often.get("Period"), scope)
    found: Json = {
        "text": one.get("FreeTextSig"), "route": route, "doseAndRate": [{"doseQuantity": dose}] if dose else None,
        "timing": {"repeat": {"period": period, "periodUnit": often["Unit"]}} if period is not None and often.get("Unit") in _UNITS else None,
    }  # fmt: skip
    if isinstance(one.get("IsPRN"), bool):
        found["asNeededBoolean"] = one["IsPRN"]
    return {key: part for key, part in found.items() if part is not None and part != ""} or None


_UNITS = ("s", "min", "h", "d", "wk", "mo", "a")


def dosage_back(value: Any, builder: Any) -> Json | None:
    """The first dosage."""
    one = _object(_first(value))
    dose = kinds.quantity_back(_object(_first(one.get("doseAndRate"))).get("doseQuantity"), builder)
    repeat = _object(_object(one.get("timing")).get("repeat"))
    found = {
        "FreeTextSig": one.get("text"), "Route": concepts.concept_back("Name")(one.get("route"), builder), "Dose": dose, "IsPRN": one.get("asNeededBoolean"),
        "Frequency": {"Period": kinds.number_back(repeat.get("period"), builder), "Unit": repeat.get("periodUnit")} if repeat.get("periodUnit") else None,
    }  # fmt: skip
    return {key: part for key, part in found.items() if part is not None} or None


def observed(value: Any, scope: Any) -> Json | None:
    """What was observed: a code, a number with its units, a text."""
    one = _object(value)
    if code := concept_of("Name")(one.get("CodedValue"), scope):
        return {"valueCodeableConcept": {**code, **({"text": one["Value"]} if isinstance(one.get("Value"), str) and one["Value"] else {})}}
    amount = kinds.number(one.get("Value"), scope)
    if amount is not None:
        return {"valueQuantity": {"value": amount, **({"unit": one["Units"]} if one.get("Units") else {})}}
    return {"valueString": one["Value"]} if isinstance(one.get("Value"), str) and one["Value"].strip() else None


def observed_back(value: Any, builder: Any) -> Json | None:
    """The value of an observation."""
    one = _object(value)
    amount, code = _object(one.get("valueQuantity")), _object(one.get("valueCodeableConcept"))
    found: Json = {"Value": kinds.number_back(amount.get("value"), builder) or one.get("valueString") or code.get("text"), "Units": amount.get("unit")}
    if code:
        found["CodedValue"] = concepts.concept_back("Name")(code, builder)
    return {key: part for key, part in found.items() if part} or None


def reference_range(value: Any, scope: Any) -> Json | None:
    """Low, High and Text."""
    one = _object(value)
    low, high = kinds.number(one.get("Low"), scope), kinds.number(one.get("High"), scope)
    bounds: Json = {**({"low": {"value": low}} if low is not None else {}), **({"high": {"value": high}} if high is not None else {})}
    return {**bounds, **({"text": one["Text"]} if one.get("Text") else {})} or None


def range_back(value: Any, builder: Any) -> Json | None:
    """The first range."""
    one = _object(_first(value))
    found = {
        "Low": kinds.number_back(_object(one.get("low")).get("value"), builder),
        "High": kinds.number_back(_object(one.get("high")).get("value"), builder),
        "Text": one.get("text"),
    }
    return {key: part for key, part in found.items() if part is not None} or None


def classes(value: Any, _scope: Any) -> list[Json] | None:
    """The group and the plan of an insurance."""
    one, plan = _object(value), _object(_object(value).get("Plan"))
    told = (("group", one.get("GroupNumber") or one.get("GroupName"), one.get("GroupName")), ("plan", plan.get("ID") or plan.get("Name"), plan.get("Name")))
    system = f"{_TERMINOLOGY}coverage-class"
    return [
        {"type": {"coding": [{"system": system, "code": kind}]}, "value": number, **({"name": name} if name else {})} for kind, number, name in told if number
    ] or None


def classes_back(value: Any, _builder: Any) -> Json | None:
    """The group and the plan."""
    found: Json = {}
    for one in value if isinstance(value, list) else []:
        kind = next((coding.get("code") for coding in _object(_object(one).get("type")).get("coding") or [] if isinstance(coding, dict)), "")
        if kind == "group":
            found |= {"GroupNumber": one.get("value"), **({"GroupName": one["name"]} if one.get("name") else {})}
        elif kind == "plan":
            found["Plan"] = {"ID": one.get("value"), **({"Name": one["name"]} if one.get("name") else {})}
    return found or None


def content(value: Any, _scope: Any) -> Json:
    """A note's text or file; FHIR requires something."""
    one = _object(value)
    kind, text = one.get("ContentType"), one.get("FileContents")
    if not isinstance(text, str) or not text:
        return {"attachment": {"title": str(one.get("Name") or "note")}}
    try:
        data = text if base64.b64decode(text, validate=True) and len(text) > _SHORT else ""
    except (binascii.Error, ValueError):
        data = ""
    return {"attachment": {"contentType": kind or "text/plain", "data": data or base64.b64encode(text.encode()).decode()}}


_SHORT = 64
"""Texts of one word are often valid base64; a file is longer."""


def content_back(value: Any, _builder: Any) -> Json | None:
    """The text or file."""
    one = _object(_object(_first(value)).get("attachment"))
    data, kind = one.get("data"), one.get("contentType")
    if not isinstance(data, str):
        return None
    try:
        text = base64.b64decode(data).decode() if str(kind).startswith("text/") else data
    except (binascii.Error, ValueError):
        text = data
    return {"FileContents": text, **({"ContentType": kind} if kind else {})}


def system_identifier(value: Any, _scope: Any) -> Json | None:
    """System, Type and Value → Identifier."""
    one = _object(value)
    found = {"system": one.get("System"), "value": one.get("Value"), "type": {"text": one["Type"]} if one.get("Type") else None}
    return {key: part for key, part in found.items() if part} or None


def system_identifier_back(value: Any, _builder: Any) -> Json | None:
    """Identifier → System, Type and Value."""
    one = _object(value)
    found = {"System": one.get("system"), "Value": one.get("value"), "Type": _object(one.get("type")).get("text")}
    return {key: part for key, part in found.items() if part} or None


def strings(value: Any, _scope: Any) -> list[str] | None:
    """A list of texts."""
    return [one for one in value if isinstance(one, str) and one] or None if isinstance(value, list) else None


def assignment(value: Any, _scope: Any) -> str:
    """What was to be learnt, in words; FHIR requires some."""
    one = _object(value)
    return str(one.get("Description") or one.get("Code") or _object(one.get("Topic")).get("Description") or "assignment")


def assignment_back(value: Any, _builder: Any) -> Json | None:
    """What was to be learnt."""
    return {"Description": value} if isinstance(value, str) else None


def sex(value: Any, _scope: Any) -> Json | None:
    """A sex → a CodeableConcept of administrative gender."""
    code = _GENDERS.get(str(value))
    return {"coding": [{"system": "http://hl7.org/fhir/administrative-gender", "code": code}]} if code else None


def sex_back(value: Any, _builder: Any) -> str | None:
    """A sex."""
    code = next((one.get("code") for one in _object(value).get("coding") or [] if isinstance(one, dict)), None)
    return str(code).capitalize() if code else None


def _pairs(*pairs: tuple[str, Read, Read | None]) -> dict[str, Function]:
    return {name: made_of(read, write) for name, read, write in pairs}


FUNCTIONS: Mapping[str, Function] = {
    **_pairs(
        ("concept", concept_of("Name"), concepts.concept_back("Name")),
        ("concepts", concepts.many(concept_of("Name")), concepts.many(concepts.concept_back("Name"))),
        ("concept_described", concept_of("Description"), concepts.concept_back("Description")),
        ("concept_named", concept_of("Name"), concepts.named_back("Codeset")),
        ("concept_set", concept_of("Name"), concepts.named_back("CodeSet")),
        ("texted", texted, texted_back),
        ("numbered", numbered, numbered_back),
        ("displayed", lambda value, _scope: {"display": value} if isinstance(value, str) else None, displayed_back),
        ("manifestation", manifestation, concepts.concept_back("Name")),
        ("refuted", refuted, refuted_back),
        ("assessed", assessed, assessed_back),
        ("dosage", dosage, dosage_back),
        ("observed", observed, observed_back),
        ("range", reference_range, range_back),
        ("classes", classes, classes_back),
        ("content", content, content_back),
        ("assignment", assignment, assignment_back),
        ("strings", strings, strings),
        ("moment", kinds.moment, kinds.same),
        ("day", kinds.day, kinds.same),
        ("instant", kinds.instant, kinds.same),
        ("identifier", kinds.identifier, lambda value, builder: kinds.identifier_back(_first(value), builder)),
        ("identifiers", concepts.many(kinds.identifier), concepts.many(kinds.identifier_back)),
        ("system_value", kinds.system_value, lambda value, builder: kinds.system_value_back(_first(value), builder)),
        ("system_coding", lambda value, scope: _first((kinds.system_value(value, scope) or {}).get("coding")), kinds.system_value_back),
        ("system_identifier", system_identifier, system_identifier_back),
        ("address", kinds.address, kinds.address_back),
        ("phones", kinds.phones, kinds.phones_back),
        ("emails", kinds.emails, kinds.emails_back),
        ("practitioner", people.practitioner, lambda value, builder: people.practitioner_back(_first(value), builder)),
        ("organization", people.organization, lambda value, builder: people.organization_back(_first(value), builder)),
        ("amount", kinds.number, lambda value, _builder: kinds.number(value, None) if not isinstance(value, str) else None),
        ("numeral", kinds.number, kinds.number_back),
        ("quantity", kinds.quantity, kinds.quantity_back),
        ("money", kinds.money, kinds.money_back),
        ("comments", kinds.comments, kinds.comments_back),
        ("comment", kinds.comments, None),
        ("flag", kinds.flag, kinds.flag),
        ("sex", sex, sex_back),
    ),
    "allergy_status": state(
        f"{_TERMINOLOGY}allergyintolerance-clinical", {key: code for key, code in _ENDED.items() if code in ("active", "inactive", "resolved")}
    ),
    "condition_status": state(f"{_TERMINOLOGY}condition-clinical", _ENDED),
    "procedure_status": code_of(_DONE),
    "medication_status": code_of(_TAKEN),
    "immunization_status": code_of(_GIVEN),
    "result_status": code_of(_RESULT),
    "request_status": code_of(_ACTIVE),
    "study_status": code_of(_STUDY),
    "subject_status": code_of(_ENROLLED),
    "severity": code_of({"mild": "mild", "moderate": "moderate", "severe": "severe"}),
    "criticality": code_of(_HIGH),
}

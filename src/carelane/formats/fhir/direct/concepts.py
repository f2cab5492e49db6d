"""Codes of documents ↔ CodeableConcepts, and states ↔ the codes of value sets that FHIR requires."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from carelane.formats.fhir.systems import SYSTEMS
from carelane.mapping.edge import Function

Json = dict[str, Any]
Read = Callable[[Any, Any], Any]
_OIDS: Mapping[str, str] = {
    "2.16.840.1.113883.6.1": "http://loinc.org", "2.16.840.1.113883.6.96": "http://snomed.info/sct",
    "2.16.840.1.113883.6.88": "http://www.nlm.nih.gov/research/umls/rxnorm", "2.16.840.1.113883.6.90": "http://hl7.org/fhir/sid/icd-10-cm",
    "2.16.840.1.113883.6.103": "http://hl7.org/fhir/sid/icd-9-cm", "2.16.840.1.113883.12.292": "http://hl7.org/fhir/sid/cvx",
    "2.16.840.1.113883.6.59": "http://hl7.org/fhir/sid/cvx", "2.16.840.1.113883.6.12": "http://www.ama-assn.org/go/cpt",
    "2.16.840.1.113883.6.69": "http://hl7.org/fhir/sid/ndc", "2.16.840.1.113883.6.8": "http://unitsofmeasure.org",
    "2.16.840.1.113883.3.26.1.1": "http://ncimeta.nci.nih.gov", "2.16.840.1.113883.6.259": "https://www.cdc.gov/nhsn/cdaportal/terminology/codesystem/hsloc.html",
}  # fmt: skip
_OID_OF: Mapping[str, str] = {uri: oid for oid, uri in reversed(list(_OIDS.items()))}
_NAME_OF: Mapping[str, str] = {
    **{uri: name for name, uri in reversed(list(SYSTEMS.items()))},
    "http://loinc.org": "LOINC", "http://snomed.info/sct": "SNOMED CT", "http://www.nlm.nih.gov/research/umls/rxnorm": "RxNorm",
    "http://www.ama-assn.org/go/cpt": "CPT", "http://hl7.org/fhir/sid/icd-10-cm": "ICD-10", "http://hl7.org/fhir/sid/icd-9-cm": "ICD-9",
}  # fmt: skip
_OID = re.compile(r"[0-2](\.(0|[1-9]\d*))+", re.ASCII)
_CODE = re.compile(r"\S+(\s\S+)*")


def _system(one: Mapping[str, Any]) -> str | None:
    oid, name = one.get("CodeSystem"), one.get("CodeSystemName") or one.get("Codeset") or one.get("CodeSet")
    if isinstance(oid, str) and _OID.fullmatch(oid):
        return _OIDS.get(oid, f"urn:oid:{oid}")
    return SYSTEMS.get(str(name)) or (f"urn:carelane:local:{re.sub(r'[^A-Za-z0-9.-]+', '-', str(name))}" if name else None)


def coding_of(one: Mapping[str, Any], name: str) -> Json:
    """Return the Coding of a code whose text stands under ``name``."""
    code, shown = one.get("Code"), one.get(name)
    found = {"system": _system(one), "code": code if isinstance(code, str) and _CODE.fullmatch(code) else None, "display": shown or None}
    return {key: value for key, value in found.items() if value}


def concept_of(name: str) -> Read:
    """Return the function that makes a CodeableConcept of a code and its alternates."""

    def read(value: Any, _scope: Any) -> Json | None:
        if not isinstance(value, dict):
            return None
        others = value.get("AltCodes")
        every = [value, *(one for one in others if isinstance(one, dict))] if isinstance(others, list) else [value]
        codings = [coding for one in every if (coding := coding_of(one, name)).keys() - {"system"}]
        return {"coding": codings} if codings else None

    return read


def coded(coding: Mapping[str, Any], name: str) -> Json:
    """Return the code a Coding says."""
    system = str(coding.get("system") or "")
    oid = _OID_OF.get(system) or (system.removeprefix("urn:oid:") if system.startswith("urn:oid:") else None)
    if name == "Name":
        found = {"Code": coding.get("code"), "CodeSystem": oid, "CodeSystemName": _NAME_OF.get(system), "Name": coding.get("display")}
    else:
        found = {"Code": coding.get("code"), "Codeset": _NAME_OF.get(system), name: coding.get("display")}
    return {key: value for key, value in found.items() if value}


def concept_back(name: str) -> Read:
    """Return the function that makes a code of a CodeableConcept, or of the first of several."""

    def write(value: Any, _builder: Any) -> Json | None:
        value = next(iter(value), None) if isinstance(value, list) else value
        codings = value.get("coding") if isinstance(value, dict) else None
        first, *others = [one for one in codings if isinstance(one, dict)] if isinstance(codings, list) and codings else [{}]
        found = coded({**first, "display": first.get("display") or value.get("text")} if isinstance(value, dict) else first, name)
        return {**found, **({"AltCodes": [coded(one, name) for one in others]} if others and name == "Name" else {})} or None

    return write


def named_back(system: str) -> Read:
    """The way back of a code with its system's name, under ``system``, and ``Name``."""

    def write(value: Any, builder: Any) -> Json | None:
        found = concept_back("Description")(value, builder) or {}
        names = {"Description": "Name", "Codeset": system}
        return {names.get(key, key): text for key, text in found.items()} or None

    return write


def many(one: Read) -> Read:
    """Return the function for a list of what another does one of."""
    return lambda value, around: [found for each in value if (found := one(each, around)) is not None] or None if isinstance(value, list) else None


def made_of(read: Read, write: Read | None) -> Function:
    """Return a named function; see ``mapping.edge.Function``."""
    return Function("raw", lambda held, scope: read(held[0], scope), write)


def state(system: str, known: Mapping[str, str]) -> Function:
    """A status told as text or code → a CodeableConcept of a required value set."""

    def read(value: Any, _scope: Any) -> Json | None:
        text = str((value.get("Name") or value.get("Code") or "") if isinstance(value, dict) else value).strip().casefold()
        code = known.get(text)
        return {"coding": [{"system": system, "code": code}]} if code else None

    def write(value: Any, _builder: Any) -> Json | None:
        codings = value.get("coding") if isinstance(value, dict) else None
        code = next((str(one.get("code")) for one in codings if isinstance(one, dict)), "") if isinstance(codings, list) else ""
        return {"Name": code.capitalize()} if code else None

    return made_of(read, write)


def code_of(known: Mapping[str, str]) -> Function:
    """A status told as text or code → a code of a required value set."""

    def read(value: Any, _scope: Any) -> str | None:
        text = str((value.get("Name") or value.get("Code") or "") if isinstance(value, dict) else value).strip().casefold()
        return known.get(text, text if text in known.values() else None)

    return made_of(read, lambda value, _builder: value if isinstance(value, str) else None)

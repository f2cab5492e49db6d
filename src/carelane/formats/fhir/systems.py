"""Code systems: the names HL7 v2 messages use (table 0396) → the URIs FHIR uses, and identifier systems from assigning authorities."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import yaml

V2 = "http://terminology.hl7.org/CodeSystem/v2-"
IDENTIFIER_TYPE = V2 + "0203"
SSN = "http://hl7.org/fhir/sid/us-ssn"
CLIA = "urn:oid:2.16.840.1.113883.4.7"
NPI = "http://hl7.org/fhir/sid/us-npi"
PARTICIPATION = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
LOCAL = "urn:carelane:local:"
"""Codes and identifiers whose system nobody can name are the source's own; never a made-up web address."""

SYSTEMS: Mapping[str, str] = {
    "LN": "http://loinc.org", "LOINC": "http://loinc.org", "SCT": "http://snomed.info/sct", "SNM": "http://snomed.info/sct", "SNOMED CT": "http://snomed.info/sct",
    "I10C": "http://hl7.org/fhir/sid/icd-10-cm", "I10": "http://hl7.org/fhir/sid/icd-10-cm", "ICD-10": "http://hl7.org/fhir/sid/icd-10-cm",
    "I9C": "http://hl7.org/fhir/sid/icd-9-cm", "I9": "http://hl7.org/fhir/sid/icd-9-cm", "ICD-9": "http://hl7.org/fhir/sid/icd-9-cm",
    "CVX": "http://hl7.org/fhir/sid/cvx", "MVX": "http://hl7.org/fhir/sid/mvx", "NDC": "http://hl7.org/fhir/sid/ndc",
    "RXNORM": "http://www.nlm.nih.gov/research/umls/rxnorm", "RxNorm": "http://www.nlm.nih.gov/research/umls/rxnorm",
    "C4": "http://www.ama-assn.org/go/cpt", "CPT": "http://www.ama-assn.org/go/cpt", "CPT4": "http://www.ama-assn.org/go/cpt",
    "HCPCS": "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets", "UCUM": "http://unitsofmeasure.org", "ISO+": "http://unitsofmeasure.org",
    "CDCREC": "urn:oid:2.16.840.1.113883.6.238", "ISO3166_1": "urn:iso:std:iso:3166", "ISO639": "urn:ietf:bcp:47", "NUCC": "http://nucc.org/provider-taxonomy",
}  # fmt: skip
_NAMES: Mapping[str, str] = {uri: name for name, uri in reversed(list(SYSTEMS.items()))}
_HL7 = re.compile(r"HL7(\d{4})", re.ASCII)
_OID = re.compile(r"[0-2](\.(0|[1-9]\d*))+", re.ASCII)
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Where the codes of one v2 table go: FHIR code by v2 code, and the way back (the first v2 code of each, empty where none says the same)."""

    table: str
    system: str
    codes: Mapping[str, str]
    other: Mapping[str, tuple[str, str]]
    back: Mapping[str, str]


@cache
def vocabularies() -> Mapping[str, Vocabulary]:
    """Return every vocabulary by name."""
    text = (Path(__file__).parent / "maps" / "vocabulary.yaml").read_text()
    loaded: dict[str, dict[str, Any]] = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506  (the safe loader, in C)
    found = {}
    for name, one in loaded.items():
        codes = {str(code): str(value) for code, value in one.get("codes", {}).items()}
        other = {str(code): (str(pair[0]), str(pair[1])) for code, pair in one.get("other", {}).items()}
        one_way = {str(code): str(value) for code, value in one.get("one_way", {}).items()}
        back = {str(value): str(code) for value, code in one.get("back", {}).items()} | dict.fromkeys(one_way.values(), "")
        for code, value in [*codes.items(), *((code, pair[1]) for code, pair in other.items())]:
            back.setdefault(value, code)
        codes |= one_way
        found[name] = Vocabulary(str(one["table"]), str(one.get("system", "")), codes, other, back)
    return found


@lru_cache(1024)
def system_of(name: str, table: str = "") -> str:
    """Return the URI of a coding system as HL7 v2 names it; without a name, that of the field's own table; never a guess from the code's look."""
    if not name:
        return (V2 + table if table.isdigit() else LOCAL + table) if table else ""
    known = SYSTEMS.get(name) or SYSTEMS.get(name.upper())
    if known:
        return known
    if found := _HL7.fullmatch(name.upper()):
        return V2 + found.group(1)
    if name.startswith(("http://", "https://", "urn:")) and " " not in name:
        return name
    return "urn:oid:" + name if _OID.fullmatch(name) else LOCAL + slug(name)


def name_of(system: str) -> str:
    """Return the HL7 v2 name of a code system's URI."""
    if system.startswith(V2):
        return "HL7" + system.removeprefix(V2)
    if system.startswith(LOCAL):
        return system.removeprefix(LOCAL)
    return _NAMES.get(system) or system.removeprefix("urn:oid:")


def authority_system(namespace: str, universal: str, kind: str) -> str:
    """Return the identifier system of an assigning authority (HD): ISO and UUID as URNs, a URI as it is, else the source's own."""
    kind = kind.upper()
    if universal:
        if kind == "ISO" or (not kind and _OID.fullmatch(universal)):
            return "urn:oid:" + universal if _OID.fullmatch(universal) else LOCAL + slug(universal)
        if _UUID.fullmatch(universal):
            return "urn:uuid:" + universal.lower()
        if kind == "URI" and ":" in universal and " " not in universal:
            return universal
    text = namespace or universal
    return LOCAL + slug(text) if text else ""


def slug(text: str) -> str:
    """Return a text as it may stand in a URI."""
    return re.sub(r"[^A-Za-z0-9._~-]+", "-", text.strip()) or "unknown"

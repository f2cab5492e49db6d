"""The sender's own codes beside those with a required binding: on the way back they count as long as they say the same."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from carelane.formats.fhir.compose import Resource, compiled
from carelane.formats.fhir.systems import V2, Vocabulary, vocabularies


def as_sent(pack: str, resource: Resource) -> Resource:
    """Return a resource whose codes are the v2 codes they were translated from, where it says which and they are still translated to these."""
    found: Resource = {}
    for name, vocabulary in _coded(pack).items():
        code = _beside(resource.get(f"_{name}"), V2 + vocabulary.table)
        if code and resource.get(name) == vocabulary.codes.get(code):
            found[name] = code
    return {**resource, **found} if found else resource


@cache
def _coded(pack: str) -> Mapping[str, Vocabulary]:
    rows = [row for row in compiled(pack).pack.rows if (row.via or "").startswith("was_")]
    return {row.target.removeprefix("_"): vocabularies()[str(row.via).removeprefix("was_")] for row in rows}


def _beside(element: Any, system: str) -> str:
    known = element.get("extension") if isinstance(element, dict) else None
    for one in known if isinstance(known, list) else ():
        value = one.get("valueCodeableConcept") if isinstance(one, dict) else None
        codings = value.get("coding") if isinstance(value, dict) else None
        for coding in codings if isinstance(codings, list) else ():
            if isinstance(coding, dict) and coding.get("system") == system and isinstance(coding.get("code"), str):
                return str(coding["code"])
    return ""

"""The sender's own codes and times beside what FHIR can tell of them: on the way back they count as long as they say the same."""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from carelane.formats.fhir.compose import Resource, compiled
from carelane.formats.fhir.quantities import original
from carelane.formats.fhir.systems import V2, Vocabulary, vocabularies


def as_sent(pack: str, resource: Resource) -> Resource:
    """Return a resource whose codes are the v2 codes they were translated from, where it says which and they are still translated to these.

    A date that was cut from a time of day is that time again.
    """
    found: Resource = _timed(resource)
    for name, vocabulary in _coded(pack).items():
        code = _beside(resource.get(f"_{name}"), V2 + vocabulary.table)
        if code and resource.get(name) == vocabulary.codes.get(code):
            found[name] = code
    return {**resource, **found} if found else resource


def _timed(value: dict[str, Any]) -> dict[str, Any]:
    """Return the members of an object that are times as they were sent, in it and in the objects in it."""
    found: dict[str, Any] = {}
    for name, one in value.items():
        if isinstance(one, dict) and not name.startswith("_") and (inner := _timed(one)):
            found[name] = {**one, **inner}
        elif isinstance(one, str) and _DATE.fullmatch(one) and (text := original(value.get(f"_{name}"))).startswith(one.replace("-", "")):
            found[name] = text
    return found


_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


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

"""Numbers as people and instruments write them ↔ Quantity: the unit never goes lost, and what was written is kept where the number alone does not tell it."""

import re
from collections.abc import Mapping
from typing import Any

from carelane.formats.fhir.elements import extension, number

Units = Mapping[str, Any]
"""Unit, system and code: the members of a Quantity beside its value."""
UNIT = "urn:carelane:extension:unit"
"""The unit of a result that is told as text, for there is no place for one beside valueString."""
_ORIGINAL = "originalText"
_COMPARED = re.compile(r"(<=|>=|<|>|≤|≥|=)?\s*(\S+)")
_SIGNS: Mapping[str, str] = {"<": "<", ">": ">", "<=": "<=", ">=": ">=", "≤": "<=", "≥": ">="}
_MOST_SHOWN = 60
PLAIN = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)", re.ASCII)
"""NM (chapter 2A): digits without an exponent."""


def quantity(digits: str, unit: Units, sign: str = "") -> dict[str, Any] | None:
    """Return a Quantity of one number; None where the text is none. ``sign`` is a comparator of HL7 v2, where ``=`` says nothing."""
    value = number(digits)
    if value is None or sign not in ("", "=", *_SIGNS):
        return None
    found: dict[str, Any] = {"comparator": _SIGNS[sign]} if sign in _SIGNS else {}
    found["value"] = value
    if str(value) != digits:
        found["_value"] = {"extension": [extension(_ORIGINAL, "String", digits)]}
    found.update(unit)
    return found


def compared(text: str, unit: Units, *, whole: bool = True) -> dict[str, Any] | None:
    """Return the Quantity of a text that is a number, perhaps behind a comparator; None where it may mean anything else.

    With ``whole`` the text is kept where there is a comparator in it: its type has no place for one.
    """
    match = _COMPARED.fullmatch(text)
    if match is None:
        return None
    found = quantity(match[2], unit, match[1] or "")
    if found is not None and match[1] and whole:
        found.pop("_value", None)
        found = {"extension": [extension(_ORIGINAL, "String", text)], **found}
    return found


def described(text: str, unit: Units) -> dict[str, Any] | None:
    """Return the members of an Observation that tell a value as text: with its unit where that is a number of some kind, which a person reads together."""
    if not text:
        return None
    if not unit:
        return {"valueString": text}
    named, shown = str(unit.get("unit") or unit.get("code") or ""), text
    kept = [{"url": UNIT, "valueQuantity": dict(unit)}]
    if named and not text.endswith(named) and "\n" not in text and len(text) <= _MOST_SHOWN and any(one.isdigit() for one in text):
        shown = f"{text} {named}"
        kept.append(extension(_ORIGINAL, "String", text))
    return {"valueString": shown, "_valueString": {"extension": kept}}


def original(element: Any) -> str:
    """Return what was written, from the extension of an element; empty where it does not say."""
    found = _extended(element, extension(_ORIGINAL, "String", "")["url"]).get("valueString")
    return found if isinstance(found, str) else ""


def digits(one: Mapping[str, Any]) -> str:
    """Return the number of a Quantity as it was written."""
    value = one.get("value")
    return original(one.get("_value")) or ("" if value is None or isinstance(value, dict | list) else str(value))


def unit_in(item: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the unit of an Observation's value: that of its quantity, of either end of its range or ratio, or the one kept beside a text."""
    inner = [item.get("valueQuantity"), *(part.get(end) for name, end in _ENDS if isinstance(part := item.get(name), dict))]
    kept = _extended(item.get("_valueString"), UNIT).get("valueQuantity")
    return next((one for one in [*inner, kept] if isinstance(one, dict) and (one.get("unit") or one.get("code"))), {})


_ENDS = (("valueRange", "low"), ("valueRange", "high"), ("valueRatio", "numerator"))


def _extended(element: Any, url: str) -> Mapping[str, Any]:
    known = element.get("extension") if isinstance(element, dict) else None
    return next((one for one in known if isinstance(one, dict) and one.get("url") == url), {}) if isinstance(known, list) else {}

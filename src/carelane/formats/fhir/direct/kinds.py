"""Times, identifiers, addresses, contact points, amounts and notes of documents ↔ FHIR's data types."""

import re
from datetime import date, datetime
from typing import Any

from carelane.formats.fhir.systems import NPI

Json = dict[str, Any]
_CODE = re.compile(r"\S+(\s\S+)*")
_URI = re.compile(r"\S+")


def moment(value: Any, _scope: Any) -> str | None:
    """A dateTime of FHIR: a date, or a time with its zone."""
    if not isinstance(value, str):
        return None
    try:
        if len(value) == 10:
            return date.fromisoformat(value).isoformat()
        found = datetime.fromisoformat(value)
    except ValueError:
        return value if re.fullmatch(r"\d{4}(-(0[1-9]|1[0-2]))?", value, re.ASCII) else None
    return value if found.tzinfo is not None and "T" in value else None


def day(value: Any, _scope: Any) -> str | None:
    """A date."""
    return found[:10] if (found := moment(value, None)) else None


def instant(value: Any, _scope: Any) -> str | None:
    """A time with its zone; nothing less precise."""
    return found if (found := moment(value, None)) and "T" in found else None


def same(value: Any, _builder: Any) -> Any:
    """The way back of what stays as it is."""
    return value if isinstance(value, str) else None


def identifier(value: Any, _scope: Any) -> Json | None:
    """ID and IDType → Identifier."""
    if not isinstance(value, dict) or not isinstance(value.get("ID"), str):
        return None
    kind = value.get("IDType")
    return {"value": value["ID"], **({"system": NPI} if kind == "NPI" else {"type": {"text": kind}} if kind else {})}


def identifier_back(value: Any, _builder: Any) -> Json | None:
    """Identifier → ID and IDType."""
    if not isinstance(value, dict) or not value.get("value"):
        return None
    kind: Json = value["type"] if isinstance(value.get("type"), dict) else {}
    codes = [str(one.get("code")) for one in kind.get("coding") or [] if isinstance(one, dict) and one.get("code")]
    named = "NPI" if value.get("system") == NPI else kind.get("text") or (codes[0] if codes else None)
    return {"ID": value["value"], **({"IDType": named} if named else {})}


def system_value(value: Any, _scope: Any) -> Json | None:
    """System and Value → CodeableConcept."""
    code = value.get("Value") if isinstance(value, dict) else None
    if not isinstance(code, str) or not _CODE.fullmatch(code):
        return None
    system = value.get("System")
    return {"coding": [{**({"system": system} if isinstance(system, str) and _URI.fullmatch(system) else {}), "code": code}]}


def system_value_back(value: Any, _builder: Any) -> Json | None:
    """CodeableConcept or Coding → System and Value."""
    first: Json = next(iter(value.get("coding") or [value]), {}) if isinstance(value, dict) else {}
    found = {"System": first.get("system"), "Value": first.get("code")}
    return {key: text for key, text in found.items() if text} or None


def address(value: Any, _scope: Any) -> Json | None:
    """Address."""
    if not isinstance(value, dict):
        return None
    names = {"City": "city", "State": "state", "ZIP": "postalCode", "County": "district", "Country": "country"}
    found: Json = {names[key]: text for key, text in value.items() if key in names and text}
    if street := value.get("StreetAddress"):
        found["line"] = str(street).split("\n")
    return found or None


def address_back(value: Any, _builder: Any) -> Json | None:
    """The first Address."""
    one = next(iter(value), None) if isinstance(value, list) else value
    if not isinstance(one, dict):
        return None
    names = {"city": "City", "state": "State", "postalCode": "ZIP", "district": "County", "country": "Country"}
    found: Json = {names[key]: text for key, text in one.items() if key in names}
    if isinstance(one.get("line"), list):
        found["StreetAddress"] = "\n".join(str(line) for line in one["line"])
    return found or None


_PHONES = {"Home": ("phone", "home"), "Mobile": ("phone", "mobile"), "Office": ("phone", "work"), "Work": ("phone", "work"), "Fax": ("fax", "work")}


def phones(value: Any, _scope: Any) -> list[Json] | None:
    """Home, Mobile, Office, Fax → ContactPoint."""
    if not isinstance(value, dict):
        return None
    return [{"system": _PHONES[key][0], "use": _PHONES[key][1], "value": text} for key, text in value.items() if key in _PHONES and text] or None


def phones_back(value: Any, _builder: Any) -> Json | None:
    """ContactPoint → Home, Mobile, Office, Fax."""
    known = {pair: key for key, pair in reversed(_PHONES.items())}
    told = [one for one in value if isinstance(one, dict) and one.get("value")] if isinstance(value, list) else []
    found = {known[pair]: one["value"] for one in told if (pair := (str(one.get("system")), str(one.get("use")))) in known}
    return found or None


def emails(value: Any, _scope: Any) -> list[Json] | None:
    """E-mail addresses → ContactPoint."""
    every = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    return [{"system": "email", "value": text} for text in every if isinstance(text, str) and text] or None


def emails_back(value: Any, _builder: Any) -> list[str] | None:
    """ContactPoint → e-mail addresses."""
    told = [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
    return [one["value"] for one in told if one.get("system") == "email" and one.get("value")] or None


def number(value: Any, _scope: Any) -> float | int | None:
    """A number, also where it is told as text."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return (int(found) if found.is_integer() else found) if abs(found) < 1e15 else None


def number_back(value: Any, _builder: Any) -> str | None:
    """A number as text."""
    return None if value is None or isinstance(value, bool | dict | list) else str(value)


def quantity(value: Any, _scope: Any) -> Json | None:
    """Quantity (or Value) and Units → Quantity."""
    amount = number(value.get("Quantity", value.get("Value")), None) if isinstance(value, dict) else None
    units = value.get("Units") if isinstance(value, dict) else None
    return {**({"value": amount} if amount is not None else {}), **({"unit": units} if units else {})} or None


def quantity_back(value: Any, _builder: Any) -> Json | None:
    """Quantity → Quantity and Units."""
    if not isinstance(value, dict):
        return None
    amount = number_back(value.get("value"), None)
    return {**({"Quantity": amount} if amount else {}), **({"Units": value["unit"]} if value.get("unit") else {})} or None


def money(value: Any, _scope: Any) -> Json | None:
    """An amount of money; nobody says in which currency."""
    amount = number(value, None)
    return {"value": amount} if amount is not None else None


def money_back(value: Any, _builder: Any) -> str | None:
    """An amount of money."""
    return number_back(value.get("value"), None) if isinstance(value, dict) else None


def comments(value: Any, _scope: Any) -> list[Json] | None:
    """Comments → Annotation."""
    every = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    texts = [one.get("Text") if isinstance(one, dict) else one for one in every]
    return [{"text": text} for text in texts if isinstance(text, str) and text.strip()] or None


def comments_back(value: Any, _builder: Any) -> list[Json] | None:
    """Annotation → comments."""
    return [{"Text": one["text"]} for one in value if isinstance(one, dict) and one.get("text")] or None if isinstance(value, list) else None


def flag(value: Any, _scope: Any) -> bool | None:
    """True or false."""
    return value if isinstance(value, bool) else None

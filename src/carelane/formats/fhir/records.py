"""Documents, charges and staff: elements made of several fields."""

from collections.abc import Mapping
from typing import Any

from carelane.formats.fhir.attachments import attachment, plain, pointer
from carelane.formats.fhir.elements import (
    each,
    leaves,
    number,
    period,
    time,
    trimmed,
)
from carelane.formats.fhir.making import leaf_of, of_raw, of_scope, of_text
from carelane.formats.fhir.systems import IDENTIFIER_TYPE
from carelane.formats.hl7v2.groups import STRUCTURES
from carelane.formats.hl7v2.scope import Scope
from carelane.mapping.edge import Function


def file_name(value: str, _scope: Scope) -> dict[str, Any]:
    """TXA-16 → an identifier by which the file is known."""
    return {"type": {"text": "file name"}, "value": value}


def contents(_raw: Any, scope: Scope) -> list[dict[str, Any]] | None:
    """OBX-5, in order: each ED or RP is an attachment, and so is the text of one subject (OBX-3), however many lines it has."""
    found: list[dict[str, Any]] = []
    lines: list[str] = []
    last = ""
    for group in STRUCTURES["@results"](scope):
        segments = group.segments["OBX"]
        kind, subject = segments[0].field(2).upper(), segments[0].field(3)
        raws = [part for one in segments for part in each(one.field(5), scope)]
        if lines and (kind in ("ED", "RP") or subject != last):
            found.append(plain("\n".join(lines)))
            lines = []
        if kind in ("ED", "RP"):
            found += [one for one in ([attachment(raws, scope)] if kind == "ED" else [pointer(raw, scope) for raw in raws]) if one]
        else:
            lines += [text for raw in raws if (text := scope.leaf(raw))]
        last = subject
    if lines:
        found.append(plain("\n".join(lines)))
    return [{"attachment": one} for one in found] or None


def contents_put(_item: dict[str, Any], value: Any, builder: Any) -> None:
    """The way back: text as lines of TX, anything else as ED."""
    import base64  # noqa: PLC0415

    for at, one in enumerate(value if isinstance(value, list) else []):
        part = one.get("attachment") if isinstance(one, dict) else None
        if not isinstance(part, dict):
            continue
        kind, data = str(part.get("contentType") or ""), str(part.get("data") or "")
        child = builder.branch("OBX", at)
        if kind.startswith("text/plain") and data:
            child.put("OBX", 2, 1, 1, "TX")
            child.put("OBX", 5, 1, 1, base64.b64decode(data).decode("utf-8", "backslashreplace"))
        elif data:
            child.put("OBX", 2, 1, 1, "ED")
            child.put_field("OBX", 5, ["", kind.split("/", maxsplit=1)[0], kind.rpartition("/")[2], "Base64", data])
        elif part.get("url"):
            child.put("OBX", 2, 1, 1, "RP")
            child.put("OBX", 5, 1, 1, part["url"])


def charged_times(_raw: Any, scope: Scope) -> dict[str, Any] | None:
    """FT1-4 (DR) → occurrence[x]."""
    begin, finish = time(leaf_of(scope, "FT1", 4), scope), time(leaf_of(scope, "FT1", 4, 2), scope)
    if begin and finish:
        return {"occurrencePeriod": {"start": begin, "end": finish}}
    return {"occurrenceDateTime": begin} if begin else None


def counted(value: str, _scope: Scope) -> dict[str, Any] | None:
    """NM → Quantity without a unit."""
    found = number(value)
    return {"value": found} if found is not None else None


def money(raw: str, scope: Scope) -> dict[str, Any] | None:
    """CP → Money."""
    get = leaves(raw, scope)
    value = number(get(1, 1))
    return trimmed({"value": value, "currency": get(1, 2) if len(get(1, 2)) == 3 else ""}) if value is not None else None


def key_identifier(raw: str, scope: Scope) -> dict[str, Any] | None:
    """STF-1 (CWE) → the key of a master file's entry."""
    code = leaves(raw, scope)(1)
    return {"type": {"text": "master file key"}, "value": code} if code else None


def licences(raw: str, scope: Scope) -> list[dict[str, Any]] | None:
    """PRA-6 (PLN) → identifiers."""
    found = []
    for text in each(raw, scope):
        get = leaves(text, scope)
        if get(1):
            kind = {"coding": [{"system": IDENTIFIER_TYPE, "code": get(2)}]} if get(2) else None
            found.append(trimmed({"type": kind, "value": get(1), "period": period("", get(4), scope)}))
    return found or None


def activity(value: str, _scope: Scope) -> bool | None:
    """STF-7, table 0183."""
    return {"A": True, "I": False}.get(value.upper())


def mails(raw: str, scope: Scope) -> list[dict[str, Any]] | None:
    """STF-15 → e-mail addresses."""
    return [{"system": "email", "value": text} for one in each(raw, scope) if (text := leaves(one, scope)(1))] or None


RECORDS: Mapping[str, Function] = {
    "file_name": of_text(file_name),
    "contents": of_scope(contents, contents_put),
    "charged_times": of_scope(charged_times),
    "counted": of_text(counted),
    "money": of_raw(money),
    "key_identifier": of_raw(key_identifier),
    "licences": of_raw(licences),
    "activity": of_text(activity),
    "mails": of_raw(mails),
}
"""The functions by the names packs use."""

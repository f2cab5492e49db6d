"""One rule for nulls: an explicit null of HL7 v2 is no value in FHIR, and nothing empty leaves the writer (ele-1 of R4: an element has a value or children)."""

import re
from functools import lru_cache
from typing import Any

import orjson

from carelane.formats.hl7v2.escapes import Separators
from carelane.formats.hl7v2.message import NULL, Message, parse

_NULL = NULL.encode()
_EMPTY = (b"null", b'""', b"[]", b"{}")


def without_nulls(message: Message) -> Message:
    """Return a message as if its explicit nulls were absent; what they delete is not there to be deleted in a bundle that tells what is."""
    raw = message.raw
    return parse(_nulls(message.seps).sub(b"", raw), message.codec) if _NULL in raw else message


@lru_cache(64)
def _nulls(seps: Separators) -> re.Pattern[bytes]:
    around = re.escape("".join((seps.field, seps.component, seps.repetition, seps.subcomponent)).encode("latin-1"))
    return re.compile(rb"(?<=[" + around + rb'])""(?=[' + around + rb"\r\n]|\Z)")


def written(resource: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """Return a resource without whatever is empty in it, and its JSON."""
    body = orjson.dumps(resource)
    if not any(empty in body for empty in _EMPTY):
        return resource, body
    whole: dict[str, Any] = pruned(resource)
    return whole, orjson.dumps(whole)


def pruned(value: Any) -> Any:
    """Return a value without its empty members, and None where nothing is left; nought and false are values."""
    if isinstance(value, dict):
        return {name: one for name, inner in value.items() if (one := pruned(inner)) is not None} or None
    if isinstance(value, list):
        return [one for inner in value if (one := pruned(inner)) is not None] or None
    return value if value != "" else None

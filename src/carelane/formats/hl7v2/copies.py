"""Texts that rows write where the sender had none, because they were read from elsewhere: an order number that only OBR had, a laboratory told in OBX-23.

Leftovers say so with an empty text in that place. It is emptied again where its text stands elsewhere in the message, so that nothing is lost
when the document has been changed since.
"""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from carelane.formats.hl7v2.escapes import STANDARD

EMPTY = ""
_LEAVES = re.compile(r"[|^~&\r]")


def without_copies(lines: list[str], came: Mapping[int, Mapping[str, Any]]) -> None:
    """Empty the places of written lines whose leftovers say that they came empty."""
    empties = {at: found for at, entry in came.items() if (found := {key: value for key, value in entry.items() if key.isdigit() and _is_marked(value)})}
    if not empties:
        return
    counts = Counter(leaf for line in lines for leaf in _LEAVES.split(line))
    for at, entry in empties.items():
        head, mark, rest = lines[at].partition("\r")
        fields = head.split(STANDARD.field)
        for key, value in entry.items():
            if int(key) < len(fields):
                fields[int(key)] = _without(fields[int(key)], value, counts)
        lines[at] = STANDARD.field.join(fields).rstrip(STANDARD.field) + mark + rest


def _is_marked(value: Any) -> bool:
    if isinstance(value, dict | list):
        return any(_is_marked(one) for one in (value.values() if isinstance(value, dict) else value))
    return bool(value == EMPTY and value is not None)


def _without(raw: str, value: Any, counts: Counter[str], separators: str = STANDARD.repetition + STANDARD.component + STANDARD.subcomponent) -> str:
    if value == EMPTY:
        leaves = Counter(leaf for leaf in _LEAVES.split(raw) if leaf)
        if any(counts[leaf] <= number for leaf, number in leaves.items()):
            return raw
        counts.subtract(leaves)
        return ""
    if isinstance(value, list):
        return _each(raw, separators[0], dict(enumerate(value)), counts, separators)
    if isinstance(value, dict):
        inner = separators[1:] if len(separators) == 3 else separators
        return _each(raw, inner[0], {int(key) - 1: one for key, one in value.items() if key.isdigit() and key != "0"}, counts, inner)
    return raw


def _each(raw: str, separator: str, marked: Mapping[int, Any], counts: Counter[str], separators: str) -> str:
    parts = raw.split(separator)
    for at, one in marked.items():
        if at < len(parts) and _is_marked(one):
            parts[at] = _without(parts[at], one, counts, separators[1:])
    return separator.join(parts).rstrip(separator)

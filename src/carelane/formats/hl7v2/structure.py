"""HL7's own message structures by version: what MSH-9 and MSH-12 say of the order of segments, and which belong together.

The tables in ``maps/`` are made from a published library of the standard; nothing here is guessed. A structure is found under MSH-9.3, else by
MSH-9.1 and 9.2; a version the table lacks is read as the one before it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

from carelane.formats.hl7v2.message import Message
from carelane.formats.hl7v2.triggers import codes, trigger_table

_MAPS = Path(__file__).parent / "maps"
_TOKEN = re.compile(r"[\[\]{}|>]|<\w+|\w+")
_PAST = "PRIOR"
"""In the name of a group: results of before that come with an order."""


@dataclass(frozen=True, slots=True)
class Part:
    """A segment, or a group with its parts. Of a ``choice`` one part is there."""

    name: str
    optional: bool = False
    repeating: bool = False
    parts: tuple["Part", ...] = ()
    choice: bool = False


@dataclass(frozen=True, slots=True)
class Orders:
    """How orders stand in a structure: which of ORC and OBR comes first, whether each has its OBR, and whether results of before may come along."""

    first: str = "ORC"
    requested: bool = False
    past: bool = False


def structure_of(message: Message) -> tuple[Part, ...]:
    """Return the parts of a message's structure; none where the standard's table does not have it."""
    return found[1] if (found := _found(message)) else ()


def orders_of(message: Message) -> Orders | None:
    """Return how orders stand in a message's structure; None where the standard's table does not have it."""
    found = _found(message)
    return _orders(*found) if found else None


def first_of_order(code: str, trigger: str, version: str) -> str:
    """Return which of ORC and OBR an order begins with in the message of a trigger."""
    found = _named("", code, trigger, version)
    return _orders(*found).first if found else "ORC"


def required_fields(name: str, version: str) -> Sequence[int]:
    """Return the numbers of the fields a segment must have in a version."""
    lines = _lines("required.txt").get(name)
    return [int(number) for number in _of_version(lines, version).split()] if lines else []


def _found(message: Message) -> tuple[str, tuple[Part, ...]] | None:
    return _named((message.value("MSH", 9, 3) or "").strip().upper(), *codes(message), message.value("MSH", 12) or "")


def _named(structure: str, code: str, event: str, version: str) -> tuple[str, tuple[Part, ...]] | None:
    family = trigger_table().get(code, {})
    line = family.get(event) or family.get("*")
    for name in (structure, line.structure if line else "", f"{code}_{event}", code):
        if name and (parts := _parts(name, version)):
            return name, parts
    return None


@lru_cache(512)
def _parts(name: str, version: str) -> tuple[Part, ...]:
    lines = _lines("structures.txt").get(name)
    return _parsed(_of_version(lines, version)) if lines else ()


@lru_cache(512)
def _orders(_name: str, parts: tuple[Part, ...]) -> Orders:
    order = _group_of_orders(Part("", parts=parts))
    names = [part.name for part, _ in _flat(order)]
    first = "OBR" if "OBR" in names and ("ORC" not in names or names.index("OBR") < names.index("ORC")) and "ORC" in names else "ORC"
    requested = any(part.name == "OBR" and not optional for part, optional in _flat(order))
    return Orders(first, requested, _has_past(parts))


def _group_of_orders(part: Part) -> Part:
    """Return the innermost repeating group that holds an order; the message itself where there is none."""
    for inner in part.parts:
        if inner.parts and _PAST not in inner.name and any(one.name in ("ORC", "OBR") for one, _ in _flat(inner)):
            deeper = _group_of_orders(inner)
            return deeper if deeper.repeating or not inner.repeating else inner
    return part


def _flat(part: Part, *, optional: bool = False) -> Iterator[tuple[Part, bool]]:
    """Yield the segments of a group in order, those of before left out, and whether each may be missing."""
    for inner in part.parts:
        missing = optional or inner.optional or part.choice
        if not inner.parts:
            yield inner, missing
        elif _PAST not in inner.name:
            yield from _flat(inner, optional=missing)


def _has_past(parts: Sequence[Part]) -> bool:
    return any(_PAST in part.name or _has_past(part.parts) for part in parts)


def _parsed(text: str) -> tuple[Part, ...]:
    tokens = [found.group() for found in _TOKEN.finditer(text)]
    tokens.append(">")
    return _sequence(iter(tokens))[0]


def _sequence(tokens: Iterator[str]) -> tuple[tuple[Part, ...], bool]:
    """Read parts up to the end of their group, and whether one of them is to be chosen."""
    found: list[Part] = []
    optional = repeating = choice = False
    for token in tokens:
        if token == ">":
            break
        if token in "[{":
            optional, repeating = optional or token == "[", repeating or token == "{"
        elif token in "]}|":
            choice = choice or token == "|"
        else:
            parts, one_of = _sequence(tokens) if token[0] == "<" else ((), False)
            found.append(Part(token.removeprefix("<"), optional, repeating, parts, one_of))
            optional = repeating = False
    return tuple(found), choice


@cache
def _lines(file: str) -> Mapping[str, Sequence[tuple[tuple[int, ...], str]]]:
    found: dict[str, list[tuple[tuple[int, ...], str]]] = {}
    for line in (_MAPS / file).read_text().splitlines():
        if not line.startswith("#"):
            name, span, text = line.split(" ", 2)
            found.setdefault(name, []).append((_number(span.partition("-")[0]), text))
    return found


def _of_version(lines: Sequence[tuple[tuple[int, ...], str]], version: str) -> str:
    """Return what holds in a version: the newest line that is not newer, else the oldest."""
    wanted = _number(version) or (99,)
    return next((text for since, text in reversed(lines) if since <= wanted), lines[0][1])


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.strip().split(".") if part.isdigit())

"""HL7 v2 paths for the map compiler: ``PID-5[1].1.1``, ``PID-3[*]``, ``PID-11[home].3``, ``.4``, ``@orders``."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from carelane.formats.hl7v2.builder import Builder
from carelane.formats.hl7v2.functions import FUNCTIONS
from carelane.formats.hl7v2.groups import SEGMENTS_OF, STRUCTURES
from carelane.formats.hl7v2.message import NULL, pick
from carelane.formats.hl7v2.scope import Scope
from carelane.formats.hl7v2.selectors import SELECTORS, Selector
from carelane.mapping.edge import Function, Read

_PATH = re.compile(r"(?P<seg>[A-Z][A-Z0-9]{2})-(?P<field>\d+)(?:\[(?P<rep>\d+|[a-z_]+|\*)\])?(?:\.(?P<comp>\d+))?(?:\.(?P<sub>\d+))?")
_LEAF = re.compile(r"\.(?P<comp>\d+)(?:\.(?P<sub>\d+))?")
_EACH = re.compile(r"(?P<seg>[A-Z][A-Z0-9]{2})(?:-(?P<field>\d+))?\[\*\]")


class Hl7v2Edge:
    """How the compiler reads and writes HL7 v2."""

    null = NULL
    functions: Mapping[str, Function] = FUNCTIONS

    def reader(self, path: str, takes: Literal["text", "raw"]) -> Read:
        """Compile a path; see ``mapping.edge.Edge``."""
        if path == "." and takes == "raw":
            return Read(None, 0, lambda _raw, scope: scope.repetition or None)
        leaf = _LEAF.fullmatch(path)
        if leaf:
            return Read(None, 0, _repetition_leaf(int(leaf["comp"]), int(leaf["sub"] or 1)))
        found = _PATH.fullmatch(path)
        if not found:
            raise ValueError(f"{path!r} is no HL7 path; write it like PID-5[1].1.1, PID-11[home].3 or .4")
        name, number = found["seg"], int(found["field"])
        selector = _selector(found["rep"])
        if takes == "raw":
            extract = _raw(selector, found["rep"], int(found["comp"] or 0))
        else:
            extract = _text(selector, int(found["comp"] or 1), int(found["sub"] or 1))
        return Read(name, number, extract, ((name, number),))

    def walker(self, path: str) -> tuple[Callable[[Scope], Iterable[Scope]], tuple[tuple[str, int], ...]]:
        """Compile an ``each`` path."""
        if path in STRUCTURES:
            return STRUCTURES[path], ()
        found = _EACH.fullmatch(path)
        if not found:
            raise ValueError(f"{path!r} cannot be walked; write NK1[*], PID-3[*] or one of {', '.join(STRUCTURES)}")
        name = found["seg"]
        if found["field"] is None:
            return _each_segment(name), ()
        return _each_repetition(name, int(found["field"])), ((name, int(found["field"])),)

    def writer(self, path: str, function: Function | None) -> Callable[[Builder, Any], None]:
        """Compile a path for writing. A function that takes ``raw`` writes a whole repetition, given as a list of components."""
        leaf = _LEAF.fullmatch(path)
        if leaf:
            component, sub = int(leaf["comp"]), int(leaf["sub"] or 1)
            return lambda builder, value: builder.put_leaf(component, sub, value)
        if path == ".":
            return lambda builder, value: builder.put_repetition(value)
        found = _PATH.fullmatch(path)
        if not found:
            raise ValueError(f"{path!r} is no HL7 path")
        name, number = found["seg"], int(found["field"])
        if function is not None and function.takes == "raw":
            return lambda builder, value: builder.put_field(name, number, value)
        component, sub = int(found["comp"] or 1), int(found["sub"] or 1)
        return lambda builder, value: builder.put(name, number, component, sub, value)

    def brancher(self, path: str) -> Callable[[Builder, int], Builder]:
        """Compile an ``each`` path for writing."""
        if path in SEGMENTS_OF:
            name = SEGMENTS_OF[path][0]
            return lambda builder, number: builder.branch(name, number)
        found = _EACH.fullmatch(path)
        if not found:
            raise ValueError(f"{path!r} cannot be walked")
        name = found["seg"]
        if found["field"] is None:
            return lambda builder, number: builder.branch(name, number)
        field = int(found["field"])
        return lambda builder, number: builder.repetition(name, field, number)


def _selector(text: str | None) -> Selector | None:
    """Return None for the first repetition, the usual case."""
    if text is None or text in ("1", "*"):
        return None
    if text.isdigit():
        number = int(text)
        return lambda repetitions, _scope: repetitions[number - 1] if number <= len(repetitions) else ""
    if text not in SELECTORS:
        raise ValueError(f"there is no selector [{text}]; known are {', '.join(sorted(SELECTORS))}")
    return SELECTORS[text]


def _text(selector: Selector | None, component: int, sub: int) -> Callable[[str, Scope], str | None]:
    selects = selector is not None and not getattr(selector, "always", False)  # nothing to choose from one

    def extract(raw: str, scope: Scope) -> str | None:
        if raw == NULL:
            return NULL
        if scope.context.message.seps.repetition in raw:
            parts = raw.split(scope.context.message.seps.repetition)
            raw = selector(parts, scope) if selector else parts[0]
        elif selector is not None and selects:
            raw = selector([raw], scope)
        return scope.leaf(raw, component, sub)

    return extract


def _raw(selector: Selector | None, repetition: str | None, component: int) -> Callable[[str, Scope], str | None]:
    def extract(raw: str, scope: Scope) -> str | None:
        if raw == NULL:
            return NULL
        if repetition != "*":
            parts = scope.repetitions(raw)
            raw = selector(parts, scope) if selector else parts[0]
        if component:
            raw = pick(raw, scope.context.message.seps.component, component)
        return raw or None

    return extract


def _repetition_leaf(component: int, sub: int) -> Callable[[Any, Scope], str | None]:
    return lambda _raw, scope: scope.leaf(scope.repetition, component, sub)


def _each_segment(name: str) -> Callable[[Scope], Iterable[Scope]]:
    def walk(scope: Scope) -> Iterable[Scope]:
        for number, segment in enumerate(scope.segments.get(name, ())):
            yield scope.within({name: [segment]}, number)

    return walk


def _each_repetition(name: str, field: int) -> Callable[[Scope], Iterable[Scope]]:
    def walk(scope: Scope) -> Iterable[Scope]:
        segment = scope.first(name)
        raw = segment.field(field) if segment else ""
        if not raw or raw == NULL:
            return
        parts = tuple(raw.split(scope.context.message.seps.repetition))
        for number, part in enumerate(parts):
            if part:
                yield scope.at(part, parts, number)

    return walk

"""HL7 v2 paths for the map compiler: ``PID-5[1].1.1``, ``PID-3[*]``, ``PID-11[home].3``, ``.4``, ``@orders``."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

from carelane.formats.hl7v2.builder import Builder
from carelane.formats.hl7v2.functions import FUNCTIONS
from carelane.formats.hl7v2.groups import SEGMENTS_OF, STRUCTURES
from carelane.formats.hl7v2.message import NULL, Segment, pick
from carelane.formats.hl7v2.scope import Scope, touched
from carelane.formats.hl7v2.selectors import SELECTORS
from carelane.mapping.edge import Function, Read, Walk

# Numbers end at 999: a row may not ask for the millionth component, which the way back would have to fill up to.
_PATH = re.compile(r"(?P<seg>[A-Z][A-Z0-9]{2})-(?P<field>\d{1,3})(?:\[(?P<rep>\d{1,3}|[a-z_]+|\*)\])?(?:\.(?P<comp>\d{1,3}))?(?:\.(?P<sub>\d{1,3}))?")
_LEAF = re.compile(r"\.(?P<comp>\d{1,3})(?:\.(?P<sub>\d{1,3}))?")
_EACH = re.compile(r"(?P<seg>[A-Z][A-Z0-9]{2})(?:-(?P<field>\d{1,3}))?\[\*\]")
_LEAVES = "part.split(component) if escape not in part and subcomponent not in part else context.values(part)"
_NULLS = (NULL,) * 99  # what a field that is an explicit null says for every component


class Hl7v2Edge:
    """How the compiler reads and writes HL7 v2."""

    null = NULL
    functions: Mapping[str, Function] = FUNCTIONS
    prologue: tuple[str, ...] = (
        "present = scope.segments",
        "context = scope.context",
        "repetition, component, subcomponent, escape, plain = context.message.seps.marks",
    )
    names: Mapping[str, object] = {"NULLS": _NULLS, "pick": pick}

    def hits(self, touches: Sequence[tuple[str, int]], scope: Scope, segments: Callable[[Scope], Sequence[Segment]] | None = None) -> Sequence[tuple[Any, ...]]:
        """Return where a function that takes the scope found its fields."""
        return touched(touches, scope, segments)

    def sight(self, scope: Scope, function: Function | None = None) -> int:
        """The names in sight; for a function the segments it looks through, and the fields it reads."""
        if function is None:
            return len(scope.segments)
        read = touched(function.touches, scope, function.segments)
        return len(scope.segments) + len(scope.members) + sum(len(place[2]) + 1 for place in read)

    def slots(self, group: str) -> str:
        """Return the expression for the fields of the first segment of a name."""
        return f"found[0].fields if (found := present.get({group!r})) else ()"

    def reader(self, path: str, takes: Literal["text", "raw"]) -> Read:
        """Compile a path; see ``mapping.edge.Edge``."""
        if path == "." and takes == "raw":
            return Read(None, 0, ("part = scope.repetition",), "part", place="(*scope.origin, part, 0, 0)", size="len(part)")
        leaf = _LEAF.fullmatch(path)
        if leaf:
            component, sub = int(leaf["comp"]), int(leaf["sub"] or 1)
            lines = ("part = scope.repetition", f"leaves = {_LEAVES}")
            return Read(None, 0, lines, _value(component, sub), place=f"(*scope.origin, part, {component}, {sub})", size="len(part)")
        found = _PATH.fullmatch(path)
        if not found:
            raise ValueError(f"{path!r} is no HL7 path; write it like PID-5[1].1.1, PID-11[home].3 or .4")
        name, number = found["seg"], int(found["field"])
        part, names, alone = _part(found["rep"])
        if takes == "raw":
            whole = found["rep"] == "*"
            value = f"(part if part == NULL else pick(part, component, {int(found['comp'])}))" if found["comp"] else "part"
            once = ("part = raw" if whole else f"part = raw if raw == NULL else {part}",)
            return Read(name, number, once, value, names, f"({name}, {number}, part, {int(found['comp'] or 0)}, 0)")
        setup: tuple[str, ...] = (f"part = {part}", f"leaves = NULLS if raw == NULL else {_LEAVES}")
        if alone:  # most fields are one leaf without anything to take apart
            setup = ("if plain and raw.isalnum():", "    part, leaves = raw, (raw,)", "else:", *(f"    {line}" for line in setup))
        component, sub = int(found["comp"] or 1), int(found["sub"] or 1)
        return Read(name, number, setup, _value(component, sub), names, f"({name}, {number}, part, {component}, {sub})")

    def walker(self, path: str) -> Walk:
        """Compile an ``each`` path."""
        if path in STRUCTURES:
            return Walk(STRUCTURES[path], SEGMENTS_OF[path], _grouping)
        found = _EACH.fullmatch(path)
        if not found:
            raise ValueError(f"{path!r} cannot be walked; write NK1[*], PID-3[*] or one of {', '.join(STRUCTURES)}")
        name = found["seg"]
        if found["field"] is None:
            return Walk(_each_segment(name), (name,))
        field = int(found["field"])
        return Walk(_each_repetition(name, field), (name,), lambda scope: len(first.field(field)) if (first := scope.first(name)) else 0)

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


def _part(text: str | None) -> tuple[str, Mapping[str, object], bool]:
    """Return the expression for the repetition a path means, the selector it names, and whether one that is alone is always meant."""
    if text is None or text in ("1", "*"):
        return "raw.split(repetition, 1)[0] if repetition in raw else raw", {}, True
    if text.isdigit():
        return f"pick(raw, repetition, {int(text)})", {}, False
    if text not in SELECTORS:
        raise ValueError(f"there is no selector [{text}]; known are {', '.join(sorted(SELECTORS))}")
    selector, name = SELECTORS[text], f"select_{text}"
    always = getattr(selector, "always", False)
    alone = "raw" if always else f"{name}((raw,), scope)"  # of one repetition there may be nothing to choose
    return f"{name}(raw.split(repetition), scope) if repetition in raw else {alone}", {name: selector}, always


def _value(component: int, sub: int) -> str:
    if sub > 1:
        return f"(NULL if leaves is NULLS else scope.leaf(part, {component}, {sub}))"
    return f"leaves[{component - 1}] if len(leaves) > {component - 1} else None" if component > 1 else "leaves[0]"


def _grouping(scope: Scope) -> int:
    """Every group is a view of its own of all names in sight, and there are as many as segments at most."""
    return len(scope.members) * len(scope.segments)


def _each_segment(name: str) -> Callable[[Scope], Iterable[Scope]]:
    def walk(scope: Scope) -> Iterable[Scope]:
        for number, segment in enumerate(scope.segments.get(name, ())):
            yield scope.within({name: [segment]}, number)

    return walk


def _each_repetition(name: str, field: int) -> Callable[[Scope], Iterable[Scope]]:
    def walk(scope: Scope) -> Iterable[Scope]:
        segment = scope.first(name)
        raw = segment.field(field) if segment else ""
        if segment is None or not raw or raw == NULL:
            return
        parts = tuple(raw.split(scope.context.message.seps.repetition))
        for number, part in enumerate(parts):
            if part and part != NULL:
                yield scope.at(part, parts, number, (segment.fields, field))

    return walk

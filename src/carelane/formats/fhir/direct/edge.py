"""JSON paths for the map compiler: from an object of a document (``Product.LotNumber``, ``.`` for all of it) to a FHIR resource, and back."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

from carelane.formats.fhir.assembly import Assembly
from carelane.formats.fhir.direct.functions import FUNCTIONS
from carelane.mapping.document import WHOLE, compile_get, compile_put
from carelane.mapping.edge import Function, Read, Walk

_NOTHING: tuple[Any, ...] = (None, "", [], {})


@dataclass(slots=True)
class Around:
    """What functions need beside a value: the bundle being put together, or the resources of one being read."""

    assembly: Assembly = field(default_factory=lambda: Assembly("", ""))
    resolve: Callable[[Any], dict[str, Any] | None] = lambda _link: None


@dataclass(slots=True)
class Node:
    """An object of a document while it is read."""

    value: dict[str, Any]
    around: Around


class Made(dict[str, Any]):
    """An object of a document while it is written."""

    around: Around


def made(around: Around) -> Made:
    """Return an empty object."""
    found = Made()
    found.around = around
    return found


class JsonEdge:
    """How the compiler reads documents into FHIR and writes them back. Functions get a value as a tuple of one: false and zero are values too."""

    null = "\0"
    functions: Mapping[str, Function] = FUNCTIONS
    prologue: tuple[str, ...] = ()
    names: Mapping[str, object] = {}

    def hits(self, touches: Sequence[tuple[str, int]], scope: Node, segments: Callable[[Node], Sequence[Any]] | None = None) -> Sequence[tuple[Any, ...]]:
        """Nothing is traced: what does not come back is found by going back."""
        return ()

    def sight(self, scope: Node, function: Function | None = None) -> int:
        """The members of the object; a function reads the value it is given."""
        return len(scope.value)

    def slots(self, group: str) -> str:
        """There are no groups."""
        return "()"

    def reader(self, path: str, takes: Literal["text", "raw"]) -> Read:
        """Compile a path; see ``mapping.edge.Edge``."""
        name = f"{takes}_" + re.sub(r"\W", "_", path)
        return Read(None, 0, (), f"{name}(scope.value)", {name: _getter(path, takes)}, place="(None, 0, '', 0, 0)")

    def walker(self, path: str) -> Walk:
        """Compile an ``each`` path: the objects of a list."""
        get = compile_get(path)

        def walk(scope: Node) -> Iterable[Node]:
            found = get(scope.value)
            return [Node(one, scope.around) for one in found if isinstance(one, dict)] if isinstance(found, list) else ()

        return Walk(walk)

    def writer(self, path: str, function: Function | None) -> Callable[[Made, Any], None]:
        """Compile a path for writing."""
        return compile_put(WHOLE if path == "." else path)

    def brancher(self, path: str) -> Callable[[Made, int], Made]:
        """Compile an ``each`` path for writing: one more object of a list."""
        append = compile_put(f"{path}[]")

        def branch(builder: Made, _number: int) -> Made:
            child = made(builder.around)
            append(builder, [child])
            return child

        return branch


@cache
def _getter(path: str, takes: str) -> Callable[[dict[str, Any]], Any]:
    get = compile_get(WHOLE if path == "." else path)

    def held(value: dict[str, Any]) -> tuple[Any] | None:
        found = get(value)
        return None if found in _NOTHING else (found,)

    def text(value: dict[str, Any]) -> str | None:
        found = get(value)
        return found if isinstance(found, str) and found.strip() == found else None

    return held if takes == "raw" else text

"""What a format gives the map compiler: how its paths are read, walked and written, and its named functions."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol


@dataclass(frozen=True, slots=True)
class Odd:
    """A value with something to report: a function returns it instead of the bare value. ``value`` None drops it."""

    value: Any
    code: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Read:
    """A compiled source path.

    ``group`` and ``slot`` let the runner skip a row without calling it when its segment or field is absent;
    ``extract`` gets the slot's raw text and the scope. Without a group, ``extract`` gets None and the scope.
    """

    group: str | None
    slot: int
    extract: Callable[[Any, Any], Any]
    touches: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Function:
    """A named pure function of a format: ``read`` into the document, ``write`` back (None when there is no way back).

    ``takes`` says what ``read`` gets: one leaf's ``text``, the ``raw`` field or repetition, or nothing but the
    ``scope``. It is called as ``read(value, scope)``.
    """

    takes: Literal["text", "raw", "scope"]
    read: Callable[[Any, Any], Any]
    write: Callable[[Any, Any], Any] | None = None
    touches: tuple[tuple[str, int], ...] = ()


class Edge(Protocol):
    """One format's side of the compiler. Every method may raise ``ValueError`` with a reason; the compiler adds file and row."""

    null: str
    functions: Mapping[str, Function]

    def reader(self, path: str, takes: Literal["text", "raw"]) -> Read:
        """Compile a path to one leaf (``text``) or to an undivided field or repetition (``raw``)."""
        ...

    def walker(self, path: str) -> tuple[Callable[[Any], Iterable[Any]], tuple[tuple[str, int], ...]]:
        """Compile an ``each`` path: from a scope to the scopes of its repetitions, segments or groups."""
        ...

    def writer(self, path: str, function: Function | None) -> Callable[[Any, Any], None]:
        """Compile a path for writing: called with a builder and a value."""
        ...

    def brancher(self, path: str) -> Callable[[Any, int], Any]:
        """Compile an ``each`` path for writing: from a builder and a count to the builder of that repetition."""
        ...

"""What a format gives the map compiler: how its paths are read, walked and written, and its named functions."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol


@dataclass(frozen=True, slots=True)
class Odd:
    """A value with something to report: a function returns it instead of the bare value. ``value`` None drops it."""

    value: Any
    code: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Read:
    """A compiled source path, as Python the generated map is made of.

    ``group`` and ``slot`` let a row be skipped when its segment or field is absent; ``setup`` are lines that
    prepare what rows of the same slot share, from ``raw`` (the slot's text) and ``scope``; ``value`` is the
    expression for the value, empty or None when there is none. ``names`` are the objects both mention.
    Without a group there is no ``raw``. ``place`` is the expression that says where the value came from, the first
    members of a ``Hit``. ``size`` is the expression for how many characters the setup takes apart, beside ``raw``.
    """

    group: str | None
    slot: int
    setup: tuple[str, ...]
    value: str
    names: Mapping[str, object] = field(default_factory=dict)
    place: str = ""
    size: str = ""


@dataclass(frozen=True, slots=True)
class Walk:
    """A compiled ``each`` path. ``needs`` names the groups of which one must be there for it to find anything.

    ``steps`` says what making the scopes takes, where that is more than the scopes are (see ``runtime.Meter``).
    """

    scopes: Callable[[Any], Iterable[Any]]
    needs: tuple[str, ...] = ()
    steps: Callable[[Any], int] | None = None


@dataclass(frozen=True, slots=True)
class Function:
    """A named pure function of a format: ``read`` into the document, ``write`` back (None when there is no way back).

    ``takes`` says what ``read`` gets: one leaf's ``text``, the ``raw`` field or repetition, or nothing but the
    ``scope``. It is called as ``read(value, scope)``. ``parts`` are the components whose meaning is in the result though
    their text is not (codes that were translated, dates); None says all of them.
    """

    takes: Literal["text", "raw", "scope"]
    read: Callable[[Any, Any], Any]
    write: Callable[[Any, Any], Any] | None = None
    touches: tuple[tuple[str, int], ...] = ()
    parts: frozenset[int] | None = frozenset()
    reads: frozenset[int] = frozenset()
    """The components whose text a function that takes ``raw`` always delivers, where that is not all."""
    put: Callable[[dict[str, Any], Any, Any], None] | None = None
    """The way back where one path is not enough: called with the object the value stands in, the value and the builder."""
    at: int = 1
    """The component that ``put`` writes of each repetition."""
    segments: Callable[[Any], Sequence[Any]] | None = None
    """Where the touched fields were read, when that is not in every segment of their name in sight."""


class Edge(Protocol):
    """One format's side of the compiler. Every method may raise ``ValueError`` with a reason; the compiler adds file and row."""

    null: str
    functions: Mapping[str, Function]
    prologue: tuple[str, ...]
    """Lines at the start of every generated function, over ``scope``."""
    names: Mapping[str, object]
    """The objects that ``prologue``, ``slots`` and the setup of reads mention."""

    def hits(self, touches: Sequence[tuple[str, int]], scope: Any, segments: Callable[[Any], Sequence[Any]] | None = None) -> Sequence[tuple[Any, ...]]:
        """Return where the touches of a function that takes the scope are in that scope: the first members of a ``Hit`` for each."""
        ...

    def sight(self, scope: Any, function: Function | None = None) -> int:
        """Return how much is in sight of a scope, and with a function how many characters it reads there: steps of a ``Meter``."""
        ...

    def slots(self, group: str) -> str:
        """Return the expression for a group's list of slots, empty when the group is absent."""
        ...

    def reader(self, path: str, takes: Literal["text", "raw"]) -> Read:
        """Compile a path to one leaf (``text``) or to an undivided field or repetition (``raw``)."""
        ...

    def walker(self, path: str) -> Walk:
        """Compile an ``each`` path: from a scope to the scopes of its repetitions, segments or groups."""
        ...

    def writer(self, path: str, function: Function | None) -> Callable[[Any, Any], None]:
        """Compile a path for writing: called with a builder and a value."""
        ...

    def brancher(self, path: str) -> Callable[[Any, int], Any]:
        """Compile an ``each`` path for writing: from a builder and a count to the builder of that repetition."""
        ...

"""What compiled maps call while they run: the collector of one conversion, and what happens to a value that is odd, unmapped or failing."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from carelane.domain.errors import Exhausted, Unmappable
from carelane.domain.message import Issue
from carelane.mapping.edge import Odd
from carelane.mapping.pack import Row, Table

Hit = tuple[Any, int, str, int, int, Any, Row]
"""Where a delivered value came from: the fields of a segment, the field's number, the text of the repetition, component and
sub-component (0 and 0: a function read the whole), what was delivered, and the row that did it."""


_ISSUE = 32
_ROOM, _ROOM_OF_A_CHARACTER, _ROOM_OF_A_PART = 100_000, 12, 400


@dataclass(slots=True)
class Meter:
    """How much work an overlay may still ask of one message: so many steps for its size, counted and never timed.

    A row is two steps and more for what it writes, a character that is read or written is one, a segment in sight is one.
    """

    overlay: str
    room: int

    def spend(self, steps: int) -> None:
        """Take steps off; raises ``Exhausted`` when there are none left."""
        self.room -= steps
        if self.room < 0:
            raise Exhausted(
                f"the overlay {self.overlay} asks for more work than a message of this size may take: an each under an each that "
                "is not part of it, or a long field read for every repetition; simplify the overlay, then release the lane"
            )


def meter_of(overlay: str, characters: int, parts: int = 0) -> Meter:
    """Return the meter for one message or document of so many characters, in so many parts (segments).

    The hub's own maps take less than half of the room, so that no message is held because it is large or because its parts are short.
    """
    return Meter(overlay, _ROOM + _ROOM_OF_A_CHARACTER * characters + _ROOM_OF_A_PART * parts)


@dataclass(slots=True)
class Run:
    """What one conversion collects beside its document. ``hits`` are what its rows delivered."""

    issues: list[Issue] = field(default_factory=list)
    nulls: list[str] = field(default_factory=list)
    hits: list[Hit] = field(default_factory=list)
    touched: set[int] = field(default_factory=set)
    """Identities of fields of which a code was read that is not told again as it was."""
    members: Sequence[Any] = ()
    """The segments or parts of the source the conversion looked at."""
    meter: Meter | None = None
    """Only for maps with an overlay: how much work it may still ask for."""

    def note(self, issue: Issue) -> None:
        """Report an issue."""
        self.issues.append(issue)
        if self.meter is not None:
            self.meter.spend(_ISSUE)


def failed(rows: Sequence[Row], error: Exception, run: Run) -> None:
    """Report rows that raised: which ones and what kind of error, never the value.

    Raises:
        Unmappable: one of the rows is required, or the meter ran out.
    """
    if isinstance(error, Exhausted):
        raise error
    for row in rows:
        if row.required:
            raise Unmappable(f"row {row.id} failed: {type(error).__name__}") from None
        run.note(Issue("error", "row-error", row.id, ",".join(row.source), row.target, type(error).__name__))


def report(odd: Odd, row: Row, run: Run) -> Any:
    """Report what a function found odd; return the value it kept."""
    run.note(Issue("warning", odd.code, row.id, ",".join(row.source), row.target, odd.text))
    return odd.value


def translate(value: Any, table: Table, row: Row, run: Run) -> Any:
    """Look a code up; one the table does not know follows the row's ``unmapped`` policy and is reported."""
    found = table.forward.get(value)
    if found is not None:
        return found
    miss = row.unmapped or ("null" if table.closed else "value")
    run.note(Issue("error" if miss == "error" else "warning", "unmapped-code", row.id, ",".join(row.source), row.target, f"table {row.map}"))
    if miss == "value":
        return value
    return miss.removeprefix("default:") if miss.startswith("default:") else None


def dropped(row: Row, run: Run) -> None:
    """Report that only the first of several repetitions had room."""
    run.note(Issue("warning", "multiple-values-dropped", row.id, row.each or "", row.target))


def inside(document: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Return the object at a path, making what is missing on the way."""
    for name in names:
        inner = document.get(name)
        if inner is None:
            inner = document[name] = {}
        document = inner
    return document

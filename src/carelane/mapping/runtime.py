"""What compiled maps call while they run: the collector of one conversion, and what happens to a value that is odd, unmapped or failing."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from carelane.domain.errors import Unmappable
from carelane.domain.message import Issue
from carelane.mapping.edge import Odd
from carelane.mapping.pack import Row, Table

Hit = tuple[Any, int, str, int, int, Any, Row]
"""Where a delivered value came from: the fields of a segment, the field's number, the text of the repetition, component and
sub-component (0 and 0: a function read the whole), what was delivered, and the row that did it."""


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


def failed(rows: Sequence[Row], error: Exception, run: Run) -> None:
    """Report rows that raised: which ones and what kind of error, never the value.

    Raises:
        Unmappable: one of the rows is required.
    """
    for row in rows:
        if row.required:
            raise Unmappable(f"row {row.id} failed: {type(error).__name__}") from None
        run.issues.append(Issue("error", "row-error", row.id, ",".join(row.source), row.target, type(error).__name__))


def report(odd: Odd, row: Row, run: Run) -> Any:
    """Report what a function found odd; return the value it kept."""
    run.issues.append(Issue("warning", odd.code, row.id, ",".join(row.source), row.target, odd.text))
    return odd.value


def translate(value: Any, table: Table, row: Row, run: Run) -> Any:
    """Look a code up; one the table does not know follows the row's ``unmapped`` policy and is reported."""
    found = table.forward.get(value)
    if found is not None:
        return found
    miss = row.unmapped or ("null" if table.closed else "value")
    run.issues.append(Issue("error" if miss == "error" else "warning", "unmapped-code", row.id, ",".join(row.source), row.target, f"table {row.map}"))
    if miss == "value":
        return value
    return miss.removeprefix("default:") if miss.startswith("default:") else None


def dropped(row: Row, run: Run) -> None:
    """Report that only the first of several repetitions had room."""
    run.issues.append(Issue("warning", "multiple-values-dropped", row.id, row.each or "", row.target))


def inside(document: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Return the object at a path, making what is missing on the way."""
    for name in names:
        inner = document.get(name)
        if inner is None:
            inner = document[name] = {}
        document = inner
    return document

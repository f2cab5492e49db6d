"""A row with everything it names looked up, and how the rows of an overlay are cut into parts that are compiled, shared and metered."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from carelane.mapping.edge import Edge, Function, Read, Walk
from carelane.mapping.expression import Predicate
from carelane.mapping.pack import Pack, Row, Table
from carelane.mapping.runtime import Run

_MOST_IN_A_PART = 8

Thing = TypeVar("Thing")

Program = Callable[[Any, dict[str, Any], Run], None]
"""(scope, document, run): fills the document from the scope."""

Step = Callable[[dict[str, Any], Any], None]
"""(document, builder): writes what one row read."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A row with everything it names looked up."""

    row: Row
    function: Function | None = None
    table: Table | None = None
    reads: tuple[Read, ...] = ()
    walk: Walk | None = None
    when: Predicate | None = None
    owner: Callable[[Any], str | None] | None = None
    """Of a scope, the path of the row's owner that has a value; None where none has."""

    @property
    def slot(self) -> Read | None:
        """The only place it reads from, when that is a slot of a group: such rows share the work on the slot."""
        return self.reads[0] if len(self.reads) == 1 and self.reads[0].group is not None else None


@dataclass
class Known:
    """What the maps that overlays make of one pack have in common: everything that was made of the pack's own rows.

    Only rows that live as long as the pack are known, by identity. It is filled once, while the pack itself is compiled (``learning``),
    and then only read: however many overlays are made, what they share does not grow.
    """

    rows: frozenset[int]
    learning: bool = True
    plans: dict[int, Plan] = field(default_factory=dict)
    parts: dict[tuple[int, ...], Program] = field(default_factory=dict)
    starts: set[int] = field(default_factory=set)
    """The rows with which the pack's own parts begin."""
    steps: dict[int, Step | None] = field(default_factory=dict)

    def part(self, plans: Sequence[Plan], make: Callable[[Sequence[Plan]], Program]) -> Program:
        """Return the program of a part: the pack's own, where it is one of the pack's parts as it is."""
        key = tuple(id(plan.row) for plan in plans)
        found = self.parts.get(key) or make(plans)
        if self.learning:
            self.parts[key] = found
            self.starts.add(key[0])
        return found


def find_function(edge: Edge, row: Row) -> Function | None:
    """Return the function a row names.

    Raises:
        ValueError: the format has none of this name.
    """
    return _named("function", row.via, edge.functions)


def find_table(pack: Pack, row: Row) -> Table | None:
    """Return the table a row names.

    Raises:
        ValueError: the pack has none of this name.
    """
    return _named("table", row.map, pack.tables)


def _named(what: str, name: str | None, known: Mapping[str, Thing]) -> Thing | None:
    if name is None:
        return None
    found = known.get(name)
    if found is None:
        raise ValueError(f"there is no {what} {name}; known are {', '.join(sorted(known))}")
    return found


def weight(rows: Iterable[Row]) -> int:
    """Return how many steps it takes to run rows once, whatever they find: two each, and what they write by themselves."""
    return sum(2 + len(row.target) // 8 + (len(repr(row.value)) if row.value is not None else 0) + len(row.unmapped) + len(row.when or "") // 8 for row in rows)


def metered(steps: int, sight: Callable[[Any], int], parts: Sequence[Program]) -> Program:
    """Return the program that runs parts in turn, once there is room for so many steps and for what is in sight."""

    def run(scope: Any, document: dict[str, Any], run: Run) -> None:
        if run.meter is not None:
            run.meter.spend(steps + sight(scope))
        for part in parts:
            part(scope, document, run)

    return run


def parts_of(plans: Sequence[Plan], known: Known) -> Iterator[Sequence[Plan]]:
    """Cut plans into parts, in the order one function would run them: slots by group, then the others."""
    groups = dict.fromkeys(plan.slot.group for plan in plans if plan.slot is not None)
    ordered = [[plan for plan in plans if plan.slot is not None and plan.slot.group == group] for group in groups]
    for same in [*ordered, [plan for plan in plans if plan.slot is None]]:
        part: list[Plan] = []
        for plan in same:
            if part and (len(part) == _MOST_IN_A_PART or _parted(part[-1], plan, known)):
                yield part
                part = []
            part.append(plan)
        if part:
            yield part


def _parted(one: Plan, other: Plan, known: Known) -> bool:
    """A level under an ``each`` is a part by itself; the pack's parts begin where they always do, and hold no row of an overlay."""
    ours, theirs = id(one.row) in known.rows, id(other.row) in known.rows
    return one.walk is not None or other.walk is not None or ours != theirs or id(other.row) in known.starts

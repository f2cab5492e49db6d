"""What no row delivered, leaf by leaf: named in ``unmapped``, carried in ``Meta.Extensions`` and put back on the way to HL7 v2.

``Extensions["v2.PV1"]`` lists the PV1 segments in order, each with the fields left over: a text, the components of a field as an object,
several repetitions as a list, in which ``"0"`` marks those that rows read; null stands for the ORC of an order that came without. A segment
that no row used at all says in its ``"0"`` which segment it followed, as name and number; one whose text was joined to that of the segment
before it says ``joined``. An empty text marks a place that rows write though the sender left it empty.
"""

from collections.abc import Container, Mapping, Sequence
from typing import Any

from carelane.domain.message import Issue
from carelane.formats.hl7v2.collector import AFTER, Collector, shown
from carelane.formats.hl7v2.joined import JOINED, pieces
from carelane.formats.hl7v2.message import NULL, Segment
from carelane.formats.hl7v2.packs import Map
from carelane.formats.hl7v2.scope import Scope
from carelane.mapping.document import LEFTOVER as PREFIX
from carelane.mapping.runtime import Run

_MOST_CHARACTERS = 256 * 1024
_Z_LIMIT_CHARACTERS, _Z_LIMIT_FIELDS = 64 * 1024, 200
_NONE: frozenset[int] = frozenset()
_NAME_ONLY: Mapping[int, frozenset[int] | None] = {0: None}
Covered = Mapping[str, Mapping[int, frozenset[int] | None]]


def collect(
    scope: Scope, run: Run, handled: Mapping[str, frozenset[int]], found_by: Map, orders: Sequence[Sequence[Segment]] = (), *, always: bool = False
) -> tuple[dict[str, list[Any]], list[str]]:
    """Return what does not come back from the document of a patient group, under ``v2.<segment>``, and the paths no row delivered.

    ``handled`` are fields that code reads instead of rows; ``orders`` the groups that are written behind the ORC they came with, or ``always`` behind one.
    """
    found: dict[str, list[Any]] = {}
    counts: dict[str, int] = {}
    work = Collector(scope, run, found_by)
    work.numbers(orders)
    led, bare = work.heads(orders)
    joined = _Joined(pieces(scope, found_by.value))
    before = latest = "MSH 1"
    size = 0
    for segment in scope.members:
        name = segment.name
        if id(segment) in bare:  # where no ORC will be written, null stands for it
            counts["ORC"] = counts.get("ORC", 0) + always
            found.setdefault(PREFIX + "ORC", []).append({} if always else None)
        counts[name] = counts.get(name, 0) + 1
        entry, used = work.entry(segment, handled.get(name, _NONE))
        if joined.has(segment, used=used):
            entry = work.piece(segment, entry, joined=not joined.leads(segment))
        elif not used and id(segment) not in led:
            entry[AFTER] = latest if name == "NTE" else before
        latest = f"{name} {counts[name]}"
        if name != "NTE":  # notes may be written elsewhere: behind their owner
            before = latest
        size += len(segment.text) if entry else 0
        if _too_large(segment, size):
            run.issues.append(Issue("warning", "truncated", source=name, text="too large for Extensions; it stays in the message as received"))
            work.unmapped[name] = None
            entry = {AFTER: JOINED} if entry.get(AFTER) == JOINED else {}
        found.setdefault(PREFIX + name, []).append(entry)
    return _without_ends(found), list(work.unmapped)


def _without_ends(found: dict[str, list[Any]]) -> dict[str, list[Any]]:
    for entries in found.values():
        while entries and not entries[-1]:
            entries.pop()
    return {name: entries for name, entries in found.items() if entries}


class _Joined:
    """The segments that tell one value together, where a row reads the first of them."""

    def __init__(self, groups: Sequence[Sequence[Segment]]) -> None:
        self._lead = {id(segment): id(group[0]) for group in groups for segment in group}
        self._read: set[int] = set()

    def leads(self, segment: Segment) -> bool:
        return self._lead.get(id(segment)) == id(segment)

    def has(self, segment: Segment, *, used: bool) -> bool:
        if used and self.leads(segment):
            self._read.add(id(segment))
        return self._lead.get(id(segment)) in self._read


def open_fields(covered: Covered, handled: Mapping[str, frozenset[int]]) -> Covered:
    """Return what rows and code read together: None for a field of which nothing can be left, the segment's name among them."""
    names = covered.keys() | handled.keys()
    return {name: {**covered.get(name, {}), **dict.fromkeys(handled.get(name, _NONE)), 0: None} for name in names}


def listed(scope: Scope, run: Run, known: Covered, every: Container[tuple[str, int]]) -> tuple[dict[str, list[Any]], list[str]]:
    """Return only the Z-segments, and the paths nothing reads: what a destination needs that gets no leftovers. Much quicker.

    ``known`` are the ``open_fields``, ``every`` those of which every repetition is read.
    """
    unmapped: dict[str, None] = {}
    seps = scope.context.message.seps
    component, repetition = seps.component, seps.repetition
    for segment in scope.members:
        name = segment.name
        parts_of = known.get(name, _NAME_ONLY)
        for number, raw in enumerate(segment.fields if name[0] != "Z" else ()):
            if not raw or (read := parts_of.get(number, _NONE)) is None:
                continue
            if not read and raw != NULL:
                unmapped[f"{name}-{number}"] = None
                continue
            if repetition in raw:
                raw, _, _ = raw.partition(repetition)  # noqa: PLW2901
                if (name, number) not in every:
                    unmapped[f"{name}-{number}[2]"] = None
            if component in raw:
                for at, text in enumerate(raw.split(component), 1):
                    if text and at not in read:
                        unmapped[f"{name}-{number}.{at}"] = None
    return _z_segments(scope, run), list(unmapped)


def _z_segments(scope: Scope, run: Run) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    if not any(name[0] == "Z" for name in scope.segments):
        return found
    before, counts = "MSH 1", dict.fromkeys(scope.segments, 0)
    for segment in scope.members:
        name = segment.name
        counts[name] = counts.get(name, 0) + 1
        if name[0] == "Z":
            _z_segment(segment, scope, before, found, run)
        if name != "NTE":
            before = f"{name} {counts[name]}"
    return found


def _z_segment(segment: Segment, scope: Scope, before: str, found: dict[str, list[Any]], run: Run) -> None:
    if _too_large(segment, 0):
        run.issues.append(Issue("warning", "truncated", source=segment.name, text="too large for Extensions; it stays in the message as received"))
        return
    entry = {str(number): shown(raw, scope) for number, raw in enumerate(segment.fields) if number and raw}
    found.setdefault(PREFIX + segment.name, []).append({**entry, AFTER: before})


def _too_large(segment: Segment, size: int) -> bool:
    if segment.name[0] == "Z" and (len(segment.text) > _Z_LIMIT_CHARACTERS or len(segment.fields) > _Z_LIMIT_FIELDS):
        return True
    return size > _MOST_CHARACTERS

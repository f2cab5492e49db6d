"""Which pack maps which event, compiled once a process; overlays make packs of their own (``overlays``)."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from carelane.formats.hl7v2.edge import Hl7v2Edge
from carelane.formats.hl7v2.groups import SEGMENTS_OF
from carelane.formats.hl7v2.shape import misfits
from carelane.mapping.compile import Compiled, Compiler
from carelane.mapping.edge import Function
from carelane.mapping.pack import Pack, Row, Table, load_pack, load_tables

MAPS = Path(__file__).parent / "maps"
PACKS: Mapping[str, str] = {
    "Device": "device",
    "Financial.AccountUpdate": "account",
    "Financial.Transaction": "charges",
    "Flowsheet": "flowsheet",
    "Inventory.Update": "inventory",
    "Media": "media",
    "Medications": "medications",
    "Medications.Administration": "administration",
    "Notes": "notes",
    "Order": "order",
    "Order.GroupedOrders": "orders",
    "Order.Query": "recordquery",
    "Order.QueryResponse": "orders",
    "PatientAdmin": "patientadmin",
    "PatientAdmin.VisitQuery": "visitquery",
    "PatientSearch.Query": "patientquery",
    "PatientSearch.Response": "patientanswer",
    "Provider": "provider",
    "Referral": "referral",
    "Referral.AuthResponse": "authorization",
    "Referral.AuthReview": "authorization",
    "Results": "results",
    "Results.Query": "recordquery",
    "Scheduling": "scheduling",
    "Scheduling.Booked": "bookedquery",
    "Scheduling.BookedResponse": "booked",
    "Scheduling.PushSlots": "slots",
    "SurgicalScheduling": "surgery",
    "Vaccination": "vaccination",
    "Vaccination.PatientQuery": "patientquery",
    "Vaccination.PatientQueryResponse": "vaccinations",
}
"""Pack by event type, else by model."""

ABOUT_A_PATIENT = frozenset({"ADT", "BAR", "DFT", "MDM", "VXU", "REF", "RPA", "RQA"})
"""Messages whose structure requires a PID."""
ASKED = frozenset({"ORM", "OMP"})
"""Messages that ask for a drug in RXO; rows speak of it as the pharmacy encodes it, in RXE."""
LED = ("Order", "Medications", "Vaccination")
"""Models whose every order is written behind an ORC, whether one came or not."""
ORDERED = ("Results", *LED)
"""Models with orders; those of results have an ORC where there is something to say in it."""
ALL = tuple(dict.fromkeys(PACKS.values()))
_VALUES = ("observation_value", "document_text", "document_file")
"""Functions that make one value of several OBX, or of the repetitions of one."""


@dataclass(frozen=True, slots=True)
class Way:
    """What one row does to a value, and whether the way back gives the same leaf again."""

    back: bool
    function: Function | None = None
    table: Table | None = None
    first: tuple[str, int, int] | None = None
    """Segment, field and component that are written on the way back: those of the first source."""
    asked: tuple[str, int, int] | None = None
    """Where the same is written in an order of a drug as it is asked for."""
    default: str | None = None
    plain: bool = False
    """The leaf is written back as it was read: no function stands between."""


@dataclass(frozen=True, slots=True)
class Map:
    """A compiled pack with what carrying leftovers asks of it: the ways of its rows by id, and by the field and component they write."""

    compiled: Compiled
    ways: Mapping[str, Way]
    written: Mapping[tuple[str, int], Mapping[int, Way]]
    covered: Mapping[str, Mapping[int, frozenset[int] | None]]
    """By segment and field: the components rows deliver; None says all of them."""
    every: frozenset[tuple[str, int]]
    """The fields of which every repetition is read."""
    orders: str | None = None
    """The walk over groups that are written as orders."""
    value: str | None = None
    """The function that reads a value off OBX-5."""
    firsts: Mapping[str, tuple[str, int, int]] = field(default_factory=dict)
    """By row id: where a row writes that reads another place when that one is empty."""


def pack_name(model: str, event: str) -> str | None:
    """Return the pack of an event type; None when there is no HL7 v2 for it."""
    return PACKS.get(f"{model}.{event}") or PACKS.get(model)


def map_of(model: str, event: str) -> Map | None:
    """Return the compiled map of an event type."""
    name = pack_name(model, event)
    return None if name is None else compiled_map(name)


@cache
def compiled_map(name: str) -> Map:
    """Compile a pack."""
    return make_map(Compiler(pack_of(name), Hl7v2Edge()).compile())


def make_map(found: Compiled) -> Map:
    """Work out what a compiled pack carries, and where."""
    pack = found.pack
    ways = {row.id: _way(row, pack) for row in every_row(pack.rows)}
    written: dict[tuple[str, int], dict[int, Way]] = {}
    for way in ways.values():
        if way.back and (way.function is not None or way.table is not None):
            for segment, number, component in filter(None, (way.first, way.asked)):
                written.setdefault((segment, number), {}).setdefault(component, way)
    every = {(one["seg"], int(one["field"])) for row in every_row(pack.rows) for path in (row.each or "", *row.source) if (one := _EACH_FIELD.fullmatch(path))}
    orders = next((row.each for row in pack.rows if row.each in SEGMENTS_OF and SEGMENTS_OF[row.each][0] == "ORC"), None)
    value = next((row.via for row in every_row(pack.rows) if row.via in _VALUES), None)
    firsts = {row.id: way.first for row in every_row(pack.rows) if len(row.source) > 1 and (way := ways[row.id]).back and way.first is not None}
    return Map(found, ways, written, _covered(pack), frozenset(every), orders, value, firsts)


class _Coverage:
    """Collects what the rows of a pack read."""

    def __init__(self) -> None:
        self.found: dict[str, dict[int, set[int] | None]] = {}

    def add(self, name: str, number: int, components: Iterable[int] | None) -> None:
        fields = self.found.setdefault(name, {})
        if components is None:
            fields[number] = None
        elif (known := fields.setdefault(number, set())) is not None:
            known.update(components)

    def walk(self, rows: tuple[Row, ...], each: tuple[str, int] | None) -> None:
        for row in rows:
            inner = _EACH_FIELD.fullmatch(row.each) if row.each else None
            self.walk(row.rows, (inner["seg"], int(inner["field"])) if inner else each if row.each is None else None)
            function = Hl7v2Edge.functions[row.via] if row.via else None
            for name, number in function.touches if function is not None else ():
                if number:
                    self.add(name, number, None)
                elif each:
                    self.add(*each, (1, 2, 4, 5))
            for path in row.source:
                self._source(path, function, each)

    def _source(self, path: str, function: Function | None, each: tuple[str, int] | None) -> None:
        place = _place(path)
        if place is not None:
            whole = function is not None and function.takes == "raw"
            self.add(place[0], place[1], (function.reads or None) if function is not None and whole else (place[2],))
        elif path.startswith(".") and each:
            self.add(*each, (int(path[1:].split(".", maxsplit=1)[0] or 0),))


def _covered(pack: Pack) -> Mapping[str, Mapping[int, frozenset[int] | None]]:
    coverage = _Coverage()
    coverage.walk(pack.rows, None)
    return {name: {number: frozenset(one) if one is not None else None for number, one in fields.items()} for name, fields in coverage.found.items()}


_EACH_FIELD = re.compile(r"(?P<seg>[A-Z][A-Z0-9]{2})-(?P<field>\d+)\[\*\]")


def _way(row: Row, pack: Pack) -> Way:
    function = Hl7v2Edge.functions[row.via] if row.via else None
    back = row.rev and row.value is None and (function is None or function.write is not None or function.put is not None)
    first = _place(row.source[0]) if row.source else None
    asked = next((place for path in row.source if (place := _place(path)) and place[0] == "RXO"), None)
    default = row.unmapped.removeprefix("default:") if row.unmapped.startswith("default:") else None
    return Way(back, function, pack.tables[row.map] if row.map else None, first, asked, default, back and function is None)


@cache
def pack_of(name: str) -> Pack:
    """Read one pack of this format, once a process."""
    return load_pack(MAPS / f"{name}.yaml", _tables())


@cache
def _tables() -> Mapping[str, Table]:
    return load_tables(MAPS / "tables.yaml")


def every_row(rows: tuple[Row, ...]) -> Any:
    """Yield rows and the rows under them."""
    for row in rows:
        yield row
        yield from every_row(row.rows)


def _place(path: str) -> tuple[str, int, int] | None:
    found = _PLACE.match(path)
    return (found["seg"], int(found["field"]), int(found["comp"] or 1)) if found else None


_PLACE = re.compile(r"(?P<seg>[A-Z][A-Z0-9]{2})-(?P<field>\d+)(?:\[[^\]]*\])?(?:\.(?P<comp>\d+))?")


@cache
def misfits_of(name: str, model: str, event: str) -> Mapping[str, Any]:
    """Return what a pack fills that an event type's shape has no place for."""
    return misfits(pack_of(name), model, event)

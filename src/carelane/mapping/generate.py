"""Rows → Python source, one function per level: what runs for a message is straight code, without a call for a plain value.

A row that raises loses its own value and leaves an issue; it does not lose the message unless it is ``required``.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import Any, Literal

from carelane.domain.errors import PackBroken
from carelane.mapping.document import WHOLE, compile_put
from carelane.mapping.edge import Edge, Odd, Read, Walk
from carelane.mapping.expression import compile_expression
from carelane.mapping.pack import Pack, Row
from carelane.mapping.plan import Known, Plan, Program, find_function, find_table, metered, parts_of, weight
from carelane.mapping.runtime import dropped, failed, inside, report, translate
from carelane.mapping.source import PythonSource

EXTENSION_URL = "urn:carelane:extension:"
_RUNTIME = {"NOTHING": (None, "", []), "dropped": dropped, "failed": failed, "inside": inside, "report": report, "translate": translate, "Odd": Odd}


class Level:
    """Writes the function of one sequence of rows; nested rows get levels of their own.

    With ``trace`` it also notes where every delivered value came from, in ``run.hits``. With ``known`` the rows are those of an
    overlay: they are metered (see ``runtime.Meter``) and compiled in small parts, of which those that the overlay leaves alone are shared.
    """

    def __init__(self, pack: Pack, edge: Edge, *, trace: bool = False, known: Known | None = None) -> None:
        self._trace = trace
        self._pack = pack
        self._edge = edge
        self._known = known
        self._out = _source(pack.file, edge)
        self._places: dict[tuple[str, ...], str | None] = {}

    def compile(self, rows: Sequence[Row]) -> Program:
        """Compile the rows.

        Raises:
            PackBroken: a row does not compile; the reason says why.
        """
        plans = [self._planned(row) for row in rows]
        if self._known is None:
            return self._function(plans)
        parts = [self._known.part(part, self._function) for part in parts_of(plans, self._known)]
        return metered(weight(rows), self._edge.sight, parts)

    def _function(self, plans: Sequence[Plan]) -> Program:
        self._places = _places([plan.row for plan in plans])
        out = self._out = _source(self._pack.file, self._edge)
        for plan in plans:
            for read in plan.reads:
                out.bind(read.names)
        with out.block("def run(scope, document, run)"):
            _prologue(out, self._edge, [read for plan in plans for read in plan.reads])
            if self._known is not None:
                out.line("spend = run.meter.spend")
            if self._trace:
                out.line("hit = run.hits.append")
            for name in filter(None, self._places.values()):
                out.line(f"{name} = None")
            slotted = [(plan.slot, plan) for plan in plans if plan.slot is not None]
            for group in dict.fromkeys(read.group for read, _ in slotted):
                with out.block(f"if {group}_count"):
                    of_group = [(read, plan) for read, plan in slotted if read.group == group]
                    for _, same in groupby(of_group, key=lambda pair: (pair[0].slot, pair[0].setup)):
                        self._slot(list(same))
            for plan in plans:
                if plan.slot is None:
                    with self._guarded([plan]):
                        self._row(plan)
        return out.function("run")

    def _planned(self, row: Row) -> Plan:
        try:
            if self._known is None or id(row) not in self._known.rows:
                return self._plan(row)
            found = self._known.plans.get(id(row))
            if found is None:
                found = self._known.plans[id(row)] = self._plan(row)
            return found
        except ValueError as error:
            raise PackBroken(self._pack.file, row.id, str(error)) from None

    def _plan(self, row: Row) -> Plan:
        compile_put(row.target)  # refuses a malformed target
        when = compile_expression(row.when, self._resolve) if row.when is not None else None
        if row.each is not None:
            return Plan(row, walk=self._edge.walker(row.each), when=when)
        if row.value is not None:
            return Plan(row, when=when)
        function, table = find_function(self._edge, row), find_table(self._pack, row)
        if function is not None and function.takes == "scope":
            return Plan(row, function, table, when=when)
        if not row.source:
            raise ValueError("source is missing")
        reads = tuple(self._edge.reader(path, "raw" if function and function.takes == "raw" else "text") for path in row.source)
        return Plan(row, function, table, reads, when=when, owner=self._owner(row) if row.owner else None)

    def _owner(self, row: Row) -> Callable[[Any], str | None]:
        found = {path: self._resolve(path, "raw") for path in row.owner}
        return lambda seen: next((path for path, read in found.items() if read(seen)), None)

    def _resolve(self, path: str, takes: Literal["text", "raw"] = "text") -> Callable[[Any], Any]:
        """Compile a path of a condition into a function of the scope, None for an explicit null; in an overlay, of the scope and what is spent on it."""
        read = self._edge.reader(path, takes)
        out = _source(self._pack.file, self._edge)
        out.bind(read.names)
        with out.block("def value(scope)"):
            if self._known is not None:
                out.line("scope, spend = scope")
            _prologue(out, self._edge, [read])
            with out.block(_present(read)):
                _set_up(out, read, times=1 if self._known is not None else 0)
                out.line(f"found = {read.value}")
                out.line("return found if found and found != NULL else None")
        return out.function("value")

    def _slot(self, same: Sequence[tuple[Read, Plan]]) -> None:
        """Write the rows that read one slot in one way."""
        out, read = self._out, same[0][0]
        plans = [plan for _, plan in same]
        with out.block(_present(read)):
            with self._guarded(plans):
                self._set_up(read, len(plans))
            with out.block("else"):
                for plan in plans:
                    with self._guarded([plan]):
                        self._row(plan)

    @contextmanager
    def _guarded(self, plans: Sequence[Plan]) -> Iterator[None]:
        with self._out.block("try"):
            yield
        with self._out.block("except Exception as error"):
            self._out.line(f"failed({self._out.name('rows', tuple(plan.row for plan in plans))}, error, run)")

    def _row(self, plan: Plan) -> None:
        if plan.when is not None:
            with self._out.block(f"if {self._out.name('when', plan.when)}({self._seen})"):
                self._body(plan)
        else:
            self._body(plan)

    def _body(self, plan: Plan) -> None:
        out, row = self._out, plan.row
        if plan.walk is not None:
            self._each(plan, plan.walk)
        elif row.value is not None:
            self._put(row, repr(row.value))  # a literal: what one message is given is no other's
        elif plan.function is not None and plan.function.takes == "scope":
            if self._known is not None:
                out.line(f"spend(sight(scope, {out.name('function', plan.function)}))")
            out.line(f"value = {out.name('read', plan.function.read)}(None, scope)")
            self._deliver(plan, "value is not None")
        else:
            if plan.owner is None:
                self._find(plan.reads)
            else:
                self._find_owned(plan)
            self._deliver(plan, "value")

    @property
    def _seen(self) -> str:
        """What a condition is asked about."""
        return "scope" if self._known is None else "(scope, spend)"

    def _find_owned(self, plan: Plan) -> None:
        """Set ``value`` to the first valued source of the owner that has a value, of any source where none has."""
        out = self._out
        out.line(f"value, null, owner = None, None, {out.name('owner', plan.owner)}({self._seen})")
        for path, read in zip(plan.row.owner, plan.reads, strict=True):
            with out.block(f"{_present(read)} and not value and owner in (None, {path!r})"):
                self._set_up(read)
                self._take(read)
        with out.block("if null and not value"):
            out.line("value, place = NULL, null")

    def _find(self, reads: Sequence[Read]) -> None:
        """Set ``value`` to the first valued source; an explicit null counts only when nothing else is there."""
        out = self._out
        if len(reads) == 1:
            if reads[0].group is None:
                self._set_up(reads[0])
            out.line(f"value = {reads[0].value}")
            return
        out.line("value, null = None, None")
        for number, (_, same) in enumerate(groupby(reads, key=lambda read: (read.group, read.slot, read.setup))):
            first, *others = same
            with out.block(_present(first) + (" and not value" if number else "")):
                self._set_up(first, len(others) + 1)
                self._take(first)
                for read in others:
                    with out.block("if not value"):
                        self._take(read)
        with out.block("if null and not value"):
            out.line("value, place = NULL, null")

    def _take(self, read: Read) -> None:
        """Set ``value`` from what was set up, and remember an explicit null."""
        out = self._out
        out.line(f"value = {read.value}")
        if self._trace:
            with out.block("if value"):
                out.line(f"place = {read.place}")
        with out.block("if value == NULL"):
            out.line("value, null = None, " + ("place" if self._trace else "True"))

    def _deliver(self, plan: Plan, condition: str) -> None:
        """Write what happens to a value that was found: function, table, report, put. An explicit null is no value: where it stood is noted, nothing is put."""
        out, row, function, table = self._out, plan.row, plan.function, plan.table
        with out.block(f"if {condition}"):
            with out.block("if value == NULL"):
                out.line(f"run.nulls.append({row.target!r})")
                self._hit(plan)
            with out.block("else"):
                if function is None and table is None:
                    self._put(row, "value")
                    self._hit(plan)
                    return
                if function is not None:
                    if function.takes != "scope":
                        out.line(f"value = {out.name('read', function.read)}(value, scope)")
                    with out.block("if value.__class__ is Odd"):
                        out.line(f"value = report(value, {out.name('row', row)}, run)")
                if table is not None:
                    with out.block("if value is not None"):
                        known = out.name("known", table.forward)
                        looked = f"{known}.get(value) or translate(value, {out.name('table', table)}, {out.name('row', row)}, run)"
                        out.line(f"code, value = value, {looked}" if self._trace else f"value = {looked}")
                with out.block("if value not in NOTHING"):
                    self._put(row, "value")
                    if table is None:
                        self._hit(plan)
                    elif self._trace:  # a code that does not come back from the value is not delivered whole
                        with out.block(f"if {out.name('back', table.back)}.get(value, value) == code"):
                            self._hit(plan)
                        if plan.reads:
                            with out.block("else"):
                                out.line(f"run.touched.add(id({plan.reads[0].place if len(plan.reads) == 1 else 'place'}[0]))")

    def _hit(self, plan: Plan) -> None:
        """Note where the value that was just put came from."""
        if not self._trace:
            return
        out, named = self._out, self._out.name("row", plan.row)
        if not plan.reads:
            if plan.function is not None and plan.function.touches:
                touches, segments = out.name("touches", plan.function.touches), out.name("segments", plan.function.segments)
                with out.block(f"for place in where({touches}, scope, {segments})"):
                    out.line(f"hit((*place, value, {named}))")
            return
        place = plan.reads[0].place if len(plan.reads) == 1 else "*place"
        out.line(f"hit(({place if len(plan.reads) > 1 else place.removeprefix('(').removesuffix(')')}, value, {named}))")

    def _set_up(self, read: Read, rows: int = 1) -> None:
        _set_up(self._out, read, times=rows if self._known is not None else 0)

    def _each(self, plan: Plan, walk: Walk) -> None:
        out, row = self._out, plan.row
        inner = out.name("level", Level(self._pack, self._edge, trace=self._trace, known=self._known).compile(row.rows))
        with out.block("if " + (" or ".join(f"present.get({name!r})" for name in walk.needs) or "True")):
            if self._known is not None and walk.steps is not None:
                out.line(f"spend({out.name('steps', walk.steps)}(scope))")
            out.line("items = []")
            with out.block(f"for within in {out.name('scopes', walk.scopes)}(scope)"):
                if row.single:
                    with out.block("if items"):
                        out.line(f"dropped({out.name('row', row)}, run)")
                        out.line("break")
                out.line("item = {}")
                out.line(f"{inner}(within, item, run)")
                with out.block("if item"):
                    out.line("items.append(item)")
            with out.block("if items"):
                self._put(row, "items[0]" if row.single else "items")

    def _put(self, row: Row, value: str) -> None:
        out, target = self._out, row.target
        if row.extension:
            value = f"{{'url': {EXTENSION_URL + target.rsplit('.', 1)[-1]!r}, 'string': {value}}}"
        if target.endswith("[]") or target == WHOLE:
            out.line(f"{out.name('put', compile_put(target))}(document, {value})")
            return
        *parents, last = target.split(".")
        if not parents:
            out.line(f"document[{last!r}] = {value}")
            return
        place = self._places[tuple(parents)]
        if place is None:
            out.line(f"inside(document, {tuple(parents)!r})[{last!r}] = {value}")
            return
        with out.block(f"if {place} is None"):
            out.line(f"{place} = inside(document, {tuple(parents)!r})")
        out.line(f"{place}[{last!r}] = {value}")


def _source(file: str, edge: Edge) -> PythonSource:
    out = PythonSource(file)
    out.bind({**_RUNTIME, **edge.names, "NULL": edge.null, "where": edge.hits, "sight": edge.sight})
    return out


def _prologue(out: PythonSource, edge: Edge, reads: Sequence[Read]) -> None:
    for line in edge.prologue:
        out.line(line)
    for group in dict.fromkeys(read.group for read in reads if read.group is not None):
        out.line(f"{group} = {edge.slots(group)}")
        out.line(f"{group}_count = len({group})")


def _present(read: Read) -> str:
    if read.group is None:
        return "if True"
    return f"if {read.group}_count > {read.slot} and (raw := {read.group}[{read.slot}])"


def _set_up(out: PythonSource, read: Read, *, times: int) -> None:
    """Write the setup of a read, and what so many rows spend that share it: none outside an overlay."""
    if times and read.group is not None:
        out.line(f"spend(len(raw) * {times})")
    for line in read.setup:
        out.line(line)
    if times and read.size:
        out.line(f"spend({read.size})")
    if not read.setup:
        out.line("pass")


def _places(rows: Sequence[Row]) -> dict[tuple[str, ...], str | None]:
    """Name a variable for every object that rows write into; None where another row may put something else in its place."""
    targets = {tuple(row.target.removesuffix("[]").split(".")) for row in rows}
    parents = dict.fromkeys(tuple(row.target.split(".")[:-1]) for row in rows)
    return {path: None if any(path[: len(target)] == target for target in targets) else f"at_{number}" for number, path in enumerate(parents) if path}

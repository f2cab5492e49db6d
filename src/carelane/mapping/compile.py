"""The map compiler: rows → closures, once; then every message is a walk over them.

A row that raises loses its own value and leaves an issue; it does not lose the message unless it is ``required``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from carelane.domain.errors import PackBroken, Unmappable
from carelane.domain.message import Issue
from carelane.mapping.document import Put, compile_get, compile_put
from carelane.mapping.edge import Edge, Function, Odd, Read
from carelane.mapping.expression import compile_expression
from carelane.mapping.pack import Pack, Row, Table

EXTENSION_URL = "urn:carelane:extension:"


@dataclass(slots=True)
class Run:
    """What one conversion collects beside its document."""

    issues: list[Issue] = field(default_factory=list)
    nulls: list[str] = field(default_factory=list)


Step = Callable[[Any, Any, dict[str, Any], Run], None]
"""(raw slot, scope, document, run)"""


@dataclass(frozen=True, slots=True)
class Program:
    """The compiled rows of one level: slots of a present segment first, then everything else in order."""

    slots: tuple[tuple[str, tuple[tuple[int, Step, Row], ...]], ...]
    free: tuple[tuple[Step, Row], ...]

    def run(self, scope: Any, document: dict[str, Any], run: Run) -> None:
        """Fill a document from a scope. A row that raises costs its own value only, unless it is required."""
        present = scope.segments
        for name, steps in self.slots:
            found = present.get(name)
            if found:
                fields = found[0].fields
                count = len(fields)
                for slot, step, row in steps:
                    if slot < count and (raw := fields[slot]):
                        try:
                            step(raw, scope, document, run)
                        except Exception as error:  # any row may meet what nobody foresaw
                            _failed(row, error, run)
        for step, row in self.free:
            try:
                step(None, scope, document, run)
            except Exception as error:
                _failed(row, error, run)


@dataclass(frozen=True, slots=True)
class Compiled:
    """A pack ready to run in both directions. ``reads`` are the (segment, field) pairs some row asks for."""

    pack: Pack
    program: Program
    back: tuple[Callable[[dict[str, Any], Any], None], ...]
    reads: frozenset[tuple[str, int]]


class Compiler:
    """Compiles one pack against one format's edge."""

    def __init__(self, pack: Pack, edge: Edge) -> None:
        self._pack = pack
        self._edge = edge
        self._reads: set[tuple[str, int]] = set()

    def compile(self) -> Compiled:
        """Compile every row in both directions.

        Raises:
            PackBroken: the first row that does not compile, with the reason.
        """
        program = self._program(self._pack.rows)
        back = self._back(self._pack.rows)
        return Compiled(self._pack, program, back, frozenset(self._reads))

    def _program(self, rows: Sequence[Row]) -> Program:
        slots: dict[str, list[tuple[int, Step, Row]]] = {}
        free: list[tuple[Step, Row]] = []
        for row in rows:
            try:
                group, slot, step = self._row(row)
            except ValueError as error:
                raise PackBroken(self._pack.file, row.id, str(error)) from None
            if group is None:
                free.append((step, row))
            else:
                slots.setdefault(group, []).append((slot, step, row))
        return Program(tuple((name, tuple(steps)) for name, steps in slots.items()), tuple(free))

    def _row(self, row: Row) -> tuple[str | None, int, Step]:
        if row.each is not None:
            return None, 0, self._conditional(row, self._each(row))
        put = self._put(row)
        if row.value is not None:
            return None, 0, self._conditional(row, lambda _raw, _scope, document, _run: put(document, row.value))
        function = self._function(row)
        if function is not None and function.takes == "scope":
            self._reads.update(function.touches)
            take = function.read
            deliver = self._deliver(row, put, None)
            return None, 0, self._conditional(row, lambda _raw, scope, document, run: deliver(take(None, scope), scope, document, run))
        if not row.source:
            raise ValueError("source is missing")
        reads = [self._edge.reader(path, "raw" if function and function.takes == "raw" else "text") for path in row.source]
        for read in reads:
            self._reads.update(read.touches)
        if len(reads) == 1:
            return self._single(row, reads[0], function)
        deliver = self._deliver(row, put, function)
        return None, 0, self._conditional(row, _first_of(reads, deliver, self._edge.null))

    def _single(self, row: Row, read: Read, function: Function | None) -> tuple[str | None, int, Step]:
        """One source path, the usual case: as few calls a value as possible."""
        extract, null, target = read.extract, self._edge.null, row.target
        put = self._put(row)
        refine = _refiner(row, function.read if function else None, self._table(row))

        def step(raw: Any, scope: Any, document: dict[str, Any], run: Run) -> None:
            value = extract(raw, scope)
            if value is None:
                return
            if value == null:
                run.nulls.append(target)
                value = None
            elif refine is not None:
                value = refine(value, scope, run)
                if value is None or value == []:
                    return
            put(document, value)

        return read.group, read.slot, self._conditional(row, step)

    def _deliver(self, row: Row, put: Put, function: Function | None) -> Callable[..., None]:
        """Return what happens to a value once it was found: null, function, table, report, put."""
        null, target = self._edge.null, row.target
        refine = _refiner(row, function.read if function else None, self._table(row))

        def deliver(value: Any, scope: Any, document: dict[str, Any], run: Run) -> None:
            if value == null:
                run.nulls.append(target)
                put(document, None)
                return
            if refine is not None:
                value = refine(value, scope, run)
            elif value.__class__ is Odd:
                value = _report(value, row, run)
            if value is not None and value != []:
                put(document, value)

        return deliver

    def _each(self, row: Row) -> Step:
        walk, touches = self._edge.walker(row.each or "")
        self._reads.update(touches)
        program = self._program(row.rows)
        put = compile_put(row.target)
        single, target = row.single, row.target

        def step(_raw: Any, scope: Any, document: dict[str, Any], run: Run) -> None:
            items: list[dict[str, Any]] = []
            for inner in walk(scope):
                item: dict[str, Any] = {}
                program.run(inner, item, run)
                if item:
                    items.append(item)
            if items:
                put(document, items[0] if single else items)
            if single and len(items) > 1:
                run.issues.append(Issue("warning", "multiple-values-dropped", row.id, row.each or "", target))

        return step

    def _conditional(self, row: Row, step: Step) -> Step:
        """Run a row only where its condition holds."""
        if row.when is None:
            return step
        when = compile_expression(row.when, self._resolve)

        def conditional(raw: Any, scope: Any, document: dict[str, Any], run: Run) -> None:
            if when(scope):
                step(raw, scope, document, run)

        return conditional

    def _resolve(self, path: str) -> Callable[[Any], Any]:
        read = self._edge.reader(path, "text")
        self._reads.update(read.touches)
        return lambda scope: _value(read, scope)

    def _put(self, row: Row) -> Put:
        put = compile_put(row.target)
        if not row.extension:
            return put
        url = EXTENSION_URL + row.target.rsplit(".", 1)[-1]

        def wrapped(document: dict[str, Any], value: Any) -> None:
            put(document, {"url": url, "string": value})

        return wrapped

    def _function(self, row: Row) -> Function | None:
        if row.via is None:
            return None
        found = self._edge.functions.get(row.via)
        if found is None:
            raise ValueError(f"there is no function {row.via}; known are {', '.join(sorted(self._edge.functions))}")
        return found

    def _table(self, row: Row) -> Table | None:
        if row.map is None:
            return None
        found = self._pack.tables.get(row.map)
        if found is None:
            raise ValueError(f"there is no table {row.map}; known are {', '.join(sorted(self._pack.tables))}")
        return found

    def _back(self, rows: Sequence[Row]) -> tuple[Callable[[dict[str, Any], Any], None], ...]:
        steps = []
        for row in rows:
            try:
                step = self._back_row(row)
            except ValueError as error:
                raise PackBroken(self._pack.file, row.id, f"on the way back: {error}") from None
            if step is not None:
                steps.append(step)
        return tuple(steps)

    def _back_row(self, row: Row) -> Callable[[dict[str, Any], Any], None] | None:
        get = compile_get(row.target)
        if not row.rev or row.value is not None:
            return None
        if row.each is not None:
            return self._back_each(row, get)
        function = self._function(row)
        if function is not None and (function.write is None or not row.source):
            return None
        write = self._edge.writer(row.source[0], function)
        table = self._table(row)

        def step(document: dict[str, Any], builder: Any) -> None:
            value = get(document)
            if row.extension and isinstance(value, dict):
                value = value.get("string")
            if value is None or value in ([], {}):
                return
            if table is not None:
                value = table.back.get(value, value)
            if function is not None and function.write is not None:
                value = function.write(value, builder)
            if value is not None:
                write(builder, value)

        return step

    def _back_each(self, row: Row, get: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any], Any], None]:
        branch = self._edge.brancher(row.each or "")
        inner = self._back(row.rows)

        def step(document: dict[str, Any], builder: Any) -> None:
            items = get(document)
            for number, item in enumerate(items if isinstance(items, list) else [items] if items else []):
                if isinstance(item, dict):
                    child = branch(builder, number)
                    for write in inner:
                        write(item, child)

        return step


def _failed(row: Row, error: Exception, run: Run) -> None:
    """Report a row that raised: which one and what kind of error, never the value."""
    if row.required:
        raise Unmappable(f"row {row.id} failed: {type(error).__name__}") from None
    run.issues.append(Issue("error", "row-error", row.id, ",".join(row.source), row.target, type(error).__name__))


def _refiner(row: Row, apply: Callable[[Any, Any], Any] | None, table: Table | None) -> Callable[[Any, Any, Run], Any] | None:
    """Return a row's function and table as one step; None when it has neither."""
    miss = row.unmapped

    def refine(value: Any, scope: Any, run: Run) -> Any:
        if apply is not None:
            value = apply(value, scope)
            if value.__class__ is Odd:
                value = _report(value, row, run)
        if table is not None and value is not None:
            value = _translate(value, table, miss, row, run)
        return value

    return refine if apply is not None or table is not None else None


def _first_of(reads: Sequence[Read], deliver: Callable[..., None], null: str) -> Step:
    def step(_raw: Any, scope: Any, document: dict[str, Any], run: Run) -> None:
        nulled = False
        for read in reads:
            value = _value(read, scope)
            if value is not None and value != null:
                deliver(value, scope, document, run)
                return
            nulled = nulled or value == null
        if nulled:
            deliver(null, scope, document, run)

    return step


def _value(read: Read, scope: Any) -> Any:
    if read.group is None:
        return read.extract(None, scope)
    found = scope.segments.get(read.group)
    if not found:
        return None
    fields = found[0].fields
    raw = fields[read.slot] if read.slot < len(fields) else ""
    return read.extract(raw, scope) if raw else None


def _report(odd: Odd, row: Row, run: Run) -> Any:
    run.issues.append(Issue("warning", odd.code, row.id, ",".join(row.source), row.target, odd.text))
    return odd.value


def _translate(value: Any, table: Table, miss: str, row: Row, run: Run) -> Any:
    found = table.forward.get(value)
    if found is not None:
        return found
    run.issues.append(Issue("error" if miss == "error" else "warning", "unmapped-code", row.id, ",".join(row.source), row.target, f"table {row.map}"))
    if miss == "value":
        return value
    return miss.removeprefix("default:") if miss.startswith("default:") else None

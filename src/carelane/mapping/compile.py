"""The map compiler: rows → functions, once, in both directions; then every message is a call."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from carelane.domain.errors import PackBroken
from carelane.mapping.document import compile_get
from carelane.mapping.edge import Edge, Function
from carelane.mapping.generate import Level
from carelane.mapping.pack import Pack, Row
from carelane.mapping.plan import Known, Program, Step, find_function, find_table, weight
from carelane.mapping.runtime import Run


@dataclass(frozen=True, slots=True)
class Compiled:
    """A pack ready to run in both directions."""

    pack: Pack
    program: Program
    trace: Program
    """The same program, which also notes in ``run.hits`` where every value came from."""
    back: tuple[Step, ...]


def _when_needed(make: Callable[[], Program]) -> Program:
    """A program that is compiled when it first runs: most packs are never traced."""
    made = cache(make)

    def run(scope: Any, document: dict[str, Any], found: Run) -> None:
        made()(scope, document, found)

    return run


class Compiler:
    """Compiles one pack against one format's edge; ``known`` is for a pack with an overlay, see ``generate.Level``."""

    def __init__(self, pack: Pack, edge: Edge, known: Known | None = None) -> None:
        self._pack = pack
        self._edge = edge
        self._known = known

    def compile(self, *, trace: bool = True) -> Compiled:
        """Compile every row in both directions; without ``trace``, that is the plain program too.

        Raises:
            PackBroken: the first row that does not compile, with the reason.
        """
        if self._known is not None:  # one program for both: what an overlay costs is paid once
            program = traced = Level(self._pack, self._edge, trace=True, known=self._known).compile(self._pack.rows)
        else:
            program = Level(self._pack, self._edge).compile(self._pack.rows)
            traced = _when_needed(lambda: Level(self._pack, self._edge, trace=True).compile(self._pack.rows)) if trace else program
        return Compiled(self._pack, program, traced, self._back(self._pack.rows))

    def _back(self, rows: Sequence[Row]) -> tuple[Step, ...]:
        return tuple(step for row in rows if (step := self._known_step(row)) is not None)

    def _known_step(self, row: Row) -> Step | None:
        known = self._known
        if known is None or id(row) not in known.rows:
            return self._step(row)
        if id(row) not in known.steps:
            known.steps[id(row)] = self._step(row)
        return known.steps[id(row)]

    def _step(self, row: Row) -> Step | None:
        try:
            return self._back_row(row)
        except ValueError as error:
            raise PackBroken(self._pack.file, row.id, f"on the way back: {error}") from None

    def _back_row(self, row: Row) -> Step | None:
        get = compile_get(row.target)
        if not row.rev or row.value is not None:
            return None
        if row.each is not None:
            return self._back_each(row, get)
        function = find_function(self._edge, row)
        if function is not None and function.put is not None:
            return self._back_put(row, get, function.put)
        if function is not None and (function.write is None or not row.source):
            return None
        return self._back_value(row, get, function)

    def _back_value(self, row: Row, get: Callable[[dict[str, Any]], Any], function: Function | None) -> Step:
        write = self._edge.writer(row.source[0], function)
        table, extension = find_table(self._pack, row), row.extension
        put_back = function.write if function is not None else None

        def step(document: dict[str, Any], builder: Any) -> None:
            value = get(document)
            if extension and isinstance(value, dict):
                value = value.get("string")
            if not value and (value is None or isinstance(value, dict | list)):
                return
            if table is not None:
                value = table.back.get(value, value)
            if put_back is not None:
                value = put_back(value, builder)
                if value is None:
                    return
            write(builder, value)

        return step

    def _back_put(self, row: Row, get: Callable[[dict[str, Any]], Any], put: Callable[[dict[str, Any], Any, Any], None]) -> Step:
        parent = compile_get(row.target.rpartition(".")[0]) if "." in row.target else None

        def step(document: dict[str, Any], builder: Any) -> None:
            value = get(document)
            if value is not None and value not in ([], {}):
                put(parent(document) if parent is not None else document, value, builder)

        return step

    def _back_each(self, row: Row, get: Callable[[dict[str, Any]], Any]) -> Step:
        branch = self._edge.brancher(row.each or "")
        inner = self._back(row.rows)
        steps = weight(row.rows) if self._known is not None else 0

        def step(document: dict[str, Any], builder: Any) -> None:
            items = get(document)
            for number, item in enumerate(items if isinstance(items, list) else [items] if items else []):
                if isinstance(item, dict):
                    if steps:
                        builder.spend(steps)
                    child = branch(builder, number)
                    for write in inner:
                        write(item, child)

        return step

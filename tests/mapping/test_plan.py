"""What an overlay's rows spend, step by step, and how they are cut into parts."""

import pytest

from carelane.domain.errors import Exhausted
from carelane.domain.message import Issue
from carelane.formats.hl7v2.edge import Hl7v2Edge
from carelane.formats.hl7v2.message import parse
from carelane.formats.hl7v2.scope import Context, Scope
from carelane.mapping.compile import Compiler
from carelane.mapping.pack import Pack, Row
from carelane.mapping.plan import Known, metered, weight
from carelane.mapping.runtime import Meter, Run, meter_of

RAW = b"MSH|^~\\&|A\rPID|1||7~8~9||Doe^Jo\rOBR|1\rOBX|1\rOBR|2\rOBX|2\r"
NAMES = 4
"""MSH, PID, OBR and OBX are in sight of every row."""


def spent(*rows: Row, raw: bytes = RAW) -> int:
    message = parse(raw)
    run = Run(meter=Meter("o", 10**9))
    compiled = Compiler(Pack("p", "1", "X", "p.yaml", rows), Hl7v2Edge(), Known(frozenset(), learning=False)).compile()
    compiled.program(Scope(message.by_name, Context(message), members=message.segments), {}, run)
    assert run.meter is not None
    return 10**9 - run.meter.room


def test_running_rows_takes_their_weight_and_what_is_in_sight():
    assert weight([Row("a", "A", ("PID-99",))]) + NAMES == spent(Row("a", "A", ("PID-99",)))


def test_a_field_takes_its_characters_once_for_every_row_that_reads_it():
    rows = [Row("a", "A", ("PID-5.1",)), Row("b", "B", ("PID-5.2",))]
    assert weight(rows) + NAMES + 2 * len("Doe^Jo") == spent(*rows)


def test_a_condition_takes_the_characters_it_reads():
    row = Row("a", "A", ("PID-99",), when="PID-5.1 == 'x'")
    assert weight([row]) + NAMES + len("Doe^Jo") == spent(Row("a", "A", value="v", when="PID-5.1 == 'x'")) - len(repr("v"))


def test_repetitions_take_their_field_then_each_its_rows_and_itself():
    inner = Row("b", "B", (".1",))
    row = Row("a", "A", each="PID-3[*]", rows=(inner,))
    assert weight([row]) + NAMES + len("7~8~9") + 3 * (weight([inner]) + NAMES + 1) == spent(row)


def test_groups_take_as_many_steps_as_views_may_be_made():
    inner = Row("b", "B", ("PID-99",))
    row = Row("a", "A", each="@orders", rows=(inner,))
    segments, groups, names = 6, 2, NAMES + 1  # every group also knows that it has no notes
    assert weight([row]) + NAMES + segments * NAMES + groups * (weight([inner]) + names) == spent(row)


def test_a_function_takes_what_it_looks_through_and_reads():
    row = Row("a", "A", via="notes")
    looked, read = NAMES + 1 + 7, len("text") + 1
    assert weight([row]) + NAMES + 1 + looked + read == spent(row, raw=RAW + b"NTE|1||text\r")


def test_a_constant_and_a_default_weigh_what_they_write():
    assert 100 <= weight([Row("a", "A", value="x" * 100)]) and 100 <= weight([Row("a", "A", ("PID-3",), unmapped="default:" + "x" * 100)])


def test_an_issue_takes_steps_too():
    run = Run(meter=Meter("o", 40))
    run.note(Issue("error", "row-error"))
    with pytest.raises(Exhausted):
        run.note(Issue("error", "row-error"))


def test_nothing_runs_when_there_is_no_room_for_it():
    ran = []
    program = metered(5, lambda _scope: 5, [lambda *_about: ran.append(1)])
    with pytest.raises(Exhausted, match="the overlay mine.1 asks for more work"):
        program(None, {}, Run(meter=Meter("mine.1", 9)))
    assert [] == ran


def test_a_larger_message_has_more_room():
    assert meter_of("o", 0).room < meter_of("o", 1_000).room < meter_of("o", 1_000, 10).room


def test_rows_run_in_the_order_of_the_hubs_own_maps_however_they_are_cut():
    rows = tuple(Row(f"r{at}", "A", (f"PID-{3 if at % 2 else 5}",)) for at in range(40))
    message = parse(RAW)
    plain, cut = {}, {}
    pack = Pack("p", "1", "X", "p.yaml", rows)
    Compiler(pack, Hl7v2Edge()).compile().program(Scope(message.by_name, Context(message), members=message.segments), plain, Run())
    known = Known(frozenset(id(row) for row in rows[::3]), learning=False)
    Compiler(pack, Hl7v2Edge(), known).compile().program(Scope(message.by_name, Context(message), members=message.segments), cut, Run(meter=Meter("o", 10**6)))
    assert plain == cut

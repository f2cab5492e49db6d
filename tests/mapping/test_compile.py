import pytest

from carelane.domain.errors import PackBroken
from carelane.formats.hl7v2.builder import Builder
from carelane.formats.hl7v2.message import parse
from carelane.formats.hl7v2.scope import Context, Scope
from carelane.mapping.runtime import Run
from tests.mapping.test_pack import compile_pack

MESSAGE = b"MSH|^~\\&|A|B|C|D|20260101||ADT^A01|1|P|2.5\rPID|1||7^^^N^MR~8||Doe^Jo||1980|F|\rNK1|1|A\rNK1|2|B\rPV1|1|I\r"


def run(pack, raw: bytes = MESSAGE):
    message = parse(raw)
    document, collected = {}, Run()
    pack.program(Scope(message.by_name, Context(message), members=message.segments), document, collected)
    return document, collected


def test_a_row_moves_a_value(tmp_path):
    assert {"A": {"B": "Doe"}} == run(compile_pack(tmp_path, "- {id: a, target: A.B, source: PID-5.1}"))[0]


def test_the_first_valued_source_wins(tmp_path):
    assert {"A": "I"} == run(compile_pack(tmp_path, "- {id: a, target: A, source: [PID-10, PV1-2, PID-8]}"))[0]


def test_each_makes_a_list_of_segments_and_of_repetitions(tmp_path):
    rows = "- {id: a, target: N, each: 'NK1[*]', rows: [{target: L, source: NK1-2}]}\n- {id: b, target: I, each: 'PID-3[*]', rows: [{target: V, source: '.1'}]}"
    assert {"N": [{"L": "A"}, {"L": "B"}], "I": [{"V": "7"}, {"V": "8"}]} == run(compile_pack(tmp_path, rows))[0]


def test_only_one_of_several_is_taken_where_there_is_room_for_one_and_that_is_reported(tmp_path):
    document, collected = run(compile_pack(tmp_path, "- {id: a, target: N, single: true, each: 'NK1[*]', rows: [{target: L, source: NK1-2}]}"))
    assert ({"N": {"L": "A"}}, ["multiple-values-dropped"]) == (document, [issue.code for issue in collected.issues])


@pytest.mark.parametrize(
    ("when", "expected"),
    [("PV1-2 == 'I'", True), ("PV1-2 != 'I'", False), ("PV1-2 in ['O', 'I']", True), ("valued(PID-10)", False), ("!valued(PID-10) && PID-8 == 'F'", True),
     ("PID-10 == 'x' || (PID-8 == 'F' && PV1-2 == 'I')", True), ("PID-10 == null", False), ("PID-10 != 'x'", True)],
)  # fmt: skip
def test_a_condition_decides_whether_a_row_runs(tmp_path, when, expected):
    document, _ = run(compile_pack(tmp_path, f'- {{id: a, target: A, source: PID-8, when: "{when}"}}'))
    assert expected == ("A" in document)


@pytest.mark.parametrize(("signs", "expected"), [("!" * 4_000, True), ("!" * 3_999, False)])
def test_however_often_a_condition_is_negated_it_costs_no_depth(tmp_path, signs, expected):
    document, _ = run(compile_pack(tmp_path, f"- {{id: a, target: A, source: PID-8, when: '{signs}PID-8'}}"))
    assert expected == ("A" in document)


@pytest.mark.parametrize(
    ("when", "reason"),
    [("(" * 60 + "PID-8" + ")" * 60, "nested deeper than 50"), (" && ".join(["PID-8"] * 101), "names 101 paths and texts"), ("x" * 4097, "4096 characters")],
)
def test_a_condition_has_bounds(tmp_path, when, reason):
    with pytest.raises(PackBroken, match=reason):
        compile_pack(tmp_path, f'- {{id: a, target: A, source: PID-8, when: "{when}"}}')


@pytest.mark.parametrize("path", ["PID-1000", "PID-3.1000", "PID-3.1.1000", "PID-3[1000]"])
def test_no_row_asks_for_the_thousandth_part_of_anything(tmp_path, path):
    with pytest.raises(PackBroken, match="is no HL7 path"):
        compile_pack(tmp_path, f"- {{id: a, target: A, source: '{path}'}}")


def test_what_one_message_adds_to_a_constant_is_in_no_other(tmp_path):
    rows = "- {id: a, target: X, value: {K: [c]}}\n- {id: b, target: X.V, source: [PID-5.1, PID-9]}\n- {id: c, target: 'X.K[]', source: [PID-8, PID-9]}"
    pack = compile_pack(tmp_path, rows)
    run(pack, MESSAGE.replace(b"|F|", b"|M|").replace(b"Doe", b"Roe"))
    assert {"X": {"K": ["c", "F"], "V": "Doe"}} == run(pack)[0]


@pytest.mark.parametrize(
    ("miss", "value", "severity"), [("value", "X", "warning"), ("'null'", None, "warning"), ("default:U", "U", "warning"), ("error", None, "error")]
)
def test_a_code_outside_the_table_follows_the_rows_policy_and_is_reported(tmp_path, miss, value, severity):
    pack = compile_pack(tmp_path, f"- {{id: a, target: A, source: PID-8, map: sex, unmapped: {miss}}}")
    document, collected = run(pack, MESSAGE.replace(b"|F|", b"|X|"))
    assert (value, [("unmapped-code", severity)]) == (document.get("A"), [(issue.code, issue.severity) for issue in collected.issues])


def test_an_explicit_null_is_no_value_and_is_remembered(tmp_path):
    document, collected = run(compile_pack(tmp_path, "- {id: a, target: A, source: PID-8}"), MESSAGE.replace(b"|F|", b'|""|'))
    assert ({}, ["A"]) == (document, collected.nulls)


def test_a_row_that_fails_loses_its_value_and_not_the_message(tmp_path, monkeypatch):
    from carelane.formats.hl7v2 import functions
    from carelane.mapping.edge import Function

    def broken(value, scope):
        raise ZeroDivisionError(value)

    monkeypatch.setitem(functions.FUNCTIONS, "broken", Function("text", broken))
    document, collected = run(compile_pack(tmp_path, "- {id: a, target: A, source: PID-8, via: broken}\n- {id: b, target: B, source: PV1-2}"))
    assert ({"B": "I"}, [("row-error", "ZeroDivisionError")]) == (document, [(issue.code, issue.text) for issue in collected.issues])


def test_rows_go_back_where_they_came_from(tmp_path):
    pack = compile_pack(tmp_path, "- {id: a, target: A.B, source: PID-5.2}\n- {id: s, target: S, source: PID-8, map: sex}\n"
                        "- {id: i, target: I, each: 'PID-3[*]', rows: [{target: V, source: '.1'}]}")  # fmt: skip
    builder = Builder()
    for step in pack.back:
        step({"A": {"B": "Jo"}, "S": "Female", "I": [{"V": "7"}, {"V": "8"}]}, builder)
    assert ["PID|||7~8||^Jo|||F"] == builder.lines(["PID"])

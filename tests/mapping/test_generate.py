import pytest
from hypothesis import given
from hypothesis import strategies as st

from carelane.domain.errors import Unmappable
from carelane.formats.hl7v2.edge import Hl7v2Edge
from carelane.mapping.compile import Compiler
from carelane.mapping.pack import Pack, Row, Table
from carelane.mapping.runtime import Run
from tests.mapping.test_compile import MESSAGE, run
from tests.mapping.test_pack import compile_pack


@given(st.text())
def test_texts_of_a_pack_are_values_and_never_code(text):
    rows = (Row("a", target="A", value=text), Row("b", target="B", source=("PID-8",), map="t"))
    pack = Compiler(Pack("p", "1", "X", "p.yaml", rows, tables={"t": Table({"F": text or "-"}, {})}), Hl7v2Edge()).compile()
    assert {"A": text, "B": text or "-"} == run(pack)[0]


def test_a_place_that_a_row_replaces_is_not_remembered(tmp_path):
    rows = "- {id: a, target: P.Q.R, source: PID-8}\n- {id: b, target: P.Q, value: {S: 1}}\n- {id: c, target: P.Q.T, source: [PV1-9, PV1-2]}"
    assert {"P": {"Q": {"S": 1, "T": "I"}}} == run(compile_pack(tmp_path, rows))[0]


def test_rows_of_one_field_share_it_and_fail_alone(tmp_path):
    rows = "- {id: a, target: A, source: PID-7, via: date}\n- {id: b, target: B, source: PID-7}\n- {id: c, target: C, source: PID-7, via: number}"
    document, collected = run(compile_pack(tmp_path, rows), MESSAGE.replace(b"|1980|", b"|19801|"))
    assert {"B": "19801", "C": 19801} == document
    assert [("a", "bad-date")] == [(issue.row, issue.code) for issue in collected.issues]


def test_an_explicit_null_field_is_null_for_every_component(tmp_path):
    rows = "- {id: a, target: A, source: PID-5.1}\n- {id: b, target: B, source: PID-5.2}\n- {id: c, target: C, source: PID-5.1.2}"
    document, collected = run(compile_pack(tmp_path, rows), MESSAGE.replace(b"|Doe^Jo|", b'|""|'))
    assert ({}, ["A", "B", "C"]) == (document, collected.nulls)


def test_a_null_yields_to_a_value_in_the_next_source(tmp_path):
    raw = MESSAGE.replace(b"|F|", b'|""|')
    assert {"A": "I"} == run(compile_pack(tmp_path, "- {id: a, target: A, source: [PID-8, PV1-2]}"), raw)[0]
    document, collected = run(compile_pack(tmp_path, "- {id: a, target: A, source: [PID-8, PV1-9]}"), raw)
    assert ({}, ["A"]) == (document, collected.nulls)


def test_a_required_row_that_fails_fails_the_message(tmp_path, monkeypatch):
    from carelane.formats.hl7v2 import functions
    from carelane.mapping.edge import Function

    monkeypatch.setitem(functions.FUNCTIONS, "broken", Function("text", lambda value, scope: 1 / 0))
    pack = compile_pack(tmp_path, "- {id: a, target: A, source: PID-8, via: broken, required: true}")
    with pytest.raises(Unmappable, match=r"row a failed: ZeroDivisionError"):
        run(pack)


@pytest.mark.parametrize("raw", [b"PID|1", b"PID|1|||||||\\", b"PID|1||||&&&^^^~~~|||\\.br\\&\\E\\", b"PID|1|||||||" + b"^" * 500])
def test_odd_fields_do_not_trip_a_map(tmp_path, raw):
    pack = compile_pack(
        tmp_path, "- {id: a, target: A, source: PID-5.7.3}\n- {id: b, target: B, source: 'PID-5[legal].2'}\n- {id: c, target: C, source: PID-8}"
    )
    _, collected = run(pack, b"MSH|^~\\&|A|B|C|D|20260101||ADT^A01|1|P|2.5\r" + raw + b"\r")
    assert [] == collected.issues


def test_what_a_map_collects_starts_empty():
    assert ([], []) == (Run().issues, Run().nulls)

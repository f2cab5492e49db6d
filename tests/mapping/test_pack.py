import pytest

from carelane.domain.errors import PackBroken
from carelane.formats.hl7v2.edge import Hl7v2Edge
from carelane.mapping.compile import Compiler
from carelane.mapping.pack import load_pack, load_tables

HEAD = "pack: p\nversion: '1'\nfamily: X\nrows:\n"


def compile_pack(tmp_path, rows: str, tables: str = "sex: {F: Female}\n"):
    (tmp_path / "pack.yaml").write_text(HEAD + rows)
    (tmp_path / "tables.yaml").write_text(tables)
    return Compiler(load_pack(tmp_path / "pack.yaml", load_tables(tmp_path / "tables.yaml")), Hl7v2Edge()).compile()


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ("- {id: a, target: A.B, sorce: PID-8}", "unknown key sorce; did you mean source?"),
        ("- {target: A.B, source: PID-8}", "id is missing"),
        ("- {id: a, source: PID-8}", "target is missing"),
        ("- {id: a, target: A.B, source: PID8}", "'PID8' is no HL7 path"),
        ("- {id: a, target: A.B, source: 'PID-11[house]'}", "no selector [house]"),
        ("- {id: a, target: A.B, source: PID-8, map: gender}", "there is no table gender; known are sex"),
        ("- {id: a, target: A.B, source: PID-8, via: datum}", "there is no function datum"),
        ("- {id: a, target: 'A..B', source: PID-8}", "is no path"),
        ("- {id: a, target: A.B, source: .1}", "put quotes around .1"),
        ("- {id: a, target: A.B}", "source is missing"),
        ("- {id: a, target: A, each: 'NK1[*]'}", "each and rows belong together"),
        ("- {id: a, target: A, each: NK1, rows: [{target: B, source: NK1-2}]}", "cannot be walked"),
        ("- {id: a, target: A.B, source: PID-8, when: 'PV1-2 =='}", "ends too soon"),
        ("- {id: a, target: A.B, source: PID-8, unmapped: guess}", "unmapped is one of"),
        ("- {id: a, target: A.B, source: PID-8}\n- {id: a, target: A.C, source: PID-9}", "another row has this id"),
    ],
)
def test_a_pack_that_cannot_work_names_file_row_and_reason(tmp_path, rows, reason):
    with pytest.raises(PackBroken) as caught:
        compile_pack(tmp_path, rows)
    assert "pack.yaml" == caught.value.file
    assert reason in str(caught.value)


def test_a_file_that_is_no_yaml_is_named(tmp_path):
    (tmp_path / "pack.yaml").write_text("rows: [")
    with pytest.raises(PackBroken, match=r"pack.yaml: row \(file\): no valid YAML"):
        load_pack(tmp_path / "pack.yaml", {})


def test_a_table_whose_codes_are_no_texts_says_how_to_write_them(tmp_path):
    with pytest.raises(PackBroken, match="put quotes around"):
        compile_pack(tmp_path, "- {id: a, target: A.B, source: PID-8}", "yes: {N: No}\n")

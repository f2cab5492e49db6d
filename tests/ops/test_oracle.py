from carelane.formats.hl7v2.message import parse
from carelane.ops.oracle import Seen, components, expected, judge, rows

RAW = b"MSH|^~\\&|A|B|C|D|20260101120000+0000||ADT^A01|C1|P|2.5\rPID|1||7^^^N^MR||Doe^Jo\rPV1|1|I\r"


def tables(shared):
    return shared / "v2-to-fhir-mapping-tables"


def test_a_row_of_the_tables_says_where_a_field_goes(shared):
    names = [row for row in rows(tables(shared), "PID[Patient]") if row.field == 5]
    assert [("Patient", "name", "XPN[HumanName]")] == [(row.resource, row.element, row.types) for row in names]
    assert (2, 1) in components(tables(shared), "XPN[HumanName]")


def test_every_leaf_a_table_sends_somewhere_is_asked_for(shared):
    asked = {(path, value) for path, _, _, value, _ in expected(parse(RAW), tables(shared))}
    assert {("PID[Patient]#PID-5", "Doe"), ("PID[Patient]#PID-5", "Jo"), ("PID[Patient]#PID-3", "7")} <= asked


def test_the_judge_can_say_no(shared, monkeypatch):
    from carelane.ops import oracle

    seen = Seen()
    judge(RAW, tables(shared), seen)
    assert "PID[Patient]#PID-5" in seen.proven()
    monkeypatch.setattr(oracle, "bundle_of", lambda document, settings, message_id: ({"entry": []}, []))
    blind = Seen()
    judge(RAW, tables(shared), blind)
    assert (0, 0) == blind.sums()[1:] and blind.sums()[0] == seen.sums()[0]

import pytest

from carelane.formats.hl7v2.message import parse
from carelane.formats.hl7v2.packs import pack_name
from carelane.formats.hl7v2.peek import peek
from carelane.formats.hl7v2.triggers import canceled_event, find_trigger, resolve, trigger_table
from carelane.models.schemas import model_events


def message(event: str, rest: str = "") -> bytes:
    return f"MSH|^~\\&|A|B|C|D|20260101||ADT^{event}|C1|P|2.5\rPID|1||7\r{rest}".encode()


def event_of(event: str, rest: str = "") -> tuple[str, ...]:
    return resolve(find_trigger("ADT", event), parse(message(event, rest))).events


def test_every_trigger_from_a01_to_a62_has_a_line():
    assert [f"A{number:02d}" for number in range(1, 63)] == sorted(trigger_table()["ADT"])


def test_every_event_of_the_table_has_a_schema():
    lines = [line for family in trigger_table().values() for line in family.values()]
    assert [] == [event for line in lines for event in line.events if event not in model_events()[line.model]]


def test_a_line_has_events_or_says_why_not():
    assert [] == [(family, code) for family, lines in trigger_table().items() for code, line in lines.items() if bool(line.events) == bool(line.hold)]


def test_every_event_of_the_table_has_a_map():
    lines = [line for family in trigger_table().values() for line in family.values()]
    assert [] == [(line.model, event) for line in lines for event in line.events if pack_name(line.model, event) is None]


@pytest.mark.parametrize(
    ("event", "rest", "expected"),
    [("A01", "", ("Arrival",)), ("A08", "PV1|1|I" + "|" * 17 + "V1\r", ("VisitUpdate",)), ("A08", "", ("PatientUpdate",)),
     ("A08", "PV1|1|I" + "|" * 42 + "20260101|20260102\r", ("PatientUpdate",)), ("A40", "MRG|8\r", ("PatientMerge",)),
     ("A36", "MRG|8\r", ("PatientMerge", "VisitMerge"))],
)  # fmt: skip
def test_the_event_follows_trigger_and_content(event, rest, expected):
    assert expected == event_of(event, rest)


@pytest.mark.parametrize(("patient_class", "expected"), [("I", "Arrival"), ("O", "Registration"), ("E", "Registration")])
def test_cancelling_an_outpatients_admission_cancels_a_registration(patient_class, expected):
    parsed = parse(message("A11", f"PV1|1|{patient_class}\r"))
    assert expected == canceled_event(find_trigger("ADT", "A11"), parsed)


def test_a_source_may_choose_its_own_event():
    assert "Arrival" == peek(message("A04"), {"triggers": {"ADT^A04": "Arrival"}}).event_type


def test_a_missing_trigger_is_taken_from_evn_1():
    raw = message("A02").replace(b"ADT^A02", b"ADT").replace(b"PID|", b"EVN|A02\rPID|")
    assert "Transfer" == peek(raw, {}).event_type


@pytest.mark.parametrize(("kind", "code"), [("", "101"), ("XYZ^A01", "200"), ("ADT^A99", "201"), ("ADT^", "201")])
def test_an_unknown_type_is_a_problem_with_its_code_and_place(kind, code):
    problem = peek(message("A01").replace(b"ADT^A01", kind.encode()), {}).problem
    assert (code, True) == (problem.code, problem.location.startswith("MSH^1^9"))


def test_nul_bytes_are_a_problem():
    assert "nul-bytes" == peek(message("A01") + b"NTE|\0", {}).problem.code


def test_the_heading_finds_patients_orders_and_visits():
    raw = b"MSH|^~\\&|A|B|C|D|20260101||ORU^R01|C9|P|2.5\rPID|1||7^^^N^MR~8\rPV1|1|I" + b"|" * 17 + b"V1\rORC|RE|P1|F1\rOBR|1|P1|F1\r"
    found = {("control", "C9"), ("patient", "7"), ("patient", "8"), ("order", "P1"), ("order", "F1"), ("visit", "V1")}
    assert found == set(peek(raw, {}).search)


@pytest.mark.parametrize(
    ("kind", "shown"), [("ORU^^ORU_R01", "ORU^R01"), ("OUL^^OUL_R22", "OUL^R22"), ("SIU^^SIU_S12", "SIU"), ("ORU", "ORU"), ("VXU", "VXU^V04")]
)
def test_a_missing_trigger_is_that_of_the_structure_where_there_is_only_one(kind, shown):
    assert shown == peek(message("A01").replace(b"ADT^A01", kind.encode()), {}).kind


@pytest.mark.parametrize("kind", ["PPR^PC1", "PPR^PC3", "ADT^A29", "ADT^A30", "ADT^A36", "BAR^P02", "BAR^P06", "BAR^P12", "ORL^O22", "ORR^O02", "OSR^Q06", "ADR^A19", "MFK^M02",
                                  "ORP^O10", "RRD^O14", "RRA^O18", "RGV^O15", "OMD^O03", "PMU^B01", "SRR^S01"])  # fmt: skip
def test_a_message_of_the_standard_is_not_refused_for_want_of_a_map(kind):
    assert None is peek(message("A01").replace(b"ADT^A01", kind.encode()), {}).problem

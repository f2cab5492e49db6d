import pytest

from carelane.domain.errors import Unreadable
from carelane.formats.hl7v2 import functions, scope
from carelane.formats.hl7v2.read import read
from carelane.models.schemas import check

HEAD = "MSH|^~\\&|EHR|NORTH|HUB|C|20260102030405+0000||{kind}|C1|{mode}|2.5.1\r"
PID = "PID|1||4711^^^NORTH^MR~99^^^SSA^SS||Doe^Jo^Q^Jr^Dr||19800101|F||2106-3^White|1 Elm^Apt 2^Monroe^WI^53566^US^H||(608)555-0101^PRN^PH~jo@example.org^NET^Internet~555-7^^CP|||M\r"


def convert(kind: str, *lines: str, mode: str = "P", **settings: object):
    return read((HEAD.format(kind=kind, mode=mode) + PID + "".join(line + "\r" for line in lines)).encode(), settings)


def test_an_admission_becomes_an_arrival_that_fits_its_schema():
    [one] = convert("ADT^A01", "PV1|1|I|3N^12^A^NORTH||||77^Berg^Ingrid^^^^MD^^^^^^NPI||||||||||||V1^^^NORTH^VN|" + "|" * 24 + "20260102030000+0000")
    assert [] == check(one.document, "PatientAdmin", "Arrival")
    patient, visit = one.document["Patient"], one.document["Visit"]
    assert [{"ID": "4711", "IDType": "MR"}, {"ID": "99", "IDType": "SS"}] == patient["Identifiers"]
    assert ("Doe", "Jo", "Q", "1980-01-01", "Female", "White", "Married") == tuple(
        patient["Demographics"][name] for name in ("LastName", "FirstName", "MiddleName", "DOB", "Sex", "Race", "MaritalStatus")
    )
    assert {"StreetAddress": "1 Elm, Apt 2", "City": "Monroe", "State": "WI", "ZIP": "53566", "Country": "US",
            "Extensions": {"street-lines": {"url": "urn:carelane:extension:street-lines", "strings": ["1 Elm", "Apt 2"]}}} == patient["Demographics"]["Address"]  # fmt: skip
    assert ({"Home": "(608)555-0101", "Mobile": "555-7"}, ["jo@example.org"]) == (
        patient["Demographics"]["PhoneNumber"], patient["Demographics"]["EmailAddresses"])  # fmt: skip
    assert ("Inpatient", "V1", "2026-01-02T03:00:00.000Z") == (visit["PatientClass"], visit["VisitNumber"], visit["VisitDateTime"])
    assert {"Department": "3N", "Room": "12", "Bed": "A", "Facility": "NORTH"} == visit["Location"]
    assert {"ID": "77", "IDType": "NPI", "LastName": "Berg", "FirstName": "Ingrid", "Credentials": ["MD"]} == visit["AttendingProvider"]


def test_meta_says_what_happened_when_and_whether_it_was_a_test():
    [one] = convert("ADT^A11", "PV1|1|O", mode="T")
    meta = one.document["Meta"]
    assert ("PatientAdmin", "Cancel", "Registration", True, "2026-01-02T03:04:05.000Z") == tuple(
        meta[name] for name in ("DataModel", "EventType", "CanceledEvent", "Test", "EventDateTime")
    )


def test_an_explicit_null_is_no_value_and_listed():
    [one] = convert("ADT^A31")
    assert "SSN" not in one.document["Patient"]["Demographics"]
    [one] = read((HEAD.format(kind="ADT^A31", mode="P") + 'PID|1||7||A||""|F\r').encode(), {})
    assert "DOB" not in one.document["Patient"]["Demographics"]
    assert ["Patient.Demographics.DOB"] == one.document["Meta"]["Extensions"]["explicit-nulls"]["strings"]


def test_a_merge_names_survivor_and_retired_and_one_document_comes_per_pair():
    found = convert("ADT^A40", "MRG|8^^^NORTH^MR", "PID|1||5^^^NORTH^MR", "MRG|6^^^NORTH^MR")
    assert [("4711", "8"), ("5", "6")] == [
        (one.document["Patient"]["Identifiers"][0]["ID"], one.document["Patient"]["PreviousIdentifiers"][0]["ID"]) for one in found
    ]


def test_swapped_beds_are_two_transfers():
    found = convert("ADT^A17", "PV1|1|I|3N^1^A", "PID|2||5", "PV1|1|I|3N^2^B")
    assert [("4711", "1"), ("5", "2")] == [(one.document["Patient"]["Identifiers"][0]["ID"], one.document["Visit"]["Location"]["Room"]) for one in found]


def test_a_second_patient_in_an_admission_is_reported_and_not_mixed_in():
    [one] = convert("ADT^A01", "PID|2||5", "AL1|1||X")
    assert ("4711", "multiple-patients", "Allergies" in one.document["Patient"]) == (
        one.document["Patient"]["Identifiers"][0]["ID"], next(issue.code for issue in one.issues if issue.severity == "error"), False)  # fmt: skip


def test_results_of_two_patients_in_one_message_stay_apart():
    found = convert("ORU^R01", "OBR|1|P1|F1|A", "OBX|1|ST|X||for 4711", "PID|2||5", "OBR|1|P2|F2|A", "OBX|1|ST|X||for 5")
    assert [("4711", "for 4711"), ("5", "for 5")] == [
        (one.document["Patient"]["Identifiers"][0]["ID"], one.document["Orders"][0]["Results"][0]["Value"]) for one in found
    ]


def test_a_lab_result_keeps_digits_range_flag_and_notes():
    [one] = convert(
        "ORU^R01", "ORC|RE|P1|F1", "OBR|1|P1|F1|24323-8^Panel^LN|||20260101|||||||||1902^Berg^Ingrid^^^^^^^^^^NPI||||||20260102||LAB|F", "NTE|1||on the order",
        "OBX|1|NM|718-7^Hemoglobin^LN||1.10|g/dL|12.0-16.0|L|||F|||20260101", "NTE|1||on the result")  # fmt: skip
    order = one.document["Orders"][0]
    result = order["Results"][0]
    assert [] == check(one.document, "Results", "New")
    assert ("P1", "F1", "Resulted", "Final", ["on the order"]) == tuple(
        order[name] for name in ("ID", "ApplicationOrderID", "Status", "ResultsStatus", "Notes")
    )
    assert ("718-7", "LOINC", "1.10", "Numeric", "Low", "Final", ["on the result"]) == tuple(
        result[name] for name in ("Code", "Codeset", "Value", "ValueType", "AbnormalFlag", "Status", "Notes")
    )
    assert {"Low": 12, "High": 16, "Text": "12.0-16.0"} == result["ReferenceRange"]


def test_text_over_several_obx_is_one_result():
    [one] = convert("ORU^R01", "OBR|1||F1|A", "OBX|1|TX|X||line 1", "OBX|2|TX|X||line 2", "OBX|3|TX|Y||other")
    assert ["line 1\nline 2", "other"] == [result["Value"] for result in one.document["Orders"][0]["Results"]]


def test_a_number_that_is_none_is_text_and_reported():
    [one] = convert("ORU^R01", "OBR|1||F1|A", "OBX|1|NM|X||<5")
    assert ("<5", "String", "type-mismatch") == (
        one.document["Orders"][0]["Results"][0]["Value"], one.document["Orders"][0]["Results"][0]["ValueType"],
        next(issue.code for issue in one.issues if issue.row == "result.type"))  # fmt: skip


def test_a_result_marked_wrong_stays_marked():
    [one] = convert("ORU^R01", "OBR|1||F1|A", "OBX|1|ST|X||v||||||W")
    result = one.document["Orders"][0]["Results"][0]
    assert ("Deleted", True) == (result["Status"], "wrong" in result["Extensions"])


def test_an_order_without_a_placer_number_is_unsolicited():
    assert "NewUnsolicited" == convert("ORU^R01", "OBR|1||F1|A")[0].document["Meta"]["EventType"]


def test_an_unknown_code_goes_through_with_an_issue_that_names_no_value():
    [one] = convert("ADT^A01", "PV1|1|Q")
    issue = next(issue for issue in one.issues if issue.row == "pv1.2")
    assert ("Q", "unmapped-code", "PV1-2") == (one.document["Visit"]["PatientClass"], issue.code, issue.source)
    assert "Q" not in issue.text.split()


def test_a_letter_that_a_message_declares_as_its_separator_separates():
    raw = b"MSH|^~\\&|A|B|C|D|20260101||ADT^A01|C1|P|2.5\rPID|1||7^^^N^MR||Doe^Jo||19800101|F\rPV1|1|I|4W^33\r"
    [usual], [odd] = read(raw, {}), read(raw.replace(b"^", b"x"), {})
    assert ("Jo", usual.document) == (odd.document["Patient"]["Demographics"]["FirstName"], odd.document)


def test_of_a_field_that_is_read_in_part_the_rest_is_listed_component_by_component():
    raw = b'MSH|^~\\&|A|B|C|D|20260101||ADT^A01|C1|P|2.5\rPID|1||7^^^N^MR||Doe^Jo||19800101|F^x^y~M^z||R~S^t\rNTE|1|""|n\rPV1|1|I\r'
    listed = [path for path in read(raw, {})[0].unmapped if path.startswith(("PID", "NTE"))]
    assert ["PID-8[2]", "PID-8.2", "PID-8.3", "PID-10[2]"] == listed


def test_z_segments_go_to_extensions_and_leftovers_are_listed_without_values():
    [one] = convert("ADT^A01", "PV1|1|I||||||||||||||||||||||||||||||||||||||||secret", "ZPD|1|a^b")
    assert [{"1": "1", "2": {"1": "a", "2": "b"}, "0": "PV1 1"}] == one.document["Meta"]["Extensions"]["v2.ZPD"]
    assert "PV1-42" in one.unmapped and "secret" not in str(one.unmapped)


def test_identifiers_of_one_type_are_told_apart_by_their_authority():
    raw = HEAD.format(kind="ADT^A28", mode="P") + "PID|1||7^^^NORTH^MR~8^^^SOUTH^MR~9^^^X^SS||A\r"
    assert ["NORTH:MR", "SOUTH:MR", "SS"] == [one["IDType"] for one in read(raw.encode(), {})[0].document["Patient"]["Identifiers"]]


@pytest.mark.parametrize(("kind", "reason"), [("ADT^A24", "linking"), ("ADT^A29", "deleted"), ("MFN^M04", "charge master"), ("XYZ^A01", "does not know")])
def test_what_has_no_document_says_why(kind, reason):
    with pytest.raises(Unreadable, match=reason):
        convert(kind)


@pytest.mark.parametrize("module", [scope, functions])
def test_each_of_many_identifiers_is_looked_at_a_few_times_however_many_there_are(monkeypatch, module):
    looked, look = [], module.pick
    monkeypatch.setattr(module, "pick", lambda *about: looked.append(1) or look(*about))
    numbers = b"~".join(b"%d^^^A^MR" % number for number in range(1_000))
    [one] = read(b"MSH|^~\\&|A|B|C|D|20260101||ADT^A01|C1|P|2.5\rPID|1||" + numbers + b"||Doe^Jo\r", {})
    assert ({"A:MR"}, True) == ({found["IDType"] for found in one.document["Patient"]["Identifiers"]}, len(looked) < 5 * 1_000)


def _visit(sent: str, **settings) -> str:
    raw = f"MSH|^~\\&|A|B|C|D|{sent}||ADT^A01|C1|P|2.5\rPID|1||7^^^N^MR\rPV1|1|I" + "|" * 42 + "20260102010000\r"
    return read(raw.encode(), settings)[0].document["Visit"]["VisitDateTime"]


def test_a_time_without_a_zone_is_in_the_sources_zone():
    assert "2026-01-02T07:00:00.000Z" == _visit("20260102020000+0000", time_zone="America/Chicago")


def test_a_time_without_a_zone_is_in_that_of_msh_7_where_the_source_has_none():
    assert "2026-01-02T00:00:00.000Z" == _visit("20260102020000+0100")


def test_a_time_without_any_zone_is_told_as_the_senders_own_clock():
    assert "2026-01-02T01:00:00.000" == _visit("20260102020000")


def test_the_time_of_a_birth_keeps_its_local_date():
    raw = b"MSH|^~\\&|A|B|C|D|20260101100000+0100||ADT^A01|C1|P|2.5.1\rPID|1||7^^^N^MR||Doe^Jo||197006010012|F\r"
    told = read(raw, {})[0].document["Patient"]["Demographics"]
    assert ("1970-06-01", "197006010012") == (told["DOB"], told["Extensions"]["birth-time"]["string"])

import pytest

from carelane.domain.errors import Unmappable
from carelane.domain.message import Leftovers
from carelane.formats.hl7v2.message import parse
from carelane.formats.hl7v2.read import read
from carelane.formats.hl7v2.write import write

RAW = (
    b"MSH|^~\\&|EHR|NORTH|HUB|C|20260102030405+0000||ADT^A04^ADT_A01|C1|P|2.5.1\rPID|1||4711^^^NORTH^MR~8^^^SOUTH^MR||Doe^Jo^Q||19800101|F\r"
    b"NK1|1|Roe^Al|SPO\rPV1|1|O|3N^12\rAL1|1|DA|7980^Penicillin^RXNORM|MO|Rash\rIN1|1|PPO^Plan|44|Mutual\rIN2|||||\rZPD|1|a^b\r"
)


def test_a_document_goes_back_with_its_own_trigger_and_comes_again_the_same():
    [one] = read(RAW, {}, Leftovers.CARRY)
    out, _ = write(one.document, {"leftovers": "carry"}, "M1")
    message = parse(out)
    assert ("ADT", "A04", "ADT_A01", "M1") == (message.get("MSH", 9), message.get("MSH", 9, 2), message.get("MSH", 9, 3), message.get("MSH", 10))
    again = read(out, {}, Leftovers.CARRY)[0].document
    for document in (one.document, again):
        del document["Meta"]["Extensions"]["v2.MSH"], document["Meta"]["Extensions"]["control-id"]  # the control id is new
    assert one.document == again


def test_without_a_remembered_trigger_the_usual_one_is_written():
    out, _ = write({"Meta": {"DataModel": "PatientAdmin", "EventType": "Discharge"}, "Patient": {"Identifiers": [{"ID": "7"}]}}, {}, "M1")
    assert "A03" == parse(out).get("MSH", 9, 2)


def test_missing_required_fields_are_reported():
    _, issues = write({"Meta": {"DataModel": "PatientAdmin", "EventType": "Arrival"}, "Visit": {"VisitNumber": "1"}}, {}, "M1")
    assert ["PID-3", "PID-5", "PV1-2"] == [issue.target for issue in issues]


def test_control_ids_are_cut_to_twenty_characters_before_2_7():
    document = read(RAW, {})[0].document
    assert (20, 30) == tuple(len(parse(write(document, {"version": version}, "x" * 30)[0]).get("MSH", 10)) for version in ("2.5.1", "2.7"))


def test_text_with_delimiters_and_line_breaks_survives():
    document = read(RAW, {})[0].document
    document["Patient"]["Demographics"]["LastName"] = "D|o^e&~\\\nX"
    assert "D|o^e&~\\\nX" == read(write(document, {}, "M1")[0], {})[0].document["Patient"]["Demographics"]["LastName"]


def test_a_query_has_no_message_and_says_so():
    with pytest.raises(Unmappable, match="no HL7 v2 trigger"):
        write({"Meta": {"DataModel": "PatientAdmin", "EventType": "CensusQuery"}}, {}, "M1")

"""Which results belong to which order: as HL7's message structures say, ORC before OBR or behind it."""

import pytest

from carelane.domain.message import Leftovers
from carelane.formats.hl7v2.read import read
from carelane.formats.hl7v2.write import write

POTASSIUM, SODIUM = "OBX|1|NM|2823-3^Potassium^LN||7.1|mmol/L|||||F", "OBX|1|NM|2951-2^Sodium^LN||141|mmol/L|||||F"


def message(kind: str, *segments: str, version: str = "2.5.1") -> bytes:
    return "\r".join([f"MSH|^~\\&|A|B|C|D|20260101100000+0000||{kind}|C1|P|{version}", "PID|1||7^^^N^MR||Doe^Jo", *segments, ""]).encode()


def converted(kind: str, *segments: str, version: str = "2.5.1"):
    return read(message(kind, *segments, version=version), {})


def told(kind: str, *segments: str, version: str = "2.5.1") -> list[tuple]:
    orders = converted(kind, *segments, version=version)[0].document["Orders"]
    return [(one.get("ID"), one.get("Procedure", {}).get("Code"), [result["Value"] for result in one["Results"]]) for one in orders]


def codes(kind: str, *segments: str, version: str = "2.5.1") -> list[str]:
    return [issue.code for issue in converted(kind, *segments, version=version)[0].issues]


BEHIND = ["OBR|1|P1||2823-3", "ORC|RE|P1", POTASSIUM, "OBR|2|P2||2951-2", "ORC|RE|P2", SODIUM]
BEFORE = ["ORC|RE|P1", "OBR|1|P1||2823-3", POTASSIUM, "ORC|RE|P2", "OBR|2|P2||2951-2", SODIUM]
EACH_ITS_OWN = [("P1", "2823-3", ["7.1"]), ("P2", "2951-2", ["141"])]


@pytest.mark.parametrize("version", ["2.5", "2.5.1", "2.6", "2.7", "2.8", "2.8.2"])
@pytest.mark.parametrize("trigger", ["R22", "R23", "R24"])
def test_where_orc_follows_obr_every_result_stays_with_its_own_order(trigger, version):
    assert EACH_ITS_OWN == told(f"OUL^{trigger}^OUL_{trigger}", *BEHIND, version=version)


def test_the_structure_comes_from_the_trigger_where_msh_9_names_none():
    assert EACH_ITS_OWN == told("OUL^R22", *BEHIND)


def test_orders_behind_a_specimen_keep_their_results_where_orc_follows_obr():
    assert EACH_ITS_OWN == told("OUL^R22^OUL_R22", "SPM|1|S1||BLD", *BEHIND)


def test_an_order_without_orc_between_two_with_one_takes_nothing_of_theirs():
    segments = ["OBR|1|P1||2823-3", "ORC|RE|P1", POTASSIUM, "OBR|2|P2||2951-2", SODIUM, "OBR|3|P3||1", "ORC|RE|P3"]
    assert [*EACH_ITS_OWN, ("P3", "1", [])] == told("OUL^R24^OUL_R24", *segments)


def test_a_notification_of_participants_between_obr_and_orc_keeps_them_together():
    assert EACH_ITS_OWN == told("OUL^R24^OUL_R24", *(part for one in BEHIND for part in ([one, "PRT||AD"] if one.startswith("OBR") else [one])), version="2.8")


def test_what_stands_as_the_structure_has_it_is_not_remarked():
    assert "segment-out-of-order" not in codes("OUL^R22^OUL_R22", *BEHIND)
    assert "segment-out-of-order" not in codes("ORU^R01^ORU_R01", *BEFORE)


def test_orc_before_obr_where_it_should_follow_is_paired_as_sent_and_told():
    assert EACH_ITS_OWN == told("OUL^R22^OUL_R22", *BEFORE)
    assert "segment-out-of-order" in codes("OUL^R22^OUL_R22", *BEFORE)


def test_orc_behind_obr_where_it_should_lead_is_paired_as_sent_and_told():
    assert EACH_ITS_OWN == told("ORU^R01^ORU_R01", *BEHIND)
    assert "segment-out-of-order" in codes("ORU^R01^ORU_R01", *BEHIND)


def test_an_order_without_orc_before_one_with_it_is_not_joined_to_it():
    segments = ["OBR|1|P1||2823-3", POTASSIUM, "ORC|RE|P2", "OBR|2|P2||2951-2", SODIUM]
    assert EACH_ITS_OWN == told("ORU^R01^ORU_R01", *segments)


def test_a_structure_the_standard_does_not_have_is_read_with_orc_first_and_told():
    raw = converted("ORU^R01^ORU_R99", *BEFORE)
    assert [] == [issue.code for issue in raw[0].issues if issue.code == "unknown-structure"], "R01 is known by its trigger"


def test_results_of_before_are_no_new_orders():
    segments = ["ORC|NW|P1", "OBR|1|P1||1^A", "PID|1||7^^^N^MR||Doe^Jo", "ORC|PR|P0", "OBR|1|P0||9^Old", SODIUM, "ORC|NW|P2", "OBR|2|P2||2^B"]
    found = converted("OML^O21^OML_O21", *segments)
    assert [["P1", "P2"]] == [[order["ID"] for order in one.document["Orders"]] for one in found]
    assert "results-of-before" in [issue.code for issue in found[0].issues]


def test_results_of_before_are_no_question_of_the_order_they_come_with():
    document = converted("OML^O21^OML_O21", "ORC|NW|P1", "OBR|1|P1||1^A", "ORC|PR|P0", "OBR|1|P0||9^Old", SODIUM)[0].document
    assert ("P1", None) == (document["Orders"][0]["ID"], document["Orders"][0].get("ClinicalInfo"))


def test_orc_is_written_behind_obr_where_the_structure_wants_it_there():
    document = read(message("OUL^R22^OUL_R22", "SPM|1|S1||BLD", *BEHIND), {}, Leftovers.CARRY)[0].document
    back = write(document, {"leftovers": "carry"}, "1")[0].decode().split("\r")
    assert ["SPM", "OBR", "ORC", "OBX", "OBR", "ORC", "OBX"] == [line[:3] for line in back[2:-1]]

"""Results: the status and the value of an observation, both ways."""

import pytest

from carelane.domain.message import Leftovers
from carelane.formats.hl7v2.observations import SHARED_STATUS
from carelane.formats.hl7v2.packs import pack_of
from carelane.formats.hl7v2.read import read
from carelane.formats.hl7v2.write import write


def message(*segments: str) -> bytes:
    head = ("MSH|^~\\&|A|B|C|D|20260101100000+0000||ORU^R01^ORU_R01|C1|P|2.5.1", "PID|1||7^^^N^MR||Doe^Jo", "OBR|1|P1|F1|1^A^L")
    return "\r".join([*head, *segments, ""]).encode()


def document(*segments: str, leftovers: Leftovers = Leftovers.NONE) -> dict:
    return read(message(*segments), {}, leftovers)[0].document


def result(segment: str) -> dict:
    return document(segment)["Orders"][0]["Results"][0]


def written(found: dict, number: int, **settings) -> str:
    line = next(line for line in write(found, settings, "C1")[0].decode().split("\r") if line.startswith("OBX"))
    return [*line.split("|"), *[""] * 30][number]


@pytest.mark.parametrize(("code", "status"), [
    ("F", "Final"), ("U", "Final"), ("V", "Final"), ("P", "Preliminary"), ("S", "Preliminary"), ("R", "Preliminary"), ("C", "Corrected"), ("A", "Corrected"),
    ("B", "Corrected"), ("I", "Incomplete"), ("X", "Unavailable"), ("D", "Deleted"), ("W", "Deleted"), ("N", "None Specified"), ("O", "None Specified"),
])  # fmt: skip
def test_every_status_is_told_and_written_back_as_it_came(code, status):
    found = document(f"OBX|1|NM|2^B^L||1||||||{code}")
    assert (status, code) == (found["Orders"][0]["Results"][0]["Status"], written(found, 11))


def test_a_result_of_another_patient_is_withdrawn_and_not_corrected():
    found = result("OBX|1|NM|2^B^L||1||||||W")
    assert ("Deleted", "true") == (found["Status"], found["Extensions"]["wrong"]["string"])


def test_a_status_that_was_changed_on_the_way_is_written_as_it_is_now():
    found = document("OBX|1|NM|2^B^L||1||||||W")
    found["Orders"][0]["Results"][0]["Status"] = "Final"
    assert "F" == written(found, 11)


def test_the_codes_that_share_a_status_are_those_of_the_table():
    table = pack_of("results").tables["result_status"]
    assert SHARED_STATUS == {code: status for code, status in table.forward.items() if table.back[status] != code}


def test_every_organism_of_a_repeated_value_keeps_its_code():
    found = document("OBX|1|CWE|5^Culture^LN||112283007^E coli^SCT~60875001^S epi^SCT||||||F")
    told = found["Orders"][0]["Results"][0]
    assert ("E coli\nS epi", "112283007\n60875001") == (told["Value"], told["Extensions"]["value-code"]["string"])
    assert "112283007^E coli^SCT~60875001^S epi^SCT" == written(found, 5)


@pytest.mark.parametrize(
    ("sent", "told"), [("^1^:^128", "1:128"), ("^3^-^5", "3-5"), (">^500", ">500"), ("^100", "100"), ("<^0.1", "<0.1"), ("^2^+", "2+"), ("^1^/^16", "1/16")]
)
def test_ratios_ranges_and_titres_go_both_ways(sent, told):
    found = document(f"OBX|1|SN|5^Titre^LN||{sent}||||||F")
    assert (told, sent) == (found["Orders"][0]["Results"][0]["Value"], written(found, 5))

"""Allergies in AL1 and IAM: none is dropped because the other segment is there."""

from carelane.formats.hl7v2.read import read
from tests.formats.hl7v2.test_families import documents

PENICILLIN, LATEX = "AL1|1|DA|70618^Penicillin^RXNORM|SV", "IAM|1|OT|L^Latex|MO||A"


def names(*segments: str) -> list[str]:
    return [one["Name"] for one in documents("ADT^A01", "PV1|1|I", *segments)[0]["Patient"]["Allergies"]]


def test_an_allergy_in_al1_is_told_beside_one_in_iam():
    assert ["Penicillin", "Latex"] == names(PENICILLIN, LATEX)


def test_an_allergy_that_both_tell_is_told_once():
    assert ["Penicillin"] == names(PENICILLIN, "IAM|1|DA|70618^Penicillin^RXNORM|SV||A")


def test_an_allergy_that_both_tell_differently_is_told_twice():
    assert ["Penicillin", "Penicillin"] == names(PENICILLIN, "IAM|1|DA|70618^Penicillin^RXNORM|MO||A")


def test_that_an_allergy_is_taken_back_is_told():
    allergy = documents("ADT^A60", "IAM|1|OT|L^Latex|MO||D^Delete")[0]["Patient"]["Allergies"][0]
    assert "D" == allergy["Extensions"]["action"]["string"]


def test_allergies_of_a_drug_order_are_told_whichever_segment_brings_them():
    raw = "MSH|^~\\&|A|B|C|D|20260101||RDE^O11|C1|P|2.5\rPID|1||7^^^N^MR\r" + f"{PENICILLIN}\r{LATEX}\rORC|NW|P1\rRXE||N^A^L|1||mg\r"
    assert ["Penicillin", "Latex"] == [one["Name"] for one in read(raw.encode(), {})[0].document["Patient"]["Allergies"]]

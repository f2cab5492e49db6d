"""Out as it came in: nothing made up that the sender did not say, everything in its own place, whatever the document has no member for."""

import pytest

from carelane.domain.message import Leftovers
from carelane.formats.fhir.write import bundle_of
from carelane.formats.hl7v2.message import parse
from carelane.formats.hl7v2.read import read
from carelane.formats.hl7v2.write import write

CARRY = {"leftovers": "carry"}


def again(kind, *lines, version="2.5.1"):
    raw = "\r".join([f"MSH|^~\\&|A|B|C|D|20260102030405+0000||{kind}|C1|P|2.5.1", *lines, ""]).encode()
    [one] = read(raw, {}, Leftovers.CARRY)
    out, _ = write(one.document, {**CARRY, "version": version}, "C1")
    return [segment.text for segment in parse(out).segments[1:]]


PV1 = "PV1|1|I"
PID = "PID|1||7^^^N^MR||Doe^Jo"
OBR = "OBR|1|P1|F1|1^One^L|||20260102||||||||||||||||||F"
OBX = "OBX|1|ST|a^A^L||first||||||F|||20260102"


@pytest.mark.parametrize(
    ("kind", "lines"),
    [
        ("ORU^R01^ORU_R01", [PID, OBR, OBX]),  # results need no ORC
        ("ORU^R01^ORU_R01", [PID, "ORC|NW|P1|F1", OBR, OBX]),  # an odd control code stays
        ("ORU^R01^ORU_R01", ["PID|1", OBR, OBX]),  # nobody's results
        ("ORU^R01^ORU_R01", [PID, "NTE|1||of the patient", "ORC|RE|P1|F1", OBR, "NTE|1||of the order", OBX, "NTE|1||of the result", "SPM|1|^a&b||BLD"]),
        ("ORU^R01^ORU_R01", [PID, OBR, OBX, "SPM|1|^a||BLD", OBR.replace("|1|P1", "|2|P2"), OBX, "SPM|1|^b||UR"]),  # each order with its own specimen
        ("ORU^R01^ORU_R01", [PID, OBR, OBX, "ORC|RE|P2|F1", OBR.replace("|1|P1", "|2|P2"), OBX]),  # an ORC for the second order only
        ("VXU^V04^VXU_V04", [PID, "ORC|RE|P1|F1", "RXA|0|1|20260102||140^Flu^CVX|1"]),  # a vaccination has no OBR
        ("ORM^O01^ORM_O01", [PID, "ORC|NW|P1|F1", "RXO|7980^Penicillin^RXNORM|500||mg"]),  # a drug is asked for in RXO, and stays asked for
        ("OMP^O09^OMP_O09", [PID, "ORC|NW|P1|F1", "RXO|7980^Penicillin^RXNORM|500||mg", "RXR|PO"]),
        ("ADT^A01^ADT_A01", ["EVN|A01|20260102030405+0000||||20260101", PID, "PV1|1|I"]),  # when it was recorded, and when it happened
        ("ADT^A04^ADT_A01", ["EVN|A04|20260102030405+0000", PID, "PD1||2", "NK1|1||1^Odd^LOCAL", "PV1|1|O"]),  # a relationship no table knows
    ],
)
def test_what_came_goes_out_and_nothing_else(kind, lines):
    assert lines == again(kind, *lines)


def test_a_patients_note_is_not_the_orders():
    raw = "\r".join(["MSH|^~\\&|A|B|C|D|20260102||ORU^R01|C1|P|2.5.1", PID, "NTE|1||of the patient", OBR, OBX, ""]).encode()
    [one] = read(raw, {})
    assert (["of the patient"], None) == (one.document["Patient"].get("Notes"), one.document["Orders"][0].get("Notes"))


def test_what_an_order_has_no_place_for_as_it_is_asked_for_is_reported():
    document = {
        "Meta": {"DataModel": "Medications", "EventType": "New", "Extensions": {"v2-trigger": {"string": "OMP^O09"}}},
        "Patient": {"Identifiers": [{"ID": "7"}]},
        "Order": {"ID": "P1", "Medication": {"Product": {"Code": "1"}}, "Pharmacy": {"Code": "9"}},
    }
    out, issues = write(document, {}, "1")
    assert b"RXO|1" in out and b"RXE" not in out
    assert [("not-written", "RXE-40")] == [(issue.code, issue.target) for issue in issues if issue.code == "not-written"]


@pytest.mark.parametrize("kind", ["TX", "FT", "ST"])
def test_text_keeps_the_delimiters_its_sender_forgot_to_escape(kind):
    text = "Smith & Wesson^x, R&D"
    raw = "\r".join(["MSH|^~\\&|A|B|C|D|20260102||ORU^R01|C1|P|2.5.1", PID, OBR, f"OBX|1|{kind}|a^A^L||{text}||||||F", f"NTE|1||{text}", ""]).encode()
    [one] = read(raw, {}, Leftovers.CARRY)
    result = one.document["Orders"][0]["Results"][0]
    assert (text, [text]) == (result["Value"], result["Notes"])
    assert one.document == read(write(one.document, CARRY, "C1")[0], {}, Leftovers.CARRY)[0].document


def test_a_time_that_is_none_comes_back_as_it_was():
    assert "EVN|A01|20110613122406637" == again("ADT^A01^ADT_A01", "EVN|A01|20110613122406637", PID, "PV1|1|I")[0]


def test_a_local_time_that_no_row_reads_keeps_its_zone():
    raw = "\r".join(["MSH|^~\\&|A|B|C|D|20260102030405-0500||ORU^R01|C1|P^T|2.5.1", PID, OBR, OBX + "|||||20260102010000", ""]).encode()
    [one] = read(raw, {}, Leftovers.CARRY)
    out = write(one.document, CARRY, "C1")[0].split(b"\r")
    assert out[0].startswith(b"MSH|^~\\&|A|B|C|D|20260102030405-0500||ORU^R01^ORU_R01|C1|P^T|") and out[3].endswith(b"|20260102010000")
    bundle, _ = bundle_of(one.document, {}, "C1")
    [observation] = [entry["resource"] for entry in bundle["entry"] if entry["resource"]["resourceType"] == "Observation"]
    assert "2026-01-02T06:00:00.000Z" in str(observation["extension"])


def test_the_head_keeps_whole_what_the_sender_said_of_itself():
    head = "MSH|^~\\&|A^1.2^ISO|B|C|D|20260102030405+0000|k|ADT^A01^ADT_A01|C1|P|2.7|1||AL|NE|USA|UNICODE UTF-8||||N1^L^7^^^AA&1.2&ISO^XX|N2||~x"
    [one] = read("\r".join([head, "EVN|A01", PID, PV1, ""]).encode(), {}, Leftovers.CARRY)
    assert head == write(one.document, {**CARRY, "version": "2.7"}, "C1")[0].decode().split("\r")[0]


@pytest.mark.parametrize(("mode", "test"), [("P", False), ("T", True), ("D", True), ("", False)])
def test_the_processing_mode_is_the_senders_unless_the_document_says_otherwise(mode, test):
    raw = "\r".join([f"MSH|^~\\&|A|B|C|D|2026||ADT^A01|C1|{mode}|2.5.1", "EVN|A01", PID, PV1, ""]).encode()
    document = read(raw, {}, Leftovers.CARRY)[0].document
    assert test == document["Meta"]["Test"] and (mode or "P") == parse(write(document, CARRY, "1")[0]).get("MSH", 11)
    document["Meta"]["Test"] = not test
    assert ("P" if test else "T") == parse(write(document, CARRY, "1")[0]).get("MSH", 11)


@pytest.mark.parametrize(
    ("kind", "lines"),
    [
        (
            "ORU^R01^ORU_R01",
            [
                PID,
                OBR,
                "OBX|1|FT|a^A^L||one \\T\\ two||||||F||||||||||MD",
                "OBX|2|FT|a^A^L||||||||F||||||||||ME",
                "OBX|3|FT|a^A^L||three\\.br\\four~five||||||F",
                "OBX|4|NM|b^B^L||5|g^gram^UCUM|||||F",
                "OBX|5|NM|c^C^L||6|g|||||F",
            ],
        ),
        ("ORU^R01^ORU_R01", [PID, OBR, "OBX|1|CWE|a^A^L||A^b^L~C^d^L||||||F", "OBX|2|NM|b^B^L||5~6|g^gram^UCUM|||||F"]),
        ("ORU^R01^ORU_R01", [PID, OBR, "OBX|1|DTM|a^A^L||202601021200-0500~20260103||||||F", "OBX|2|SN|b^B^L||>^5~^6||||||F"]),
        (
            "ORU^R01^ORU_R01",
            [PID, OBR, "OBX|1|ED|a^A^L||^text^plain^Base64^QUJD||||||F", "OBX|2|ED|a^A^L||^text^plain^Base64^REVG||||||F", OBX.replace("OBX|1", "OBX|3")],
        ),
        (
            "MDM^T02^MDM_T02",
            [
                "EVN|T02|20260102",
                PID,
                PV1,
                "TXA|1|PN|AP",
                "OBX|1|TX|a^A^L||one||||||F",
                "OBX|2|TX|b^A^L||two~three||||||F|||20260102",
                "OBX|3|TX|a^A^L||||||||F",
            ],
        ),
    ],
)
def test_a_value_told_in_pieces_is_told_in_those_pieces_again(kind, lines):
    assert lines == again(kind, *lines)


def test_a_text_that_was_changed_on_purpose_is_told_whole_and_moves_no_other_result():
    lines = [PID, OBR, "OBX|1|TX|a^A^L||one||||||F", "OBX|2|TX|a^A^L||two||||||F||||||||||ME", "OBX|3|NM|b^B^L||5|g^gram^UCUM|||||F"]
    raw = "\r".join(["MSH|^~\\&|A|B|C|D|20260102030405+0000||ORU^R01^ORU_R01|C1|P|2.5.1", *lines, ""]).encode()
    [one] = read(raw, {}, Leftovers.CARRY)
    one.document["Orders"][0]["Results"][0]["Value"] = "new"
    out = [segment.text for segment in parse(write(one.document, CARRY, "C1")[0]).segments[3:]]
    assert ["OBX|1|TX|a^A^L||new||||||F", "OBX|2|NM|b^B^L||5|g^gram^UCUM|||||F"] == out


@pytest.mark.parametrize(
    ("kind", "lines"),
    [
        (
            "OML^O33^OML_O33",
            [PID, "SPM|1|S1||BLD", "ORC|NW|1|2", "OBR|1|1|2|A^B^L", "SPM|2|S2||UR", "ORC|NW|3|4", "OBR|2|3|4|A^B^L", "ORC|NW|5|6", "OBR|3|5|6|A^B^L"],
        ),
        ("OUL^R22^OUL_R22", [PID, "SPM|1|S1||BLD", "OBR|1|1|2|A^B^L", "OBX|1|ST|a^A^L||x||||||F", "SPM|2|S2||UR", "OBR|2|3|4|A^B^L"]),
        ("ORU^R01^ORU_R01", [PID, "ORC|RE||F1", "OBR|1|P1|F1|1^One^L"]),  # a number only one of ORC and OBR has
        ("ORM^O01^ORM_O01", [PID, "ORC|NW|P1|F1", "OBR|1|P1|F2|1^One^L"]),  # numbers that differ
        (
            "ORU^R01^ORU_R01",
            [PID, OBR, "OBX|1|ST|&GDT^A^L||x||||||F||||||||||^L^^^^CLIA&1&ISO||1^Doe^Jo^^^^MD"],
        ),  # a code, a laboratory, an interpreter read elsewhere
        ("ORU^R01^ORU_R01", [PID, OBR, "OBX|1|CWE|a^A^LOINC||1^^SCT^^^^^^seen||||||F"]),  # a text behind the code's own place, a system's other name
        ("ORU^R01^ORU_R01", ["PID|1||7^^^N~8^^^M&1.2&ISO~9||Doe", OBR, OBX]),  # numbers without a type
        ("ORU^R01^ORU_R01", [PID, OBR, "OBX|1|ST|a^A^L||x||||||F", "OBX|2|ST|b^A^L||x||||||F|||20260103"]),  # a time only some have of their own
        ("ORU^R01^ORU_R01", ["PID|1||7^^^N^MR||Doe||||||||^NET^Internet^a@b.org~555-0100^PRN^PH^^1^555^0100~555-0100^PRN^PH^^1^555^0100", OBR, OBX]),
        ("VXU^V04^VXU_V04", [PID, "PV1|1|I", "ORC|RE||1", "RXA|0|1|20260101||08^HepB^CVX|1"]),  # a class that no row reads
        ("MDM^T01^MDM_T01", ["EVN|T01|20260102", PID, PV1, "TXA|1|DI|TX||||||^Doc^Ivan"]),
        ("ORU^R01^ORU_R01", [PID, OBR, OBX, "NTE|1|L|one", "NTE|2|L", "NTE|3|M|three|RE"]),  # an empty line between notes
    ],
)
def test_nothing_is_told_in_a_second_place_or_of_another_specimen(kind, lines):
    assert lines == again(kind, *lines)


def test_what_came_empty_is_told_there_when_it_was_changed_on_purpose():
    raw = "\r".join(
        ["MSH|^~\\&|A|B|C|D|20260102030405+0000||ORU^R01|C1|P|2.5.1", PID, "ORC|RE||F1", "OBR|1|P1|F1|1^One^L", OBX + "|||||||||||7^Doe", ""]
    ).encode()
    [one] = read(raw, {}, Leftovers.CARRY)
    one.document["Orders"][0]["Results"][0]["Performer"]["LastName"] = "Roe"
    out = parse(write(one.document, CARRY, "C1")[0])
    assert ("Roe", "Doe", None) == (out.get("OBX", 16, 2), out.get("OBX", 25, 2), out.get("ORC", 2))

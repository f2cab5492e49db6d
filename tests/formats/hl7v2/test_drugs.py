"""Doses: what the pharmacy encoded and what was asked for are not mixed; a number and its unit are of the same owner."""

import pytest

from carelane.domain.message import Leftovers
from carelane.formats.hl7v2.read import read
from carelane.formats.hl7v2.write import write
from carelane.models.schemas import check


def message(kind: str, *segments: str) -> bytes:
    return "\r".join([f"MSH|^~\\&|A|B|C|D|20260101100000+0000||{kind}|C1|P|2.5.1", "PID|1||7^^^N^MR||Doe^Jo", *segments, ""]).encode()


def converted(kind: str, *segments: str):
    found = read(message(kind, *segments), {})[0]
    meta = found.document["Meta"]
    assert [] == [issue for issue in check(found.document, meta["DataModel"], meta["EventType"]) if issue.code in ("schema", "unknown-value")]
    return found


def ordered(*segments: str, kind: str = "RDE^O11^RDE_O11") -> dict:
    return converted(kind, "ORC|NW|P1|F1", *segments).document["Order"]["Medication"]


def extension(item: dict, name: str):
    return item.get("Extensions", {}).get(name, {}).get("string")


def test_an_amount_without_a_unit_takes_none_of_the_request():
    drug = ordered("RXO|N^A^L|500||mg^milligram", "RXE||N^A 500 mg tablet^L|2")
    assert {"Quantity": 2} == drug["Dose"]


def test_an_amount_without_a_unit_is_of_the_form_it_is_given_in():
    drug = ordered("RXO|N^A^L|500||mg^milligram", "RXE||N^A 500 mg tablet^L|2|||TAB^Tablet")
    assert {"Quantity": 2, "Units": "Tablet"} == drug["Dose"]


def test_what_was_asked_for_counts_whole_where_the_pharmacy_said_no_amount():
    assert {"Quantity": 500, "Units": "mg"} == ordered("RXO|N^A^L|500||mg", "RXE||N^A^L|||g")["Dose"]


def test_an_explicit_null_of_the_pharmacy_leaves_the_amount_to_the_request():
    assert {"Quantity": 500, "Units": "mg"} == ordered("RXO|N^A^L|500||mg", 'RXE||N^A^L|""||g')["Dose"]


def test_the_code_of_a_drug_takes_no_name_or_system_of_the_request():
    assert {"Name": "B in words"} == ordered("RXO|N^A^L|5||mg", "RXE||^B in words|5||mg")["Product"]


def test_what_is_dispensed_and_at_what_rate_keep_their_own_units():
    drug = ordered("RXO|N^A^L|5||mg|||||||30|TAB|||||||||20|mL/hr", "RXE||N^A^L|5||mg|||||3" + "|" * 13 + "23")
    assert ({"Amount": 3}, {"Quantity": 23}) == (drug["Dispense"], drug["Rate"])


def test_route_site_method_and_timing_are_those_of_the_encoded_order():
    drug = ordered("RXO|N^A^L|5||mg", "RXR|PO^Oral|MOUTH", "RXE||N^A^L|5||mg", "TQ1|1||TID", "RXR|IV^Intravenous|HAND^Hand||IVP^IV push")
    assert ("IV", "Hand", "IV push", "TID") == (drug["Route"]["Code"], extension(drug, "site"), extension(drug, "method"), extension(drug, "timing"))


def test_an_encoded_order_without_a_route_is_given_as_was_asked_for():
    assert "PO" == ordered("RXO|N^A^L|5||mg", "RXR|PO^Oral", "RXE||N^A^L|5||mg")["Route"]["Code"]


def test_that_a_request_gave_way_to_the_encoded_order_is_told():
    assert "request-and-encoded-order" in [issue.code for issue in converted("RDE^O11", "ORC|NW|P1", "RXO|N^A^L|5||mg", "RXE||N^A^L|2").issues]


def test_a_request_behind_an_encoded_order_is_an_order_of_its_own():
    found = read(message("RDE^O11", "ORC|NW|P1", "RXE||N^A^L|5||mg", "RXO|M^B^L|7||g", "RXE||M^B^L|7"), {})
    assert [("N", 5, "mg"), ("M", 7, None)] == [
        (drug["Product"]["Code"], drug["Dose"]["Quantity"], drug["Dose"].get("Units")) for drug in (one.document["Order"]["Medication"] for one in found)
    ]


def test_both_ends_of_a_dose_are_told():
    drug = ordered("RXE||N^A^L|1|2|43^tablet^L")
    assert (1, "tablet", "2") == (drug["Dose"]["Quantity"], drug["Dose"]["Units"], extension(drug["Dose"], "maximum"))


@pytest.mark.parametrize(
    ("sent", "told"), [("43^tablet^L", "tablet"), ("mg", "mg"), ("mg^milligram^UCUM", "mg"), ("^drops", "drops"), ("43^^L^^^^^^Tablet", "Tablet")]
)
def test_a_unit_is_told_as_people_read_it(sent, told):
    assert told == ordered(f"RXE||N^A^L|1||{sent}")["Dose"]["Units"]


def test_every_instruction_is_told_and_who_it_is_for():
    drug = ordered("RXE||N^A^L|1||mg||Hold if pulse below 55~Max 6 per day" + "|" * 14 + "^Deliver to ward~^Use glass")
    assert "Hold if pulse below 55\nMax 6 per day\nDeliver to ward\nUse glass" == drug["FreeTextSig"]
    assert "Hold if pulse below 55\nMax 6 per day" == extension(drug, "administration-instructions")


def test_instructions_of_a_request_are_told():
    assert "Take with food\nUse glass bottle" == ordered("RXO|N^A^L|5||mg||^Use glass bottle|^Take with food", kind="OMP^O09^OMP_O09")["FreeTextSig"]


def test_instructions_of_a_request_that_gave_way_are_told_beside():
    drug = ordered("RXO|N^A^L|5||mg|||^Take with food", "RXE||N^A^L|5||mg||Take on an empty stomach")
    assert ("Take on an empty stomach", "Take with food") == (drug["FreeTextSig"], extension(drug, "requested-instructions"))


@pytest.mark.parametrize("kind", ["RDE^O11^RDE_O11", "OMP^O09^OMP_O09"])
def test_instructions_come_back_where_they_stood(kind):
    name, giving, dispensing = ("RXE", 7, 21) if kind.startswith("RDE") else ("RXO", 7, 6)
    fields = (
        {2: "N^A^L", giving: "Take with food", dispensing: "^Use glass"} if name == "RXE" else {1: "N^A^L", giving: "^Take with food", dispensing: "^Use glass"}
    )
    raw = message(kind, "ORC|NW|P1|F1", "|".join([name, *(fields.get(number, "") for number in range(1, 22))]).rstrip("|"))
    document = read(raw, {}, Leftovers.CARRY)[0].document
    back = write(document, {"leftovers": "carry"}, "C1")[0].decode().split("\r")
    line = next(line for line in back if line.startswith(name)).split("|")
    assert (fields[giving], fields[dispensing]) == (line[giving], line[dispensing])


def test_a_request_beside_an_encoded_order_comes_back_whole():
    request = "RXO|N^A^L|500||mg||^Use glass|^Take with food"
    document = read(message("RDE^O11^RDE_O11", "ORC|NW|P1|F1", request, "RXR|PO", "RXE||N^A^L|2||tablet", "RXR|IV"), {}, Leftovers.CARRY)[0].document
    back = write(document, {"leftovers": "carry"}, "C1")[0].decode().split("\r")
    assert [request, "RXR|PO", "RXE||N^A^L|2||tablet", "RXR|IV"] == back[3:7]


def test_a_route_before_the_dose_given_is_the_orders_and_not_told_as_the_doses():
    given = "RXA|0|1|20260101||N^A^L|5|mg"
    document = converted("RAS^O17^RAS_O17", "ORC|RE|P1", "RXO|N^A^L|5||mg", "RXR|PO^Oral", given, "RXR|IV^Intravenous").document
    assert "IV" == document["Administrations"][0]["Medication"]["Route"]["Code"]


def test_every_dose_of_an_order_is_of_that_order_and_by_the_route_behind_them():
    document = converted("RAS^O17^RAS_O17", "ORC|RE|P1", "RXA|0|1|20260101||N^A^L|5|mg", "RXA|0|2|20260102||N^A^L|5|mg", "RXR|IV^Intravenous").document
    assert [("P1", "IV"), ("P1", "IV")] == [(one["Medication"]["Order"]["ID"], one["Medication"]["Route"]["Code"]) for one in document["Administrations"]]

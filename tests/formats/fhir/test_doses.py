"""Doses: how much of what, and by which route, as the pharmacy encoded it; nothing of what was asked for is mixed into it."""

import orjson
import pytest

from carelane.domain.message import Leftovers, Origin
from carelane.formats.fhir.format import FORMAT
from carelane.formats.hl7v2.read import read
from carelane.models.fhir import check_resource

HEAD = ("MSH|^~\\&|A|B|C|D|20260101100000+0000||RDE^O11|X7|P|2.5.1", "PID|1||4711^^^HOSP^MR||Doe^Jo", "ORC|NW|P1|F1")


def dosage(*segments: str) -> dict:
    [one] = read("\r".join((*HEAD, *segments, "")).encode(), {}, Leftovers.CARRY)
    bundle = orjson.loads(FORMAT.write(one.document, {}, "M1", Origin("", one.parsed))[0])
    assert [] == check_resource(bundle)
    [request] = [entry["resource"] for entry in bundle["entry"] if entry["resource"]["resourceType"] == "MedicationRequest"]
    [found] = request["dosageInstruction"]
    return found


def test_two_tablets_are_not_two_milligrams():
    found = dosage("RXO|N^Paracetamol^L|500||mg^milligram", "RXE||N^Paracetamol 500 mg tablet^L|2|||TAB^Tablet")
    assert [{"doseQuantity": {"value": 2, "unit": "Tablet"}}] == found["doseAndRate"]


def test_what_was_asked_for_is_the_dose_where_nothing_is_encoded():
    found = dosage("RXO|N^Paracetamol^L|500|750|mg^milligram", "RXE||N^Paracetamol^L|")
    assert {"low": {"value": 500, "unit": "milligram"}, "high": {"value": 750, "unit": "milligram"}} == found["doseAndRate"][0]["doseRange"]


def test_a_dose_without_a_unit_of_its_own_takes_none_of_another_segment():
    assert [{"doseQuantity": {"value": 5}}] == dosage("RXO|N^Esmolol^L|500||mg", "RXE||N^Esmolol^L|5")["doseAndRate"]


@pytest.mark.parametrize(
    ("segments", "route"),
    [
        (("RXO|N^Esmolol^L|5||mg", "RXR|PO", "RXE||N^Esmolol^L|5||mg", "RXR|IV"), "IV"),
        (("RXO|N^Esmolol^L|5||mg", "RXR|PO", "RXE||N^Esmolol^L|5||mg"), "PO"),
        (("RXE||N^Esmolol^L|5||mg", "RXR|IV", "RXR|PO"), "IV"),
    ],
)
def test_the_route_is_that_of_the_encoded_order(segments, route):
    assert route == dosage(*segments)["route"]["coding"][0]["code"]


def test_site_and_method_are_of_the_same_route():
    found = dosage("RXO|N^Esmolol^L|5||mg", "RXR|PO^Oral|MOUTH", "RXE||N^Esmolol^L|5||mg", "RXR|IV^Intravenous|HAND^HAND|IVP^IV PUSH")
    assert ("HAND", False) == (found["site"]["coding"][0]["code"], "method" in found)


def test_the_rate_has_its_own_unit():
    found = dosage("RXE||N^Esmolol^L|5||mg" + "|" * 18 + "23|mL/hr")
    assert {"value": 23, "unit": "mL/hr"} == found["doseAndRate"][0]["rateQuantity"]


def test_no_instruction_is_lost():
    found = dosage(
        "RXO|N^Esmolol^L|5||mg||^Use glass bottle|^Take with food", "RXE||N^Esmolol^L|5||mg||Stop below 50~Call the ward" + "|" * 14 + "^Deliver to ward"
    )
    assert "Stop below 50; Call the ward; Deliver to ward" == found["text"]
    assert [{"text": "Take with food"}, {"text": "Use glass bottle"}] == found["additionalInstruction"]

"""Ids of resources: no two things of a message share one, however many documents it becomes, and the same message makes the same ones again."""

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carelane.domain.message import Leftovers, Origin
from carelane.formats.fhir.format import FORMAT
from carelane.formats.hl7v2.read import read
from carelane.models.fhir import check_resource

HEAD = "MSH|^~\\&|LAB|NORTH|HUB|X|20260102030405+0000||{kind}|C1|P|2.5"
PID = "PID|1||{n}^^^NORTH^MR||Doe^Jo||19800101|F"
ONE = PID.format(n=7)
# By family: what leads, the group that repeats (n is its number), and the type of resource that each repetition makes.
FAMILIES = {
    "ORU^R01": ([ONE], ["ORC|RE|P{n}|F{n}", "OBR|{n}|P{n}|F{n}|{n}^A^L", "OBX|1|NM|2^B^L||{n}||||||F", "OBX|2|NM|2^B^L||{n}||||||F"], "DiagnosticReport"),
    "ORU^R01 of several patients": ([], [PID, "PV1|1|I", "OBR|1|P1|F1|1^A^L", "OBX|1|NM|2^B^L||{n}||||||F"], "DiagnosticReport"),
    "OUL^R22": ([ONE], ["SPM|{n}|S{n}^||BLD", "OBR|{n}|P{n}|F{n}|1^A^L", "OBX|1|NM|2^B^L||{n}||||||F"], "Specimen"),
    "ORM^O01": ([ONE], ["ORC|NW|P1|F1", "OBR|{n}|P1|F1|1^A^L", "NTE|1||{n}"], "ServiceRequest"),
    "OML^O21": ([ONE], ["ORC|NW|P{n}", "OBR|{n}|P{n}||1^A^L", "SPM|1|S{n}^||BLD"], "ServiceRequest"),
    "OMP^O09": ([ONE, "AL1|1|DA|1^Penicillin^L"], ["ORC|NW|P{n}|F{n}", "RXO|{n}^Drug^L|5||mg", "OBX|1|NM|2^B^L||{n}||||||F"], "MedicationRequest"),
    "OMP^O09 of one number": ([ONE], ["ORC|NW|P1|F1", "RXO|{n}^Drug^L|5||mg"], "MedicationRequest"),
    "RDE^O11": ([ONE], ["ORC|NW|P1|F1", "RXE||{n}^Drug^L|5||mg", "RXR|PO"], "MedicationRequest"),
    "RDS^O13": ([ONE], ["ORC|RE|P1|F1", "RXD|1|{n}^Drug^L|20260101|5|mg", "RXE||{n}^Drug^L|5||mg"], "MedicationRequest"),
    "RAS^O17": ([ONE], ["ORC|RE|P1|F1", "RXA|0|1|20260101||{n}^Drug^L|5|mg"], "MedicationAdministration"),
    "VXU^V04": ([ONE], ["ORC|RE|P1|F1", "RXA|0|1|20260101||{n}^Flu^CVX|1"], "Immunization"),
    "DFT^P03": ([ONE], ["FT1|{n}|T1||20260101||CG|{n}^Visit^C4"], "ChargeItem"),
    "SIU^S12": (["SCH|P1|F1", ONE], ["RGS|{n}", "AIS|{n}||{n}^Scan^L", "AIL|{n}||{n}N^^^NORTH", "AIP|{n}||{n}^Berg^Ingrid"], "Location"),
    "ADT^A40": (["EVN||20260102"], [PID, "MRG|9{n}^^^NORTH^MR"], "Patient"),
    "ADT^A40 of numbers without an authority": (["EVN||20260102"], ["PID|1||{n}^^^^MR||Doe^Jo", "MRG|9{n}^^^^MR"], "Patient"),
    "ADT^A17": (["EVN||20260102"], [PID, "PV1|1|I|{n}N"], "Encounter"),
    "ADT^A01": (["EVN||20260102", ONE, "PV1|1|I"], ["AL1|{n}|DA|{n}^Penicillin^L"], "AllergyIntolerance"),
    "BAR^P05": (["EVN||20260102", ONE, "PV1|1|I"], ["DG1|{n}||{n}^Diabetes^I10", "PR1|{n}||{n}^Visit^C4|Visit|20260101"], "Condition"),
    "MFN^M02": (["MFI|PRA"], ["MFE|MUP|||{n}", "STF|{n}||Berg{n}^Ingrid"], "Practitioner"),
}  # fmt: skip


def message(family: str, numbers: list[int]) -> bytes:
    lead, group, _ = FAMILIES[family]
    lines = [HEAD.format(kind=family.partition(" ")[0]), *lead, *(line.format(n=n) for n in numbers for line in group)]
    return ("\r".join(lines) + "\r").encode()


def bundles(raw: bytes) -> list[dict]:
    return [orjson.loads(FORMAT.write(one.document, {}, "M1", Origin("src", one.parsed))[0]) for one in read(raw, {}, Leftovers.CARRY)]


def of(found: list[dict], kind: str) -> list[dict]:
    return [entry["resource"] for one in found for entry in one["entry"] if entry["resource"]["resourceType"] == kind]


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(1, 8), min_size=2, max_size=3, unique=True))
def test_no_two_things_of_a_message_share_an_id(family, numbers):
    raw = message(family, numbers)
    found = bundles(raw)
    told = of(found, FAMILIES[family][2])
    assert len(told) >= len(numbers)
    assert len(told) == len({one["id"] for one in told})
    assert bundles(raw) == found
    assert [[]] * len(found) == [check_resource(one) for one in found]


@pytest.mark.parametrize("family", FAMILIES)
def test_what_two_bundles_of_a_message_call_alike_is_alike(family):
    found = bundles(message(family, [1, 2, 3]))
    known: dict[str, dict] = {}
    assert [] == [one["id"] for bundle in found for entry in bundle["entry"] if (one := entry["resource"]) != known.setdefault(one["id"], one)]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_bundle_of_a_message_has_a_name_of_its_own(family):
    found = bundles(message(family, [1, 2, 3]))
    headers = of(found, "MessageHeader")
    assert len(found) == len({one["id"] for one in found}) == len({one["identifier"]["value"] for one in found}) == len({one["id"] for one in headers})


def test_a_message_that_is_one_bundle_is_known_by_its_control_id():
    assert ["C1"] == [one["identifier"]["value"] for one in bundles(message("ORU^R01", [1, 2]))]


def test_what_the_orders_of_a_message_share_is_the_same_in_each_of_its_bundles():
    found = bundles(message("OMP^O09", [1, 2]))
    assert (2, 1, 1) == (len(found), len({one["id"] for one in of(found, "AllergyIntolerance")}), len({one["id"] for one in of(found, "Patient")}))

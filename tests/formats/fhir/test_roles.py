"""Who takes part (PRT, ROL), who collected, what software sent: each where what it belongs to tells it, and none lost."""

import orjson
import pytest

from carelane.domain.message import Leftovers, Origin
from carelane.formats.fhir.format import FORMAT
from carelane.formats.hl7v2.read import read
from carelane.models.fhir import check_resource

PID = "PID|1||7^^^N^MR||Doe^Jo"


def bundle(kind: str, *segments: str, head: str = "") -> dict:
    event = ["EVN||20260102"] if kind[:3] in ("ADT", "MDM") else []
    first = f"MSH|^~\\&|A|B|C|D|20260102030405+0000||{kind}|C1|P|2.8" + head
    [one] = read("\r".join((first, *event, *segments, "")).encode(), {}, Leftovers.CARRY)
    found = orjson.loads(FORMAT.write(one.document, {}, "M1", Origin("", one.parsed))[0])
    assert ([], found) == (check_resource(found), orjson.loads(FORMAT.write(one.document, {}, "M1")[0]))
    return found


def of(found: dict, kind: str) -> list[dict]:
    return [entry["resource"] for entry in found["entry"] if entry["resource"]["resourceType"] == kind]


def at(found: dict, link: dict) -> dict:
    return next(entry["resource"] for entry in found["entry"] if entry["fullUrl"] == link["reference"])


def test_whoever_takes_part_in_a_result_performed_it_with_the_device():
    found = bundle("ORU^R01", PID, "OBR|1|P|F|1^A^L", "OBX|1|NM|2^B^L||1||||||F", "PRT|1|AD||RO^Observer^HL70443|77^Berg^Ingrid|||||DEV1")
    [observation] = of(found, "Observation")
    [role] = [at(found, link) for link in observation["performer"]]
    assert ("RO", "Berg") == (role["code"][0]["coding"][0]["code"], at(found, role["practitioner"])["name"][0]["family"])
    assert "DEV1" == at(found, observation["device"])["identifier"][0]["value"]


@pytest.mark.parametrize("segment", ["PRT|1|AD||AT^Attending^HL70443|77^Berg^Ingrid", "ROL|1|AD|AT^Attending^HL70443|77^Berg^Ingrid"])
def test_whoever_takes_part_in_a_visit_is_its_participant(segment):
    found = bundle("ADT^A01", PID, "PV1|1|I", segment)
    [part] = of(found, "Encounter")[0]["participant"]
    assert ("AT", "PractitionerRole") == (part["type"][0]["coding"][0]["code"], at(found, part["individual"])["resourceType"])


def test_the_primary_care_provider_is_the_patients_and_nobody_else_is():
    found = bundle("ADT^A31", PID, "ROL|1|AD|PP^Primary^HL70443|77^Berg^Ingrid", "ROL|2|AD|FHCP^Family^HL70443|78^Roe^Al")
    [link] = of(found, "Patient")[0]["generalPractitioner"]
    [part] = of(found, "CareTeam")[0]["participant"]
    assert ("PP", "FHCP") == (at(found, link)["code"][0]["coding"][0]["code"], part["role"][0]["coding"][0]["code"])


def test_whoever_takes_part_in_an_order_is_of_the_care_team():
    found = bundle("ORU^R01", PID, "OBR|1|P|F|1^A^L", "PRT|1|AD||RCT^Results copies to^HL70443|77^Berg^Ingrid", "OBX|1|NM|2^B^L||1||||||F")
    [part] = of(found, "CareTeam")[0]["participant"]
    assert "RCT" == part["role"][0]["coding"][0]["code"]


def test_a_specimen_without_a_segment_of_its_own_has_its_collector_and_remarks():
    found = bundle("ORU^R01", PID, "OBR|1|P|F|1^A^L||||||77^Berg^Ingrid" + "|" * 29 + "^hemolyzed", "OBX|1|NM|2^B^L||1||||||F")
    [specimen] = of(found, "Specimen")
    assert ("Berg", "hemolyzed") == (at(found, specimen["collection"]["collector"])["name"][0]["family"], specimen["note"][0]["text"])


def test_the_software_and_the_country_of_the_sender_are_told():
    found = bundle("ADT^A31", "SFT|Vendor|7.1|Engine|B1", PID, head="|||||NLD")
    [header] = of(found, "MessageHeader")
    assert ("Engine", "7.1") == (header["source"]["software"], header["source"]["version"])
    assert [{"country": "NLD"}] == at(found, header["sender"])["address"]


def test_a_note_says_of_which_kind_it_is():
    found = bundle("ORU^R01", PID, "OBR|1|P|F|1^A^L", "OBX|1|NM|2^B^L||1||||||F", "NTE|1|L|seen|RE^Remark^HL70364")
    [note] = of(found, "Observation")[0]["note"]
    assert ("seen", "RE") == (note["text"], note["extension"][0]["valueCodeableConcept"]["coding"][0]["code"])

from base64 import b64encode

import orjson
import pytest

from carelane.domain.errors import Unmappable
from carelane.domain.message import Leftovers, Origin
from carelane.formats.fhir.format import FORMAT
from carelane.formats.hl7v2.read import read
from carelane.models.fhir import check_resource

HEAD = "MSH|^~\\&|LAB|NORTH|HUB|X|{when}||{kind}|C1|P|2.5\r"
PID = "PID|1||7^^^NORTH&1.2.3&ISO^MR||Doe^Jo^Q^Jr^^^L||19800101|F|||1 Elm^Apt 2^Monroe^WI^53566^US^H||(608)555-0136^PRN^PH|||M||A1^^^NORTH"


def bundle(kind: str, *segments: str, when: str = "20260102030405+0000", source: str = "", **settings) -> dict:
    event = [f"EVN||{when}"] if kind[:3] in ("ADT", "MDM", "DFT", "BAR") else []
    raw = (HEAD.format(kind=kind, when=when) + "\r".join((*event, PID, *segments)) + "\r").encode()
    [one] = read(raw, {}, Leftovers.CARRY)
    by_document = orjson.loads(FORMAT.write(one.document, settings, "M1", Origin(source))[0])
    by_parsed = orjson.loads(FORMAT.write(one.document, settings, "M1", Origin(source, one.parsed))[0])
    assert ([], by_parsed) == (check_resource(by_document), by_document)
    return by_document


def only(found: dict, kind: str) -> dict:
    [one] = [entry["resource"] for entry in found["entry"] if entry["resource"]["resourceType"] == kind]
    return one


def test_an_event_is_a_message_whose_header_comes_first_and_names_event_and_notification():
    found = bundle("ADT^A01", "PV1|1|I|3N^12^A^NORTH")
    header = found["entry"][0]["resource"]
    assert ("message", "MessageHeader", "A01") == (found["type"], header["resourceType"], header["eventCoding"]["code"])
    assert {"system": "urn:carelane:fhir:event", "code": "patient-arrived"} in header["meta"]["tag"]
    assert {entry["fullUrl"] for entry in found["entry"]} >= {link["reference"] for link in header["focus"]}


def test_a_patient_keeps_names_identifiers_and_addresses():
    patient = only(bundle("ADT^A01", "PV1|1|I"), "Patient")
    assert {"use": "official", "family": "Doe", "given": ["Jo", "Q"], "suffix": ["Jr"]} == patient["name"][0]
    assert ("urn:oid:1.2.3", "7", "MR") == (
        patient["identifier"][0]["system"],
        patient["identifier"][0]["value"],
        patient["identifier"][0]["type"]["coding"][0]["code"],
    )
    assert ["1 Elm", "Apt 2"] == patient["address"][0]["line"]
    assert {"system": "phone", "value": "(608)555-0136", "use": "home"} == patient["telecom"][0]


def test_a_required_binding_never_carries_a_raw_code():
    patient = only(bundle("ADT^A01", "PV1|1|I"), "Patient")
    assert "female" == patient["gender"]
    report = only(bundle("ORU^R01", "OBR|1|P|F|1^A^L|||20260101|||||||||||||||||Q", "OBX|1|NM|2^B^L||1||||||Q"), "DiagnosticReport")
    assert "unknown" == report["status"]


def test_a_code_that_its_translation_does_not_tell_stands_beside_it():
    sent = bundle("ORU^R01", "OBR|1|P|F|1^A^L|||20260101", "OBX|1|NM|2^B^L||1||||||U", "OBX|2|NM|3^B^L||1||||||F")
    first, second = [entry["resource"] for entry in sent["entry"] if entry["resource"]["resourceType"] == "Observation"]
    assert ("final", "final") == (first["status"], second["status"]) and "_status" not in second
    [kept] = first["_status"]["extension"]
    assert "U" == kept["valueCodeableConcept"]["coding"][0]["code"] and kept["url"].endswith("/alternate-codes")


OVERLAY = """
overlay: ours
version: "1"
pack: v2-patientadmin
changes:
- disable: pid.8
"""


@pytest.mark.parametrize(
    ("settings", "body"),
    [
        ({"overlay": OVERLAY}, "PV1|1|I\r"),
        ({}, "PV1|1|I\rPID|2||8^^^NORTH&1.2.3&ISO^MR||Roe^Al\rPV1|1|I\r"),
    ],
)
def test_what_came_is_not_handed_on_where_the_document_says_something_else(settings, body):
    raw = (HEAD.format(kind="ADT^A01", when="20260102") + PID + "\r" + body).encode()
    one = read(raw, settings, Leftovers.WHERE_NEEDED)[0]
    assert one.parsed is None and "v2.PID" in one.document["Meta"]["Extensions"]
    assert "v2.PID" not in read(raw[: raw.index(b"PV1")], {}, Leftovers.WHERE_NEEDED)[0].document["Meta"]["Extensions"]


def test_a_coded_value_keeps_the_senders_code_behind_the_translation():
    codings = only(bundle("ADT^A01", "PV1|1|I"), "Patient")["maritalStatus"]["coding"]
    assert [("http://terminology.hl7.org/CodeSystem/v3-MaritalStatus", "M"), ("http://terminology.hl7.org/CodeSystem/v2-0002", "M")] == [
        (one["system"], one["code"]) for one in codings
    ]


@pytest.mark.parametrize(
    ("obx", "name", "expected"),
    [
        ("NM|2^B^L||1.5|mg/dL^^UCUM", "valueQuantity", {"value": 1.5, "unit": "mg/dL", "system": "http://unitsofmeasure.org", "code": "mg/dL"}),
        ("SN|2^B^L||>^100|mg/dL^^UCUM", "valueQuantity", {"comparator": ">", "value": 100, "unit": "mg/dL", "system": "http://unitsofmeasure.org", "code": "mg/dL"}),
        ("SN|2^B^L||^1^:^128|", "valueRatio", {"numerator": {"value": 1}, "denominator": {"value": 128}}),
        ("CWE|2^B^L||260373001^Detected^SCT|", "valueCodeableConcept", {"coding": [{"system": "http://snomed.info/sct", "code": "260373001", "display": "Detected"}]}),
        ("ST|2^B^L||seen|", "valueString", "seen"),
        ("NM|2^B^L||" + "9" * 40, "valueString", "9" * 40),
    ],
)  # fmt: skip
def test_a_result_takes_the_form_of_its_type(obx, name, expected):
    observation = only(bundle("ORU^R01", "OBR|1|P|F|1^A^L", f"OBX|1|{obx}|||||F"), "Observation")
    assert expected == observation[name]


def test_a_time_without_a_zone_tells_only_its_date_and_keeps_what_was_sent():
    report = only(
        bundle("ORU^R01", "OBR|1|P|F|1^A^L|||20260101123000|||||||||||||||20260102101500|||F", "OBX|1|ST|2^B^L||x||||||F", when="20260102030405"),
        "DiagnosticReport",
    )
    assert "2026-01-01" == report["effectiveDateTime"]
    assert "20260102101500" in orjson.dumps(report["_issued"]).decode() and "issued" not in report


def test_the_same_message_gives_the_same_ids_and_another_source_others():
    one, again, other = bundle("ADT^A01", "PV1|1|I"), bundle("ADT^A01", "PV1|1|I"), bundle("ADT^A01", "PV1|1|I", source="src-2")
    assert one == again
    assert {entry["fullUrl"] for entry in one["entry"]}.isdisjoint(entry["fullUrl"] for entry in other["entry"])


def test_two_reports_of_one_message_are_two_resources():
    found = bundle("ORU^R01", "OBR|1|P|F|1^A^L", "OBX|1|ST|2^B^L||x||||||F", "OBR|2|P|F|3^C^L", "OBX|1|ST|2^B^L||y||||||F")
    assert 2 == len([entry for entry in found["entry"] if entry["resource"]["resourceType"] == "DiagnosticReport"])


def test_whoever_is_named_twice_is_one_practitioner():
    found = bundle("ADT^A01", "PV1|1|I|||||77^Berg^Ingrid^^^^MD^^NORTH&1.2.9&ISO|||||||||77^Berg^Ingrid^^^^MD^^NORTH&1.2.9&ISO")
    assert 1 == len([entry for entry in found["entry"] if entry["resource"]["resourceType"] == "Practitioner"])


def test_a_merge_retires_the_old_patient():
    found = bundle("ADT^A40", "MRG|8^^^NORTH&1.2.3&ISO^MR")
    old, kept = sorted(
        (entry["resource"] for entry in found["entry"] if entry["resource"]["resourceType"] == "Patient"), key=lambda one: one.get("active", True)
    )
    assert (False, "replaced-by", "replaces") == (old["active"], old["link"][0]["type"], kept["link"][0]["type"])


def test_a_transaction_looks_up_what_it_can_before_it_creates():
    found = bundle("ADT^A01", "PV1|1|I", bundle="transaction")
    patient = next(entry for entry in found["entry"] if entry["resource"]["resourceType"] == "Patient")
    assert {"method": "POST", "url": "Patient", "ifNoneExist": "identifier=urn:oid:1.2.3|7"} == patient["request"]
    assert "MessageHeader" not in {entry["resource"]["resourceType"] for entry in found["entry"]}


def test_a_transaction_creates_every_order_although_two_have_one_number():
    found = bundle("ORM^O01", "ORC|NW|P1^NORTH", "OBR|1|P1^NORTH||1^A^L", "ORC|NW|P1^NORTH", "OBR|2|P1^NORTH||2^B^L", bundle="transaction")
    requests = [entry["request"] for entry in found["entry"] if entry["resource"]["resourceType"] == "ServiceRequest"]
    assert [{"method": "POST", "url": "ServiceRequest"}] * 2 == requests


def test_a_change_of_the_document_is_what_fhir_says():
    raw = (HEAD.format(kind="ADT^A01", when="20260102030405+0000") + PID + "\rPV1|1|I\r").encode()
    [one] = read(raw, {}, Leftovers.CARRY)
    one.document["Patient"]["Demographics"]["LastName"] = "Changed"
    found = orjson.loads(FORMAT.write(one.document, {}, "M1")[0])
    assert "Changed" == only(found, "Patient")["name"][0]["family"]


def test_what_has_no_fhir_says_so():
    with pytest.raises(Unmappable, match="SSO"):
        FORMAT.write({"Meta": {"DataModel": "SSO", "EventType": "SignOn"}}, {}, "M1")


def test_the_parts_of_a_document_stay_apart_and_in_order():
    parts = ["OBX|1|TX|1^Note^L||first line||||||F", "OBX|2|TX|1^Note^L|2|second line||||||F", "OBX|3|ED|2^Scan^L||A^application^pdf^Base64^JVBERi0=||||||F",
             "OBX|4|TX|3^Comment^L||text||||||F", "OBX|5|RP|4^Link^L||http://x/y^A^application^pdf||||||F"]  # fmt: skip
    raw = "\r".join((HEAD.format(kind="MDM^T02", when="20260102030405+0000") + "EVN||20260102", PID, "TXA|1|PN|TX|||||||||D1", *parts, "")).encode()
    bundles = [orjson.loads(FORMAT.write(one.document, {}, "M1", Origin("", one.parsed))[0]) for one in read(raw, {}, Leftovers.CARRY)]
    shown = [[content["attachment"] for content in only(found, "DocumentReference")["content"]] for found in bundles]
    notes = [b64encode(b"first line\nsecond line").decode(), b64encode(b"text").decode()]
    assert [[notes[0], "JVBERi0=", notes[1]], [*notes, None]] == [[one.get("data") for one in several] for several in shown]
    assert "http://x/y" == shown[1][2]["url"]


def test_the_visit_of_an_appointment_is_to_come():
    found = bundle("SIU^S12", "SCH|P|F|||||||30|MIN|^^^20260105100000+0000||||||||||||||Pending", "PV1|1|I")
    assert ("planned", "pending") == (only(found, "Encounter")["status"], only(found, "Appointment")["status"])


def test_a_number_that_two_fields_tell_is_one_identifier():
    report = only(bundle("ORU^R01", "ORC|RE|P1^N|F1^N", "OBR|1|P1^N|F1^N|1^A^L", "OBX|1|ST|2^B^L||x||||||F"), "DiagnosticReport")
    assert ["P1", "F1"] == [one["value"] for one in report["identifier"]]


@pytest.mark.parametrize(
    ("street", "lines"),
    [
        ("12 Elm St&Elm St&12", ["12 Elm St"]),
        ("&Elm St&12", ["12 Elm St"]),
        ("Mill House&Elm St&12", ["Mill House", "12", "Elm St"]),
        ("12 Elm St&Elm St&1", ["12 Elm St", "1"]),
    ],
)
def test_a_street_is_told_once(street, lines):
    raw = f"{HEAD.format(kind='ADT^A31', when='20260102030405+0000')}EVN||20260102\rPID|1||7^^^N^MR||Doe^Jo||||||{street}^^Monroe\r".encode()
    [one] = read(raw, {}, Leftovers.CARRY)
    [address] = only(orjson.loads(FORMAT.write(one.document, {}, "M1", Origin("", one.parsed))[0]), "Patient")["address"]
    assert lines == address["line"]

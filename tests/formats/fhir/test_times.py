"""Times that say no zone: their date is told and the sender's own text kept, so that none is lost and two of a morning are told apart."""

import orjson
import pytest

from carelane.domain.message import Leftovers, Origin
from carelane.formats.fhir.format import FORMAT
from carelane.formats.fhir.messages import Messages
from carelane.formats.hl7v2.message import parse
from carelane.formats.hl7v2.read import read
from carelane.models.fhir import check_resource

ORIGINAL = "http://hl7.org/fhir/StructureDefinition/originalText"
PID = "PID|1||7^^^N^MR||Doe^Jo||198001010012|F"
TROPONINS = ["OBR|1|P|F|1^A^L|||20260101060000", *(f"OBX|{at}|NM|2^B^L||{at}||||||F|||{when}" for at, when in enumerate(("20260101060000", "202601010900"), 1))]


def bundle(kind: str, *segments: str, when: str = "20260102030405", **settings: str) -> dict:
    event = [f"EVN||{when}"] if kind[:3] in ("ADT", "MDM") else []
    raw = "\r".join((f"MSH|^~\\&|A|B|C|D|{when}||{kind}|C1|P|2.5", *event, PID, *segments, "")).encode()
    [one] = read(raw, {}, Leftovers.CARRY)
    found = orjson.loads(FORMAT.write(one.document, settings, "M1", Origin("", one.parsed))[0])
    assert ([], found) == (check_resource(found), orjson.loads(FORMAT.write(one.document, settings, "M1")[0]))
    return found


def of(found: dict, kind: str) -> list[dict]:
    return [entry["resource"] for entry in found["entry"] if entry["resource"]["resourceType"] == kind]


def kept(element: dict) -> str:
    return next(one["valueString"] for one in element["extension"] if one["url"] == ORIGINAL)


def test_two_results_of_one_morning_are_told_apart():
    first, second = of(bundle("ORU^R01", *TROPONINS), "Observation")
    assert ("2026-01-01", "2026-01-01") == (first["effectiveDateTime"], second["effectiveDateTime"])
    assert ("20260101060000", "202601010900") == (kept(first["_effectiveDateTime"]), kept(second["_effectiveDateTime"]))


def test_a_time_without_a_zone_comes_back_as_it_was_sent():
    [raw] = Messages([entry["resource"] for entry in bundle("ORU^R01", *TROPONINS)["entry"]]).messages()
    assert ["20260101060000", "202601010900"] == [segment.field(14) for segment in parse(raw).by_name["OBX"]]


@pytest.mark.parametrize("zone", ["America/Chicago", "Europe/Berlin"])
def test_the_zone_of_the_end_is_that_of_every_time_that_has_none(zone):
    shown = {"America/Chicago": "2026-01-01T12:00:00.000Z", "Europe/Berlin": "2026-01-01T05:00:00.000Z"}[zone]
    first, _ = of(bundle("ORU^R01", *TROPONINS, time_zone=zone), "Observation")
    assert shown == first["effectiveDateTime"] and "_effectiveDateTime" not in first


def test_the_zone_of_the_message_is_that_of_its_times():
    first, _ = of(bundle("ORU^R01", *TROPONINS, when="20260102030405-0600"), "Observation")
    assert "2026-01-01T12:00:00.000Z" == first["effectiveDateTime"]


def test_a_period_keeps_both_ends():
    [encounter] = of(bundle("ADT^A03", "PV1|1|I|" + "|" * 41 + "20260101060000|20260102070000"), "Encounter")
    assert ("20260101060000", "20260102070000") == (kept(encounter["period"]["_start"]), kept(encounter["period"]["_end"]))


def test_an_appointment_keeps_its_hour():
    [one] = of(bundle("SIU^S12", "SCH|P|F|||||||30|MIN|^^^20260105100000"), "Appointment")
    [asked] = one["requestedPeriod"]
    assert ("2026-01-05", "20260105100000") == (asked["start"], kept(asked["_start"]))


def test_a_document_keeps_its_hour():
    [one] = of(bundle("MDM^T02", "TXA|1|PN|TX|||20260105100000||||||D1", "OBX|1|TX|1^Note^L||text"), "DocumentReference")
    assert "date" not in one and "20260105100000" == kept(one["_date"])


def test_a_time_of_birth_keeps_its_local_day():
    [patient] = of(bundle("ADT^A31", when="20260102030405+0100"), "Patient")
    [birth] = patient["_birthDate"]["extension"]
    assert ("1980-01-01", "1980-01-01T00:12:00+01:00") == (patient["birthDate"], birth["valueDateTime"])


def test_a_time_of_birth_without_a_zone_is_kept_as_it_was_sent():
    [patient] = of(bundle("ADT^A31"), "Patient")
    assert ("1980-01-01", "198001010012") == (patient["birthDate"], kept(patient["_birthDate"]))


def test_a_time_in_an_extension_is_kept_in_another():
    [condition] = of(bundle("ADT^A01", "PV1|1|I", "DG1|1||1^A^L" + "|" * 16 + "20260101060000"), "Condition")
    asserted, sent = condition["extension"]
    assert "2026-01-01" == asserted["valueDateTime"]
    assert [{"url": "of", "valueUri": asserted["url"]}, {"url": "text", "valueString": "20260101060000"}] == sent["extension"]

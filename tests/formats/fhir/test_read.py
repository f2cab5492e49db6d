import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carelane.domain.errors import CarelaneError, Unreadable
from carelane.domain.message import Leftovers
from carelane.formats.fhir.format import FORMAT
from carelane.formats.hl7v2.read import read as read_hl7
from carelane.models.examples import example
from carelane.models.schemas import check

PATIENT = {
    "resourceType": "Patient", "id": "p1", "identifier": [{"system": "urn:oid:1.2.3", "value": "7", "type": {"coding": [{"code": "MR"}]}}],
    "name": [{"use": "official", "family": "Doe", "given": ["Jo", "Q"]}], "gender": "female", "birthDate": "1980-01-01",
    "telecom": [{"system": "phone", "value": "+16085550136", "use": "mobile"}], "address": [{"use": "home", "line": ["1 Elm"], "city": "Monroe"}],
}  # fmt: skip


def read(resource: dict) -> dict:
    [one] = FORMAT.read(orjson.dumps(resource), {})
    meta = one.document["Meta"]
    assert [] == [issue for issue in check(one.document, meta["DataModel"], meta["EventType"]) if issue.code == "schema"]
    return one.document


def test_a_single_patient_is_an_update_of_that_patient():
    document = read(PATIENT)
    demographics = document["Patient"]["Demographics"]
    assert ("PatientAdmin", "PatientUpdate") == (document["Meta"]["DataModel"], document["Meta"]["EventType"])
    assert [{"ID": "7", "IDType": "MR"}] == document["Patient"]["Identifiers"]
    assert ("Doe", "Jo", "Q", "Female", "1980-01-01") == tuple(demographics[name] for name in ("LastName", "FirstName", "MiddleName", "Sex", "DOB"))
    assert ("+16085550136", "1 Elm") == (demographics["PhoneNumber"]["Mobile"], demographics["Address"]["StreetAddress"])


def test_a_report_brings_its_observations_in_its_order():
    report = {
        "resourceType": "DiagnosticReport", "status": "final", "code": {"coding": [{"system": "http://loinc.org", "code": "24323-8"}]},
        "subject": {"reference": "Patient/p1"}, "identifier": [{"type": {"coding": [{"code": "PLAC"}]}, "value": "P1"}],
        "result": [{"reference": "Observation/b"}, {"reference": "Observation/a"}],
    }  # fmt: skip
    observations = [
        {"resourceType": "Observation", "id": key, "status": "final", "code": {"coding": [{"system": "http://loinc.org", "code": f"1-{key}"}]},
         "valueQuantity": {"value": 1.5, "unit": "mg/dL"}} for key in ("a", "b")
    ]  # fmt: skip
    document = read({"resourceType": "Bundle", "type": "collection", "entry": [{"resource": one} for one in (report, PATIENT, *observations)]})
    [order] = document["Orders"]
    assert ("Results", "New", "P1") == (document["Meta"]["DataModel"], document["Meta"]["EventType"], order["ID"])
    assert [("1-b", "1.5", "Numeric", "Final")] * 1 == [(one["Code"], one["Value"], one["ValueType"], one["Status"]) for one in order["Results"][:1]]


@pytest.mark.parametrize(
    ("kind", "model"),
    [
        ("SIU^S12", "Scheduling"),
        ("VXU^V04", "Vaccination"),
        ("RDE^O11", "Medications"),
        ("ORM^O01", "Order"),
        ("MDM^T02", "Notes"),
        ("ADT^A03", "PatientAdmin"),
    ],
)
def test_what_we_write_we_read_as_the_same_model(kind, model):
    segments = {
        "SIU^S12": "SCH|1|2|||||R^Reason|||30|MIN|^^^20260105100000+0000", "VXU^V04": "ORC|RE|1|2\rRXA|0|1|20260101||140^Flu^CVX|1",
        "RDE^O11": "ORC|NW|1|2\rRXE||00378^Drug^NDC|1||mg", "ORM^O01": "ORC|NW|1|2\rOBR|1|1|2|24323-8^Panel^LN",
        "MDM^T02": "TXA|1|PN|TX||||||||||D1\rOBX|1|TX|1^Note^L||Invented text||||||F", "ADT^A03": "PV1|1|I||||||||||||||||||V1",
    }[kind]  # fmt: skip
    raw = f"MSH|^~\\&|A|B|C|D|20260101120000+0000||{kind}|C1|P|2.5\rPID|1||7^^^N^MR||Doe^Jo\r{segments}\r".encode()
    [one] = read_hl7(raw, {}, Leftovers.CARRY)
    body, _ = FORMAT.write(one.document, {}, "M1")
    heading = FORMAT.peek(body, {})
    document = read(orjson.loads(body))
    assert model == document["Meta"]["DataModel"] and model in heading.also
    assert one.document["Meta"]["EventType"] == document["Meta"]["EventType"]
    assert [("7", "MR", "N")] == [(one["ID"], one["IDType"], one["Extensions"]["authority"]["string"]) for one in document["Patient"]["Identifiers"]]


def test_every_resource_type_is_routed_by_its_name_and_one_without_a_model_says_so():
    resource = {"resourceType": "Questionnaire", "status": "active"}
    heading = FORMAT.peek(orjson.dumps(resource), {})
    assert ("FHIR.Questionnaire", "create") == (heading.data_model, heading.event_type)
    with pytest.raises(Unreadable, match="subscribe to its FHIR model"):
        FORMAT.read(orjson.dumps(resource), {})


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"[]", b"{}", b'{"resourceType": "Shoe"}', b'{"resourceType": 7}', b"\xff", b'{"resourceType":"Patient","a":' + b"[" * 300 + b"]" * 300 + b"}"],
)
def test_what_is_no_fhir_is_refused_with_a_sentence(raw):
    with pytest.raises(Unreadable) as reason:
        FORMAT.peek(raw, {})
    assert len(str(reason.value)) > 10


_JSON = st.recursive(st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3), max_leaves=12)  # fmt: skip
_NAMES = (
    "identifier",
    "name",
    "telecom",
    "address",
    "subject",
    "code",
    "result",
    "participant",
    "valueQuantity",
    "content",
    "dosageInstruction",
    "start",
    "status",
    "period",
)


@settings(max_examples=150)
@given(st.sampled_from(["Patient", "Encounter", "Observation", "DiagnosticReport", "Appointment", "Immunization", "MedicationRequest", "ServiceRequest", "DocumentReference", "Bundle"]),
       st.dictionaries(st.sampled_from(_NAMES), _JSON, max_size=5))  # fmt: skip
def test_a_resource_with_anything_in_it_is_read_or_refused_and_never_crashes(kind, members):
    body = {"resourceType": kind, **members}
    if kind == "Bundle":
        body["entry"] = [{"resource": {"resourceType": "Patient", **members}}, members, None]
    raw = orjson.dumps(body)
    FORMAT.peek(raw, {})
    try:
        FORMAT.read(raw, {})
    except CarelaneError as reason:
        assert str(reason)


def test_real_resources_are_read_or_say_why(shared):
    taken = refused = 0
    for folder in ("fhir-r4-examples", "fhir-us-core-examples", "v2-to-fhir-pairs-microsoft", "v2-to-fhir-pairs-cdc"):
        for path in sorted((shared / folder).glob("*.json")) + sorted((shared / folder).glob("*.fhir")):
            raw = path.read_bytes()
            try:
                FORMAT.peek(raw, {})
                taken += bool(FORMAT.read(raw, {}))
            except Unreadable:
                refused += 1
    assert taken > 150 and refused < taken


@pytest.mark.parametrize(
    "event",
    [
        "Device.New", "Financial.Transaction", "Financial.AccountUpdate", "Flowsheet.New", "Media.New", "Medications.New", "Medications.Administration", "Notes.New",
        "Order.New", "PatientAdmin.Arrival", "Provider.New", "Referral.New", "Referral.AuthResponse", "Results.New", "Scheduling.New", "SurgicalScheduling.New",
        "Vaccination.New",
    ],
)  # fmt: skip
def test_a_bundle_of_ours_comes_back_as_the_model_it_was_written_from(event):
    model, _, name = event.partition(".")
    body, _ = FORMAT.write(example(model, name), {}, "M1")
    assert model in (heading := FORMAT.peek(body, {})).also or model == heading.data_model
    document = FORMAT.read(body, {})[0].document
    assert model == document["Meta"]["DataModel"]
    assert [] == [issue for issue in check(document, model, document["Meta"]["EventType"]) if issue.code == "schema"]


def test_a_charge_is_a_transaction_of_its_patient():
    charge = {
        "resourceType": "ChargeItem", "status": "billable", "code": {"coding": [{"system": "http://www.ama-assn.org/go/cpt", "code": "99213"}]},
        "subject": {"reference": "Patient/p1"}, "occurrenceDateTime": "2026-01-02", "quantity": {"value": 2},
    }  # fmt: skip
    document = read({"resourceType": "Bundle", "type": "collection", "entry": [{"resource": PATIENT}, {"resource": charge}]})
    [transaction] = document["Transactions"]
    assert ("Financial", "7") == (document["Meta"]["DataModel"], document["Patient"]["Identifiers"][0]["ID"])
    assert "99213" in str(transaction) and "2026-01-02" == transaction["DateTimeOfService"]


def test_a_practitioner_alone_is_a_provider():
    document = read({"resourceType": "Practitioner", "identifier": [{"system": "http://hl7.org/fhir/sid/us-npi", "value": "1"}], "name": [{"family": "Doe"}]})
    [provider] = document["Providers"]
    assert ("Provider", "Doe") == (document["Meta"]["DataModel"], provider["Demographics"]["LastName"])


def test_a_coverage_alone_is_an_update_of_whom_it_covers():
    covered = {"resourceType": "Coverage", "status": "active", "beneficiary": {"identifier": {"value": "7"}}, "subscriberId": "S1", "payor": [{"display": "P"}]}
    document = read(covered)
    assert ("PatientAdmin", "PatientUpdate") == (document["Meta"]["DataModel"], document["Meta"]["EventType"])
    assert "7" == document["Patient"]["Identifiers"][0]["ID"] and "S1" in str(document)


def test_a_referral_keeps_who_refers_to_whom():
    body, _ = FORMAT.write(example("Referral", "New"), {}, "M1")
    bundle = orjson.loads(body)
    [request] = [entry["resource"] for entry in bundle["entry"] if entry["resource"]["resourceType"] == "ServiceRequest"]
    request["requester"] = {"reference": "#rp"}
    request["contained"] = [{"resourceType": "Practitioner", "id": "rp", "identifier": [{"value": "42"}], "name": [{"family": "Roe"}]}]
    document = FORMAT.read(orjson.dumps(bundle), {})[0].document
    assert "Roe" in str({name: value for name, value in document.items() if name not in ("Patient", "Visit")})


def test_both_pressures_of_the_blood_are_results_with_their_ranges():
    def part(code: str, value: int, **more: object) -> dict:
        return {"code": {"coding": [{"system": "http://loinc.org", "code": code}]}, "valueQuantity": {"value": value, "unit": "mm[Hg]"}, **more}

    observation = {
        "resourceType": "Observation", "status": "final", "code": {"coding": [{"system": "http://loinc.org", "code": "85354-9"}]}, "effectiveDateTime": "2026-01-02",
        "component": [part("8480-6", 109, referenceRange=[{"low": {"value": 90}, "high": {"value": 120}}]), part("8462-4", 44, referenceRange=[{"high": {"value": 80}}])],
    }  # fmt: skip
    results = read({"resourceType": "Bundle", "type": "collection", "entry": [{"resource": observation}]})["Orders"][0]["Results"]
    assert [("8480-6", "109", "90-120"), ("8462-4", "44", "<=80")] == [(one["Code"], one["Value"], one["ReferenceRange"]["Text"]) for one in results]


def test_what_no_document_has_a_place_for_is_named_once():
    patient = {**PATIENT, "photo": [{"title": "front"}, {"title": "side"}], "active": True, "managingOrganization": {"display": "Lakeside"}}
    [one] = FORMAT.read(orjson.dumps(patient), {})
    assert ["Patient.photo.title", "Patient.managingOrganization.display"] == one.unmapped
    [one] = FORMAT.read(orjson.dumps({**PATIENT, "birthDate": "1980-01-01"}), {})
    assert [] == one.unmapped


def test_the_time_of_a_bundle_is_that_of_its_event():
    bundle = {"resourceType": "Bundle", "type": "message", "timestamp": "2026-01-02T03:04:05-05:00", "entry": [{"resource": PATIENT}]}
    assert "2026-01-02T08:04:05.000Z" == read(bundle)["Meta"]["EventDateTime"]

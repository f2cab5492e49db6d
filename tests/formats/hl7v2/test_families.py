"""One message of each family: the model and event it becomes, and the values people look for."""

import pytest

from carelane.formats.hl7v2.message import parse
from carelane.formats.hl7v2.read import read
from carelane.formats.hl7v2.write import write
from carelane.models.schemas import check

PID = "PID|1||7^^^N^MR||Doe^Jo||19800101|F"


def documents(kind: str, *segments: str, patient: str = PID, **settings) -> list[dict]:
    raw = f"MSH|^~\\&|A|B|C|D|20260102030405+0000||{kind}|C1|P|2.5\r" + "\r".join(filter(None, (patient, *segments))) + "\r"
    found = [one.document for one in read(raw.encode(), settings)]
    for one in found:
        assert [] == [issue for issue in check(one, one["Meta"]["DataModel"], one["Meta"]["EventType"]) if issue.code in ("schema", "unknown-value")]
    return found


def at(document: dict, path: str):
    for part in path.split("."):
        document = document[int(part)] if part.isdigit() else document[part]
    return document


CASES = [
    ("SIU^S12", ["SCH|P1|F1|||||CHK^Checkup|FU^Follow-up|30|MIN|^^^20260105100000+0000", "RGS|1", "AIL|1||3N^^^NORTH", "AIP|1||77^Berg^Ingrid"], "Scheduling.New",
     {"Visit.VisitNumber": "F1", "Visit.Duration": 30, "Visit.VisitDateTime": "2026-01-05T10:00:00.000Z", "Visit.Location.Department": "3N", "Visit.VisitProvider.ID": "77"}),
    ("SIU^S12", ["SCH|P1|F1" + "|" * 23 + "Cancelled"], "Scheduling.Cancel", {}),
    ("SIU^S14", ["SCH|P1|F1" + "|" * 23 + "NoShow"], "Scheduling.NoShow", {}),
    ("SIU^S23", ["SCH|P1|F1|||||||60|MIN|^^^20260105100000+0000"], "Scheduling.PushSlots", {"Slots.0.ID": "F1", "Slots.0.Duration": 60}),
    ("ORM^O01", ["ORC|NW|P1|F1||||||20260101120000+0000", "OBR|1|P1|F1|24323-8^Panel^LN|S", "NTE|1||fasting"], "Order.New",
     {"Order.ID": "P1", "Order.ApplicationOrderID": "F1", "Order.Procedure.Codeset": "LOINC", "Order.Priority": "Stat", "Order.Notes.0": "fasting"}),
    ("ORM^O01", ["ORC|CA|P1|F1", "OBR|1|P1|F1|1^A^L"], "Order.Cancel", {"Order.Status": "Cancel"}),
    ("OML^O21", ["ORC|CA|P1", "OBR|1|P1||1^A^L", "OBR|2|P2||2^B^L"], "Order.GroupedOrders", {"Orders.0.Status": "Cancel", "Orders.1.Status": "Cancel", "Orders.1.ID": "P2"}),
    ("MDM^T02", ["TXA|1|PN|AP", "OBX|1|ED|1^A^L||^application^pdf^Base64^QUJD||||||F"], "Media.New", {"Media.FileContents": "QUJD"}),
    ("OML^O21", ["ORC|NW|P1", "OBR|1|P1||1^A^L", "ORC|NW|P2", "OBR|2|P2||2^B^L"], "Order.GroupedOrders", {"Orders.0.ID": "P1", "Orders.1.ID": "P2"}),
    ("ORM^O01", ["ORC|NW|P1", "RXO|00378^Drug^NDC|5||mg"], "Medications.New", {"Order.Medication.Product.Code": "00378", "Order.Medication.Dose.Quantity": 5}),
    ("MDM^T02", ["TXA|1|PN|TX|20260101||||77^Berg||||D9", "OBX|1|TX|1^Note^L||first line", "OBX|2|TX|1^Note^L||second line"], "Notes.New",
     {"Note.DocumentID": "D9", "Note.DocumentType": "PN", "Note.FileContents": "first line\nsecond line", "Note.ContentType": "Plain Text"}),
    ("MDM^T02", ["TXA|1|PN|AP|||||||||D9", "OBX|1|ED|1^Scan^L||^application^pdf^Base64^JVBERi0xLjQK"], "Media.New",
     {"Media.FileType": "pdf", "Media.FileContents": "JVBERi0xLjQK"}),
    ("MDM^T11", ["TXA|1|PN|TX|||||||||D9"], "Notes.Delete", {"Note.DocumentID": "D9"}),
    ("DFT^P03", ["FT1|1|T1||20260101120000+0000||CG|99213^Visit^C4|||2|75.00||||||||E11.9^Diabetes^I10"], "Financial.Transaction",
     {"Transactions.0.ID": "T1", "Transactions.0.Type": "CG", "Transactions.0.Chargeable.Amount": 75, "Transactions.0.Diagnoses.0.Code": "E11.9"}),
    ("BAR^P05", ["PV1|1|I", "DG1|1||E11.9^Diabetes^I10|||F", "PR1|1||99213^Visit^C4||20260101"], "Financial.AccountUpdate",
     {"Visit.Diagnoses.0.Type": "Final", "Visit.Procedures.0.Code": "99213"}),
    ("VXU^V04", ["ORC|RE|P1|F1", "RXA|0|1|20260101||140^Flu^CVX|999|||01|77^Berg|||||LOT1|20270101|SKB^GSK^MVX|||CP|A", "RXR|IM^Intramuscular^HL70162", "OBX|1|CE|64994-7^Eligibility^LN||V02^Medicaid^HL70064"],
     "Vaccination.New", {"Vaccinations.0.Product.Code": "140", "Vaccinations.0.Product.LotNumber": "LOT1", "Vaccinations.0.Route.Code": "IM",
                         "Vaccinations.0.ClinicalInfo.0.Code": "64994-7", "Vaccinations.0.Order.ID": "P1"}),
    ("RDE^O11", ["ORC|NW|P1|F1", "RXE|^BID^^20260101|00378^Drug^NDC|5||mg|||||10|TAB|3", "RXR|PO"], "Medications.New",
     {"Order.ID": "P1", "Order.Medication.Product.Code": "00378", "Order.Medication.Dispense.Amount": 10, "Order.Medication.Route.Code": "PO"}),
    ("RAS^O17", ["ORC|RE|P1", "RXA|0|1|20260101120000+0000||00378^Drug^NDC|5|mg|||||||||||||CP"], "Medications.Administration",
     {"Administrations.0.Medication.Order.ID": "P1", "Administrations.0.Status": "Completed"}),
    ("REF^I12", ["RF1|P^Pending|R|MED|||R1|20260101", "PRD|RP|Berg^Ingrid|||||77^NPI", "DG1|1||E11.9^Diabetes^I10"], "Referral.New",
     {"Referral.ID": "R1", "Referral.Providers.0.ID": "77", "Referral.Diagnoses.0.Code": "E11.9"}),
    ("QBP^Q22", ["QPD|Q22^Find|TAG|@PID.5.1^DOE~@PID.7^19800101|", "RCP|I"], "PatientSearch.Query",
     {"Patient.Demographics.LastName": "DOE", "Patient.Demographics.DOB": "1980-01-01"}),
    ("QBP^Q11", ["QPD|Z34^Request|TAG|7^^^N^MR|Doe^Jo||19800101|F"], "Vaccination.PatientQuery",
     {"Patient.Identifiers.0.ID": "7", "Patient.Demographics.Sex": "Female"}),
    ("QRY^R02", ["QRD|20260101|R|I|Q1|||10^RD|7^Doe^Jo", "QRF|LAB|20260101|20260102"], "Results.Query", {"Patients.0.Identifiers.0.ID": "7", "Completion.StartDateTime": "2026-01-01"}),
]  # fmt: skip
WITHOUT_PATIENT = ("QBP", "QRY", "SIU^S23")


@pytest.mark.parametrize(("kind", "segments", "expected", "values"), CASES, ids=[f"{case[0]} is {case[2]}" for case in CASES])
def test_a_message_becomes_its_event_with_the_values_people_look_for(kind, segments, expected, values):
    [document] = documents(kind, *segments, patient="" if kind.startswith(WITHOUT_PATIENT) else PID)
    assert expected == f"{document['Meta']['DataModel']}.{document['Meta']['EventType']}"
    assert values == {path: at(document, path) for path in values}


@pytest.mark.parametrize(("kind", "segments", "expected", "values"), CASES, ids=[f"{case[0]} {case[2]}" for case in CASES])
def test_the_document_alone_is_enough_to_write_a_message_that_reads_the_same(kind, segments, expected, values):
    [document] = documents(kind, *segments, patient="" if kind.startswith(WITHOUT_PATIENT) else PID)
    written, _ = write(document, {}, "9")
    assert kind == f"{parse(written).get('MSH', 9)}^{parse(written).get('MSH', 9, 2)}"
    [again] = [one.document for one in read(written, {})]
    kept = {path for path in values if path not in ("Referral.Providers.0.ID",)}
    assert {path: values[path] for path in kept} == {path: at(again, path) for path in kept}


def test_every_drug_order_and_every_master_file_entry_is_a_document_of_its_own():
    orders = documents("RDE^O11", "ORC|NW|P1", "RXE||1^A^NDC", "ORC|CA|P2", "RXE||2^B^NDC")
    assert [("New", "P1"), ("Cancel", "P2")] == [(one["Meta"]["EventType"], one["Order"]["ID"]) for one in orders]
    staff = documents("MFN^M02", "MFI|PRA", "MFE|MAD|1", "STF|K1|77^^^N^NPI|Berg^Ingrid||F||A", "MFE|MDC|2", "STF|K2|78|Holm^Per||||I", patient="")
    assert [("New", "77"), ("Deactivate", "78")] == [(one["Meta"]["EventType"], one["Providers"][0]["Identifiers"][0]["ID"]) for one in staff]
    assert True is staff[0]["Providers"][0]["IsActive"]


def test_a_source_may_choose_another_model():
    segments = ("SCH|C7|F1|||||||90|MIN|^^^20260105100000+0000", "AIS|1||44950^Appendectomy^C4", "AIP|1||77^Berg")
    [surgery] = documents("SIU^S12", *segments, triggers={"SIU^*": "SurgicalScheduling.*"})
    assert ("SurgicalScheduling", "New", "44950", "77") == (
        surgery["Meta"]["DataModel"],
        surgery["Meta"]["EventType"],
        surgery["Procedures"][0]["Code"],
        surgery["SurgeryStaff"][0]["ID"],
    )
    [vitals] = documents("ORU^R01", "OBR|1", "OBX|1|NM|8867-4^Heart rate^LN||72|/min|||||F|||20260101120000+0000", triggers={"ORU^R01": "Flowsheet.New"})
    assert ("72", "2026-01-01T12:00:00.000Z") == (vitals["Observations"][0]["Value"], vitals["Observations"][0]["DateTime"])


def test_an_answer_with_several_patients_is_potential_matches_and_goes_back():
    [answer] = documents("RSP^K22", "MSA|AA|1", "QAK|T|OK", "PID|1||7^^^N^MR||Doe^Jo", "PID|2||8^^^N^MR||Doe^Al", patient="")
    assert ["7", "8"] == [one["Identifiers"][0]["ID"] for one in answer["PotentialMatches"]]
    written = parse(write(answer, {}, "1")[0])
    assert ["Jo", "Al"] == [written.leaf(one.field(5), 2) for one in written.by_name["PID"]]


def test_an_appointment_of_a_visit_has_a_number_of_its_own():
    [one] = documents("SIU^S12", "SCH|P1|F1", "PV1|1|O" + "|" * 17 + "V1", "RGS|1")
    assert ("V1", "F1") == (one["Visit"]["VisitNumber"], one["Visit"]["Extensions"]["appointment-number"]["string"])
    written = parse(write(one, {}, "1")[0])
    assert ("V1", "F1") == (written.get("PV1", 19), written.get("SCH", 2))


def test_an_appointment_without_a_visit_is_the_visit():
    [one] = documents("SIU^S12", "SCH|P1|F1", "RGS|1")
    written = parse(write(one, {}, "1")[0])
    assert ("F1", "F1", None) == (one["Visit"]["VisitNumber"], written.get("SCH", 2), written.get("PV1", 19))


def test_a_street_told_by_its_name_and_a_number_is_an_address():
    [one] = documents("ADT^A04", patient="PID|1||7^^^N^MR||Doe^Jo||||||&Elm Street&12^^Springfield")
    assert "Elm Street 12" == one["Patient"]["Demographics"]["Address"]["StreetAddress"]


def test_what_the_insured_is_to_the_patient_is_told_in_the_senders_words_too():
    [one] = documents("ADT^A04", "PV1|1|O", "IN1|1|P" + "|" * 15 + "XY^Great-aunt")
    insured = one["Visit"]["Insurances"][0]["Insured"]
    assert ("Other", "Great-aunt") == (insured["Relationship"], insured["Extensions"]["relationship-text"]["string"])

from carelane.formats.hl7v2.message import parse
from carelane.formats.hl7v2.write import write

PATIENT = {"Identifiers": [{"ID": "7", "IDType": "MR"}], "Demographics": {"LastName": "O|Doe", "DOB": "1980-01-01"}}


def written(model: str, event: str, **more):
    return parse(write({"Meta": {"DataModel": model, "EventType": event}, **more}, {}, "42")[0])


def test_a_patient_query_asks_by_named_fields_and_escapes_what_it_asks():
    message = written("PatientSearch", "Query", Patient=PATIENT)
    assert ("QBP", "Q22", "42") == (message.get("MSH", 9), message.get("MSH", 9, 2), message.get("QPD", 2))
    asked = message.field("QPD", 3)
    assert "@PID.5.1^O\\F\\Doe" in asked and "@PID.7.1^19800101" in asked and "PID" not in message.by_name


def test_an_immunization_query_fills_the_profiles_own_fields():
    message = written("Vaccination", "PatientQuery", Patient=PATIENT)
    assert ("7", "19800101") == (message.get("QPD", 3), message.get("QPD", 6))


def test_an_answer_says_whether_anybody_was_found():
    assert "OK" == written("PatientSearch", "Response", Patient=PATIENT).get("QAK", 2)
    assert "NF" == written("PatientSearch", "Response").get("QAK", 2)

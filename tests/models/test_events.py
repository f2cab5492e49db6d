import pytest

from carelane.models.events import is_question, nearest, questions
from carelane.models.schemas import classic_models, model_events


@pytest.mark.parametrize(
    ("model", "event"),
    [
        ("PatientSearch", "Query"), ("PatientSearch", "LocationQuery"), ("Scheduling", "AvailableSlots"), ("Scheduling", "Booked"),
        ("Clinical Summary", "DocumentGet"), ("ClinicalDecisions", "Request"), ("PatientAdmin", "CensusQuery"), ("Vaccination", "PatientQuery"),
    ],
)  # fmt: skip
def test_what_asks_for_an_answer_is_a_question(model, event):
    assert is_question(model, event)


@pytest.mark.parametrize(
    ("model", "event"),
    [
        ("PatientAdmin", "Arrival"), ("Scheduling", "PushSlots"), ("Referral", "AuthReview"), ("Referral", "AuthResponse"), ("Results", "QueryResponse"),
        ("FHIR.Event.PatientAdmin", "patient-arrived"), ("FHIR.Patient", "create"), (None, None), ("PatientSearch", None),
    ],
)  # fmt: skip
def test_what_tells_something_is_none(model, event):
    assert not is_question(model, event)


def test_every_event_type_named_a_query_is_a_question_with_an_answer():
    asked = {(model, event) for model in classic_models() for event in model_events()[model] if event.endswith("Query")}
    assert asked <= {(model, event) for model in classic_models() for event in questions(model)}


@pytest.mark.parametrize(("name", "best"), [("Arival", "Arrival"), ("DISCHARGED", "Discharge"), ("teleport" * 50, None), ("", None)])
def test_the_nearest_name_is_found_whatever_its_case(name, best):
    found = nearest(name, model_events()["PatientAdmin"])
    assert best == (found[0] if found else None)

from carelane.formats.fhir.bundles import classics_in, entries, names_of
from carelane.models.fhir import FHIR_EVENTS, classics_of, notification


def test_a_message_is_named_by_its_notification_whether_event_or_tag():
    header = {"resourceType": "MessageHeader", "eventCoding": {"code": "patient-arrived"}}
    tagged = {
        "resourceType": "MessageHeader",
        "eventCoding": {"code": "A01"},
        "meta": {"tag": [{"system": "urn:carelane:fhir:event", "code": "patient-arrived"}]},
    }
    for one in (header, tagged):
        assert ("FHIR.Event.PatientAdmin", "patient-arrived") == names_of({"resourceType": "Bundle", "type": "message", "entry": [{"resource": one}]})


def test_a_bundle_without_a_header_is_a_bundle():
    assert ("FHIR.Bundle", "transaction") == names_of({"resourceType": "Bundle", "type": "transaction"})


def test_the_most_telling_type_decides_the_classic_model():
    bundle = {"resourceType": "Bundle", "entry": [{"resource": {"resourceType": kind}} for kind in ("Patient", "Observation", "DiagnosticReport")]}
    assert ("Results",) == classics_in(bundle) and 3 == len(entries(bundle))


def test_entries_that_hold_nothing_are_passed_over():
    assert [] == entries({"resourceType": "Bundle", "entry": [None, 7, {}, {"resource": None}, {"resource": {"id": "x"}}]})


def test_every_notification_that_a_classic_event_makes_leads_back_to_it():
    for model, event in (("PatientAdmin", "Arrival"), ("Results", "New"), ("SurgicalScheduling", "New"), ("Media", "Delete"), ("Financial", "Transaction")):
        group, told = notification(model, event)
        assert told in FHIR_EVENTS[group]
        assert ("Scheduling" if model == "SurgicalScheduling" else model) in classics_of(group)

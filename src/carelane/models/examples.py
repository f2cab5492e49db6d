"""One invented example per event type: what the dev tools offer, the documentation shows and a test validates."""

from copy import deepcopy
from typing import Any

_PATIENT: dict[str, Any] = {
    "Identifiers": [{"ID": "10042", "IDType": "MR"}],
    "Demographics": {
        "FirstName": "Elif",
        "LastName": "Alder",
        "DOB": "1996-08-13",
        "Sex": "Female",
        "Address": {"StreetAddress": "12 Mill Lane", "City": "Lakeside", "State": "WI", "ZIP": "53590", "Country": "US"},
        "PhoneNumber": {"Home": "+16085550136"},
    },
}
_VISIT: dict[str, Any] = {
    "VisitNumber": "V7001",
    "VisitDateTime": "2026-03-02T14:30:00.000Z",
    "PatientClass": "Inpatient",
    "Location": {"Department": "4W", "Room": "33", "Bed": "A", "Facility": "Lakeside"},
    "AttendingProvider": {"ID": "1902", "IDType": "NPI", "FirstName": "Ingrid", "LastName": "Berg"},
}
_ORDER: dict[str, Any] = {
    "ID": "ORD-501",
    "ApplicationOrderID": "LAB-9501",
    "Status": "Resulted",
    "CompletionDateTime": "2026-03-02T15:10:00.000Z",
    "Procedure": {"Code": "24323-8", "Codeset": "LOINC", "Description": "Comprehensive metabolic panel"},
    "Results": [
        {"Code": "2345-7", "Codeset": "LOINC", "Description": "Glucose", "Value": "96", "ValueType": "Numeric", "Units": "mg/dL", "Status": "Final"},
        {"Code": "2951-2", "Codeset": "LOINC", "Description": "Sodium", "Value": "140", "ValueType": "Numeric", "Units": "mmol/L", "Status": "Final"},
    ],
}
_WITHOUT_VISIT = {"NewPatient", "PatientUpdate", "PatientMerge"}


def example(model: str, event: str) -> dict[str, Any]:
    """Return a document of an event type that meets its schema. Never a real person."""
    document: dict[str, Any] = {"Meta": {"DataModel": model, "EventType": event, "EventDateTime": "2026-03-02T14:31:00.000Z", "Test": True}}
    if model == "Results":
        return document | _results(event)
    if event.endswith("Query"):
        return document | {"Departments": ["4W"], "Facilities": ["Lakeside"]}
    if event.endswith("QueryResponse"):
        return document | {"Patients": [deepcopy(_PATIENT)]}
    document["Patient"] = deepcopy(_PATIENT)
    if event not in _WITHOUT_VISIT:
        document["Visit"] = deepcopy(_VISIT)
    return document | _special(event)


def _results(event: str) -> dict[str, Any]:
    patient = {"Patient": deepcopy(_PATIENT)}
    if event == "Query":
        return {
            "Patient": {"Identifiers": deepcopy(_PATIENT["Identifiers"])},
            "StartDateTime": "2026-03-01T00:00:00.000Z",
            "EndDateTime": "2026-03-03T00:00:00.000Z",
        }
    return patient | {"Orders": [deepcopy(_ORDER)]}


def _special(event: str) -> dict[str, Any]:
    patient, visit = deepcopy(_PATIENT), deepcopy(_VISIT)
    if event == "PatientMerge":
        return {"Patient": patient | {"PreviousIdentifiers": [{"ID": "10024", "IDType": "MR"}]}}
    if event == "VisitMerge":
        return {"Patient": patient, "Visit": visit | {"PreviousVisitNumber": "V6999"}}
    if event == "Discharge":
        return {"Visit": visit | {"DischargeDateTime": "2026-03-04T09:00:00.000Z", "DischargeStatus": {"Code": "01", "Description": "Home"}}}
    if event == "Transfer":
        return {"Visit": visit | {"PreviousLocation": {"Department": "ED", "Room": "2", "Bed": "1", "Facility": "Lakeside"}}}
    return {}

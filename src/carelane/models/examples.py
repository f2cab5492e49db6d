"""One invented example per event type: what the dev tools offer, the documentation shows and a test validates.

Examples are filled in from the schema, so that a field that is added shows at once. Never a real person.
"""

from typing import Any

from carelane.models.fhir import FHIR_EVENTS
from carelane.models.schemas import definitions, schema

_FULL = ("required", "reliable", "probable")
_MOST_DEPTH = 7
_WHEN = "2026-03-02T14:30:00.000Z"
_TEXTS = {
    "FirstName": "Elif", "LastName": "Alder", "MiddleName": "Rowan", "DOB": "1996-08-13", "SSN": "000-00-0042", "City": "Lakeside", "State": "WI",
    "ZIP": "53590", "Country": "US", "County": "Dane", "StreetAddress": "12 Mill Lane", "Home": "+16085550136", "Office": "+16085550137",
    "Mobile": "+16085550138", "Language": "en", "Codeset": "LOINC", "CodeSystem": "2.16.840.1.113883.6.1", "CodeSystemName": "LOINC", "CodeSet": "CPT",
    "PatientClass": "Inpatient", "VisitNumber": "V7001", "AccountNumber": "A3300", "Department": "4W", "Room": "33", "Bed": "A", "Facility": "Lakeside",
    "NPI": "1902000000", "Units": "mg/dL", "Priority": "Routine", "FileType": "text/plain", "FileContents": "Invented note.", "FileName": "note.txt",
    "DocumentID": "DOC-11", "OriginalDocumentID": "DOC-10", "DocumentType": "Progress note", "ContentType": "Plain Text", "Reason": "Follow-up",
    "ApplicationOrderID": "LAB-9501", "EmailAddress": "desk@lakeside.example", "Directory": "Lakeside directory", "Status": "Active", "Type": "Standard",
    "Value": "96", "Code": "2345-7", "Name": "Glucose", "Description": "Glucose", "Expiration": "1772500000", "IssuedAt": "1772400000", "Subject": "user-7",
}  # fmt: skip
_BY_PLACE = {
    "Identifiers.ID": "10042", "Identifiers.IDType": "MR", "Order.ID": "ORD-501", "Orders.ID": "ORD-501", "PreviousIdentifiers.ID": "10024",
    "PreviousIdentifiers.IDType": "MR", "Provider.ID": "1902", "Provider.IDType": "NPI", "AttendingProvider.ID": "1902",
    "AttendingProvider.IDType": "NPI", "AttendingProvider.FirstName": "Ingrid", "AttendingProvider.LastName": "Berg", "Provider.FirstName": "Ingrid",
    "Provider.LastName": "Berg", "Procedure.Code": "24323-8", "Procedure.Description": "Comprehensive metabolic panel", "Diagnoses.Code": "E11.9",
    "Diagnoses.Codeset": "ICD-10", "Diagnoses.Name": "Type 2 diabetes mellitus", "Company.Name": "Lakeside Mutual", "Plan.Name": "Family plan",
    "Product.Code": "140", "Product.Codeset": "CVX", "Product.Description": "Influenza, seasonal", "Allergies.Code": "7980", "Allergies.Codeset": "RxNorm",
    "Allergies.Name": "Penicillin", "Device.ID": "PUMP-4", "Administrations.Status": "Completed",
}  # fmt: skip
_ENUMS = ("Final", "Resulted", "New", "Numeric", "Female", "Married", "White", "Normal", "Spouse", "Plain Text", "Authenticated", "Available", "Add", "Routine")


def example(model: str, event: str) -> dict[str, Any]:
    """Return a document of an event type that meets its schema.

    Raises:
        KeyError: the hub has no such event type.
    """
    if model in FHIR_EVENTS:
        return _fhir(model, event)
    rule = schema(model, event)
    if rule is None:
        raise KeyError(f"{model}.{event}")
    document: dict[str, Any] = {"Meta": _meta(model, event)}
    for name, inner in rule["properties"].items():
        if name not in ("Meta", "Extensions") and (inner.get("x-reliability") in _FULL or name in ("Visit", "Patient", "Patients", "Orders", "Medications")):
            document[name] = _value(name, name, inner, 1)
    return document


def _meta(model: str, event: str) -> dict[str, Any]:
    meta: dict[str, Any] = {"DataModel": model, "EventType": event, "EventDateTime": "2026-03-02T14:31:00.000Z", "Test": True}
    return meta | {"CanceledEvent": "Arrival"} if (model, event) == ("PatientAdmin", "Cancel") else meta


def _value(place: str, name: str, rule: dict[str, Any], depth: int) -> Any:
    kinds = rule.get("type")
    kinds = kinds if isinstance(kinds, list) else [kinds]
    if "array" in kinds:
        return [_value(place, name, rule["items"], depth)]
    if "enum" in rule:
        return next((one for one in _ENUMS if one in rule["enum"]), rule["enum"][0])
    if "$ref" in rule or "properties" in rule:
        return _object(name, rule, depth)
    if "boolean" in kinds:
        return False
    if "number" in kinds:
        return 30
    return _text(place, name)


def _object(name: str, rule: dict[str, Any], depth: int) -> dict[str, Any]:
    shape = rule
    if "$ref" in rule:
        file, _, path = rule["$ref"].partition("#/$defs/")
        shape = definitions()[file]["$defs"][path]
    wanted = ("required",) if depth > 3 else ("required", "reliable") if depth > 2 else _FULL
    filled = {
        inner: _value(f"{name}.{inner}", inner, found, depth + 1)
        for inner, found in shape["properties"].items()
        if inner != "Extensions" and depth < _MOST_DEPTH and found.get("x-reliability") in wanted
    }
    return filled or {key: _value(f"{name}.{key}", key, found, _MOST_DEPTH) for key, found in list(shape["properties"].items())[:1]}


def _text(place: str, name: str) -> str:
    if place in _BY_PLACE:
        return _BY_PLACE[place]
    if name in _TEXTS:
        return _TEXTS[name]
    if name.endswith("DateTime"):
        return _WHEN
    if name.endswith("Date"):
        return "2026-03-02"
    return "EX-1" if name.endswith(("ID", "Number")) else "Example"


def _fhir(model: str, event: str) -> dict[str, Any]:
    """A message Bundle: the header that names the notification, and the patient it is about."""
    patient = "urn:uuid:6f0e4c42-8f57-5c15-9c0e-1c8b7f0a6a01"
    header = {
        "resourceType": "MessageHeader",
        "id": "6f0e4c42-8f57-5c15-9c0e-1c8b7f0a6a02",
        "eventCoding": {"system": "urn:carelane:fhir:event", "code": event},
        "source": {"name": "Lakeside", "endpoint": "urn:carelane:example"},
        "focus": [{"reference": patient}],
    }
    person = {
        "resourceType": "Patient",
        "id": "6f0e4c42-8f57-5c15-9c0e-1c8b7f0a6a01",
        "identifier": [{"system": "urn:carelane:example:mr", "value": "10042"}],
        "name": [{"family": "Alder", "given": ["Elif"]}],
        "gender": "female",
        "birthDate": "1996-08-13",
    }
    entries = [{"fullUrl": f"urn:uuid:{one['id']}", "resource": one} for one in (header, person)]
    return {"Meta": _meta(model, event), "Resource": {"resourceType": "Bundle", "type": "message", "timestamp": _WHEN, "entry": entries}}

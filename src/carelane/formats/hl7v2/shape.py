"""Fits a mapped document to its event type: what the event's shape has elsewhere moves there, empty objects go."""

from typing import Any

from carelane.domain.message import Issue

_WITHOUT_VISIT = ("NewPatient", "PatientUpdate", "PatientMerge")
_ONLY_IN = {
    "PreviousLocation": ("Transfer",),
    "DischargeLocation": ("Discharge",),
    "DischargeStatus": ("Discharge", "Transfer"),
    "DischargeDateTime": ("Discharge", "Transfer", "VisitUpdate"),
}


def fit(document: dict[str, Any], model: str, event: str, issues: list[Issue]) -> None:
    """Rearrange in place; whatever the event's shape has no place for stays under ``Visit.Extensions`` and is reported."""
    patient = document.setdefault("Patient", {})
    patient.setdefault("Identifiers", [])
    if model == "Results":
        document.setdefault("Orders", [])
        return
    if event == "VisitMerge":
        document.setdefault("Visit", {})
    visit = document.get("Visit")
    if visit is None:
        return
    if event in _WITHOUT_VISIT:
        _to_patient(patient, visit, event)
    for name, events in _ONLY_IN.items():
        if name in visit and event not in events:
            value = visit.pop(name)
            visit.setdefault("Extensions", {})[name] = {"url": f"urn:carelane:extension:{name}", "value": value}
            issues.append(Issue("information", "moved-to-extensions", target=f"Visit.{name}", text=f"{event} has no {name}"))
    if not visit:
        del document["Visit"]


def _to_patient(patient: dict[str, Any], visit: dict[str, Any], event: str) -> None:
    """Events without a visit carry insurance and guarantor with the patient."""
    if event in ("NewPatient", "PatientUpdate"):
        for name in ("Insurances", "Guarantor"):
            if name in visit:
                patient[name] = visit.pop(name)

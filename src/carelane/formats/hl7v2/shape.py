"""Fits a mapped document to its event type, and back: what the event's shape has no place for stands under ``Extensions`` of the same object."""

from collections.abc import Mapping
from typing import Any

from carelane.domain.message import Issue
from carelane.mapping.generate import EXTENSION_URL
from carelane.mapping.pack import Pack, Row
from carelane.models.schemas import names_of

_WITHOUT_VISIT = ("NewPatient", "PatientUpdate", "PatientMerge")
_MOVED = ("Insurances", "Guarantor")
_NEEDED: Mapping[str, tuple[tuple[str, Any], ...]] = {
    "Results": (("Orders", list),), "Order": (), "Order.GroupedOrders": (("Orders", list),), "Financial.Transaction": (("Transactions", list),),
    "Vaccination": (("Vaccinations", list),), "Flowsheet": (("Observations", list),), "SurgicalScheduling": (("Procedures", list),),
    "Medications.Administration": (("Administrations", list),), "Scheduling.PushSlots": (("Slots", list),), "Provider": (("Providers", list),),
    "Inventory.Update": (("Items", list),), "Scheduling": (("Visit", dict),), "Notes": (("Note", dict),), "Media": (("Media", dict),),
}  # fmt: skip
_NO_PATIENT = frozenset(
    {"Scheduling.PushSlots", "Provider", "Inventory.Update", "Order.Query", "Results.Query", "Scheduling.Booked", "PatientAdmin.VisitQuery",
     "Scheduling.BookedResponse"}
)  # fmt: skip
_ANSWERS = frozenset({"PatientSearch", "Vaccination.PatientQuery", "Vaccination.PatientQueryResponse"})

Misfit = Mapping[str, Any]
"""Name → None (it moves to Extensions) or the misfits below it."""


def misfits(pack: Pack, model: str, event: str) -> Misfit:
    """Return the targets of a pack's rows that an event type has no field for, as a tree."""
    tree: dict[str, Any] = {}
    for row in pack.rows:
        _add(tree, row, names_of(model, event), ())
    return _pruned(tree)


def _pruned(tree: dict[str, Any]) -> dict[str, Any]:
    """Leave out branches in which everything fits."""
    kept = {name: inner if inner is None else _pruned(inner) for name, inner in tree.items()}
    return {name: inner for name, inner in kept.items() if inner is None or inner}


def _add(tree: dict[str, Any], row: Row, known: Mapping[str, Any], _prefix: tuple[str, ...]) -> None:
    *parents, last = row.target.removesuffix("[]").split(".")
    here, names = tree, known
    for name in [*parents, last]:
        if name in ("Extensions", "Meta"):
            return
        if name not in names:
            here[name] = None
            return
        if name == last and not row.rows:
            return
        inner = here.setdefault(name, {})
        if inner is None:
            return
        here, names = inner, names[name]
    for nested in row.rows:
        _add(here, nested, names, ())


def fit(document: dict[str, Any], model: str, event: str, tree: Misfit, issues: list[Issue]) -> None:
    """Rearrange in place; what moves to Extensions is reported."""
    key = f"{model}.{event}"
    _share_control(document, key)
    if model == "PatientAdmin" and event in _WITHOUT_VISIT:
        _to_patient(document, event)
    _move(document, tree, "", event, issues)
    if key not in _NO_PATIENT and model not in _NO_PATIENT:
        patient = document.setdefault("Patient", {})
        if model not in _ANSWERS and key not in _ANSWERS:
            patient.setdefault("Identifiers", [])
    for order in document.get("Orders") or ():
        if model == "Results":
            order.setdefault("Results", [])
    for name, kind in (*_NEEDED.get(model, ()), *_NEEDED.get(key, ())):
        document.setdefault(name, kind())
    if event == "VisitMerge":
        document.setdefault("Visit", {})
    if document.get("Visit") == {} and event != "VisitMerge" and model != "Scheduling":
        del document["Visit"]


def _move(value: Any, tree: Misfit, place: str, event: str, issues: list[Issue]) -> None:
    if isinstance(value, list):
        for one in value:
            _move(one, tree, place, event, issues)
        return
    if not isinstance(value, dict):
        return
    for name, inner in tree.items():
        if name not in value:
            continue
        if inner is not None:
            _move(value[name], inner, f"{place}{name}.", event, issues)
            continue
        value.setdefault("Extensions", {})[name] = {"url": EXTENSION_URL + name, "value": value.pop(name)}
        issues.append(Issue("information", "moved-to-extensions", target=place + name, text=f"{event} has no {name}"))


def unfit(value: Any) -> Any:
    """Return a copy in which what was moved to Extensions stands in its own place again."""
    if isinstance(value, list):
        return [unfit(one) for one in value]
    if not isinstance(value, dict):
        return value
    found = {name: unfit(one) if isinstance(one, dict | list) and name != "Extensions" else one for name, one in value.items()}
    extensions = value.get("Extensions")
    if isinstance(extensions, dict):
        for name, one in extensions.items():
            if isinstance(one, dict) and "value" in one and name not in found and one.get("url") == EXTENSION_URL + name:
                found[name] = unfit(one["value"])
    return found


def _share_control(document: dict[str, Any], key: str) -> None:
    """An ORC speaks for every order behind it (chapter 4): one without an ORC of its own is new, changed or cancelled as the one before it."""
    status = None
    for order in document.get("Orders") or [] if key == "Order.GroupedOrders" else ():
        if order.get("Status") is None and status is not None:
            order["Status"] = status
        status = order.get("Status")


def _to_patient(document: dict[str, Any], event: str) -> None:
    """Events without a visit carry insurance and guarantor with the patient."""
    visit, patient = document.get("Visit"), document.setdefault("Patient", {})
    if visit and event in ("NewPatient", "PatientUpdate"):
        for name in _MOVED:
            if name in visit:
                patient[name] = visit.pop(name)


def from_patient(document: dict[str, Any]) -> None:
    """The way back, in place."""
    patient = document.get("Patient")
    if isinstance(patient, dict) and any(patient.get(name) for name in _MOVED):
        visit = document.get("Visit")
        visit = document["Visit"] = dict(visit) if isinstance(visit, dict) else {}
        for name in _MOVED:
            if patient.get(name) and not visit.get(name):
                visit[name] = patient[name]

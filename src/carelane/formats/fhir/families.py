"""What a message of each family is about: the resources it makes beside the patient and the visit."""

from collections.abc import Callable, Mapping, Sequence

from carelane.formats.fhir.assembly import key_of
from carelane.formats.fhir.compose import UNKNOWN, Composer, Link, Resource, diagnoses, provenance
from carelane.formats.fhir.elements import ABSENT
from carelane.formats.fhir.making import leaf_of
from carelane.formats.fhir.participants import appointment
from carelane.formats.fhir.specimens import from_source
from carelane.formats.fhir.systems import V2
from carelane.formats.hl7v2.groups import STRUCTURES, index
from carelane.formats.hl7v2.message import Segment
from carelane.formats.hl7v2.scope import Scope


def _results(work: Composer) -> list[Link]:
    groups = STRUCTURES["@orders"](work.scope())
    links = _loose(work, groups) if groups else []
    for group in groups or ([work.scope()] if work.has("OBX") else []):
        specimens = _specimens(work, group)
        request = _request(work, group) if group.segments.get("ORC") or group.segments.get("OBR") else None
        observations = _observations(work, group, specimens)
        if not group.segments.get("OBR"):
            links += observations
            continue
        found = work.made("report", group)
        found.setdefault("status", "unknown")
        found.setdefault("code", UNKNOWN)
        report: Resource = {"resourceType": "DiagnosticReport", **found, **work.about()}
        if request:
            report["basedOn"] = [request]
        if specimens:
            report["specimen"] = specimens
        if observations:
            report["result"] = observations
            _withdraw(work, report, observations)
        links.append(work.bundle.add(report))
        if group.segments.get("ORC"):
            provenance(work, "ordering", group, [links[-1]])
    return links


def _withdraw(work: Composer, report: Resource, observations: Sequence[Link]) -> None:
    """A report follows its results: where all are withdrawn so is it, where some are it is corrected, for whoever looks at the report only."""
    withdrawn = [work.bundle.resources[link["reference"].removeprefix("urn:uuid:")]["status"] == "entered-in-error" for link in observations]
    if all(withdrawn):
        report["status"] = "entered-in-error"
    elif any(withdrawn) and report["status"] == "final":
        report["status"] = "corrected"


def _loose(work: Composer, groups: Sequence[Scope]) -> list[Link]:
    """Results that belong to no order: those of the patient (OUL, ORU since 2.9), and those of a specimen that leads."""
    ordered = {id(segment) for group in groups for segment in group.members}
    parts: list[list[Segment]] = [[]]
    for segment in work.message.segments:
        if segment.name == "SPM":
            parts.append([segment])
        elif id(segment) not in ordered:
            parts[-1].append(segment)
    links = []
    for part in parts:
        if any(segment.name == "OBX" for segment in part):
            found = [segment for segment in part if segment.name == "SPM"]
            scope = work.scope().within({"ORC": [], "OBR": [], "SPM": found}, 0, part)
            links += _observations(work, scope, _specimens(work, scope))
    return links


def _observations(work: Composer, scope: Scope, specimens: Sequence[Link], status: str = "unknown") -> list[Link]:
    links = []
    for one in STRUCTURES["@results"](scope):
        found = work.made("observation", one)
        if not found:
            continue
        found.setdefault("status", status)
        found.setdefault("code", UNKNOWN)
        segment = one.first("OBX")
        result = (one.leaf(segment.field(11)) or "") if segment is not None else ""
        if not any(name.startswith("value") for name in found) and "component" not in found and result in ("X", "N"):
            reason = "not-asked" if result == "N" else "not-performed"
            found["dataAbsentReason"] = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/data-absent-reason", "code": reason}]}
        if len(specimens) == 1:
            found["specimen"] = specimens[0]
        links.append(work.bundle.add({"resourceType": "Observation", **found, **work.about()}))
    return links


def _specimens(work: Composer, scope: Scope) -> list[Link]:
    links = []
    for at, segment in enumerate(scope.segments.get("SPM", ())):
        known = work.specimens.get(id(segment))
        if known is None and (resource := work.made("specimen", scope.within({"SPM": [segment]}, at, [segment]))):
            known = work.bundle.add({"resourceType": "Specimen", **resource, **({"subject": work.patient} if work.patient else {})})
            work.specimens[id(segment)] = known
        if known is not None:
            links.append(known)
    order = scope.first("OBR")
    if not links and order is not None and any(order.field(number) for number in (10, 15, 39)):
        named = work.made("specimen", scope)
        for name, value in (from_source(order.field(15), scope) or {} if order.field(15) else {}).items():
            known = named.get(name)
            named[name] = {**known, **value} if isinstance(known, dict) else [*known, *value] if isinstance(known, list) else value
        if named:
            links.append(work.bundle.add({"resourceType": "Specimen", **named, **({"subject": work.patient} if work.patient else {})}))
    return links


def _request(work: Composer, scope: Scope) -> Link:
    found = work.made("servicerequest", scope)
    found.setdefault("status", "unknown")
    found.setdefault("code", UNKNOWN)
    return work.bundle.add({"resourceType": "ServiceRequest", "intent": "order", **found, **work.about()})


def _orders(work: Composer) -> list[Link]:
    if work.has("RXO"):
        return _prescriptions(work)
    links = []
    for group in STRUCTURES["@orders"](work.scope()):
        link = _request(work, group)
        request = work.bundle.resources[link["reference"].removeprefix("urn:uuid:")]
        if specimens := _specimens(work, group):
            request["specimen"] = specimens
        if observations := _observations(work, group, specimens, "final"):
            request["supportingInfo"] = observations
        diagnosed = [segment for segment in group.members if segment.name == "DG1"]
        if reasons := diagnoses(work, [group.within({"DG1": [segment]}) for segment in diagnosed]):
            request["reasonReference"] = reasons
        links.append(link)
        if group.segments.get("ORC"):
            provenance(work, "ordering", group, [link])
    return links


def _prescriptions(work: Composer) -> list[Link]:
    links = []
    for group in STRUCTURES["@drugs"](work.scope()):
        found = work.made("medicationrequest", group)
        if not found:
            continue
        found.setdefault("status", "unknown")
        found.setdefault("medicationCodeableConcept", UNKNOWN)
        link = work.bundle.add({"resourceType": "MedicationRequest", "intent": "original-order", **found, **work.about()})
        if observations := _observations(work, group, [], "final"):
            work.bundle.resources[link["reference"].removeprefix("urn:uuid:")]["supportingInformation"] = observations
        links.append(link)
    return links


def _administrations(work: Composer) -> list[Link]:
    links = []
    for group in STRUCTURES["@doses"](work.scope()):
        found = work.made("administered", group)
        found.setdefault("status", "unknown")
        found.setdefault("medicationCodeableConcept", UNKNOWN)
        if "effectiveDateTime" not in found and "effectivePeriod" not in found:
            found["effectivePeriod"] = ABSENT
        about = work.about()
        context = {"context": about.pop("encounter")} if "encounter" in about else {}
        links.append(work.bundle.add({"resourceType": "MedicationAdministration", **found, **about, **context}))
    return links


def _immunizations(work: Composer) -> list[Link]:
    links = []
    for group in STRUCTURES["@doses"](work.scope()):
        if not group.segments.get("RXA"):
            continue
        found = work.made("immunization", group)
        dose = group.first("RXA")
        if dose is not None and group.leaf(dose.field(21)) == "D":
            found["status"] = "entered-in-error"
        found.setdefault("status", "completed")
        found.setdefault("vaccineCode", UNKNOWN)
        if "occurrenceDateTime" not in found:
            found["occurrenceString"] = "unknown"
        about = work.about()
        found["patient"] = about.pop("subject")
        link = work.bundle.add({"resourceType": "Immunization", **found, **about})
        for one in _observations(work, group, [], "final"):
            work.bundle.resources[one["reference"].removeprefix("urn:uuid:")]["partOf"] = [link]
        links.append(link)
    return links


def _appointments(work: Composer) -> list[Link]:
    scope = work.scope()
    found = work.made("appointment", scope)
    return [work.bundle.add({"resourceType": "Appointment", **appointment(found, scope, work.patient, work.trigger)}, key_of(found.get("identifier")))]


def _documents(work: Composer) -> list[Link]:
    found = work.made("document", work.scope())
    found.setdefault("status", "entered-in-error" if work.trigger == "T11" else "current")
    if not found.get("content"):
        found["content"] = [{"attachment": {"title": str((found.get("masterIdentifier") or {}).get("value") or "document")}}]
    if form := leaf_of(work.scope(), "TXA", 3):
        found["content"] = [{**one, "format": {"system": V2 + "0191", "code": form}} for one in found["content"]]
    if work.encounter:
        found["context"] = {"encounter": [work.encounter]}
    return [work.bundle.add({"resourceType": "DocumentReference", **found, "subject": work.patient or {"display": "unknown"}})]


def _charges(work: Composer) -> list[Link]:
    links = []
    for group in STRUCTURES["@charges"](work.scope()):
        found = work.made("charge", group)
        found.setdefault("status", "unknown")
        found.setdefault("code", UNKNOWN)
        about = work.about()
        context = {"context": about.pop("encounter")} if "encounter" in about else {}
        links.append(work.bundle.add({"resourceType": "ChargeItem", **found, **about, **context}))
    return links


def _staff(work: Composer) -> list[Link]:
    links = []
    for group in STRUCTURES["@masters"](work.scope()):
        found = work.made("staff", group)
        if found:
            links.append(work.bundle.add({"resourceType": "Practitioner", **found}, key_of(found.get("identifier"))))
    return links


def _referrals(work: Composer) -> list[Link]:
    found = work.made("referral", work.scope())
    status = {"I14": "revoked"}.get(work.trigger, "active")
    found.setdefault("code", UNKNOWN)
    return [work.bundle.add({"resourceType": "ServiceRequest", "status": status, "intent": "order", **found, **work.about()})]


def _observed(work: Composer) -> list[Link]:
    """Observations that stand beside a patient, as in ADT."""
    rest: list[Segment] = [segment for segment in work.message.segments if segment.name in ("OBX", "NTE", "PRT")]
    scope = work.scope().within(index(rest), members=rest)
    return _observations(work, scope, [], "final") and []


def _nothing(_work: Composer) -> list[Link]:
    return []


FAMILIES: Mapping[str, Callable[[Composer], list[Link]]] = {
    "ADT": _observed, "BAR": _nothing, "ORU": _results, "OUL": _results, "ORF": _results, "ORM": _orders, "OMG": _orders, "OML": _orders, "OMI": _orders,
    "OSR": _orders, "OMP": _prescriptions, "RDE": _prescriptions, "RDS": _prescriptions, "RAS": _administrations, "VXU": _immunizations,
    "VXR": _immunizations, "RSP": _immunizations, "SIU": _appointments, "SRM": _appointments, "MDM": _documents, "DFT": _charges, "MFN": _staff,
    "REF": _referrals, "RQA": _referrals, "RPA": _referrals,
}  # fmt: skip

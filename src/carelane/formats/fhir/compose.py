"""A message's segments → the resources of a bundle: which there are, and how they refer to each other."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from carelane.domain.message import Issue
from carelane.formats.fhir.assembly import Assembly, FhirContext, key_of
from carelane.formats.fhir.edge import FhirEdge
from carelane.formats.hl7v2.groups import STRUCTURES, index
from carelane.formats.hl7v2.message import Message, Segment
from carelane.formats.hl7v2.scope import Scope
from carelane.mapping.compile import Compiled, Compiler
from carelane.mapping.pack import load_pack
from carelane.mapping.runtime import Run

MAPS = Path(__file__).parent / "maps"
PACKS = tuple(sorted(path.stem for path in MAPS.glob("*.yaml") if path.stem != "vocabulary"))
UNKNOWN = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/data-absent-reason", "code": "unknown"}]}
ABSENT = {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}]}
Resource = dict[str, Any]
Link = dict[str, str]


@cache
def compiled(name: str) -> Compiled:
    """Return a compiled FHIR pack; compiled once a process."""
    return Compiler(load_pack(MAPS / f"{name}.yaml", {}), FhirEdge()).compile()


@dataclass(slots=True)
class Composer:
    """Puts one message's bundle together."""

    message: Message
    context: FhirContext
    code: str
    trigger: str
    issues: list[Issue] = field(default_factory=list)
    patient: Link | None = None
    encounter: Link | None = None

    @property
    def bundle(self) -> Assembly:
        """The resources so far."""
        return self.context.assembly

    def scope(self) -> Scope:
        """Return the scope of the whole message."""
        return Scope(self.message.by_name, self.context, members=self.message.segments)

    def made(self, pack: str, scope: Scope) -> Resource:
        """Run a pack in a scope."""
        found: Resource = {}
        run = Run()
        compiled(pack).program(scope, found, run)
        self.issues += run.issues
        return found

    def has(self, name: str) -> bool:
        """Whether the message has a segment of this name."""
        return bool(self.message.by_name.get(name))

    def about(self) -> Resource:
        """Members that say whom a resource is about."""
        return {"subject": self.patient or {"display": "unknown"}, **({"encounter": self.encounter} if self.encounter else {})}

    def each(self, name: str) -> list[Scope]:
        """Return one scope a segment."""
        whole = self.scope()
        return [whole.within({name: [segment]}, at, [segment]) for at, segment in enumerate(self.message.by_name.get(name, ()))]


def compose(message: Message, context: FhirContext, code: str, trigger: str) -> tuple[list[Link], list[Issue]]:
    """Fill the context's assembly; return references to what the message is about, and what was reported."""
    work = Composer(message, context, code, trigger)
    focus: list[Link] = []
    if work.has("PID"):
        focus.append(_patient(work))
    if work.has("PV1"):
        focus.append(_encounter(work))
    _around(work)
    focus += _FAMILIES.get(code, _nothing)(work)
    _merged(work)
    return list({one["reference"]: one for one in reversed(focus)}.values()), work.issues


def _nothing(_work: Composer) -> list[Link]:
    return []


# --- who


def _patient(work: Composer) -> Link:
    scope = work.scope()
    resource = work.made("patient", scope)
    contacts = [found for one in work.each("NK1") if (found := work.made("contact", one))]
    if contacts:
        resource["contact"] = contacts
    work.patient = work.bundle.add({"resourceType": "Patient", **resource}, key_of(resource.get("identifier")))
    for one in work.each("NK1"):
        found = work.made("relatedperson", one)
        if found:
            work.bundle.add({"resourceType": "RelatedPerson", "patient": work.patient, **found})
    return work.patient


def _merged(work: Composer) -> None:
    """MRG: the retired patient, no longer active, points at the one that stays."""
    if not work.has("MRG") or work.patient is None:
        return
    from carelane.formats.fhir.elements import each, identifier  # noqa: PLC0415

    scope = work.scope()
    segment = work.message.by_name["MRG"][0]
    numbers = [found for text in each(segment.field(1), scope) if (found := identifier(text, scope))]
    if numbers:
        old = work.bundle.add(
            {"resourceType": "Patient", "identifier": numbers, "active": False, "link": [{"other": work.patient, "type": "replaced-by"}]},
            "MRG|" + (key_of(numbers) or str(numbers[0]["value"])),
        )
        work.bundle.resources[work.patient["reference"].removeprefix("urn:uuid:")].setdefault("link", []).append({"other": old, "type": "replaces"})
    if account := next((found for text in each(segment.field(3), scope) if (found := identifier(text, scope))), None):
        work.bundle.add({"resourceType": "Account", "identifier": [account], "status": "inactive", "subject": [work.patient]})


_CANCELLED = frozenset({"A11", "A27", "A38", "A32"})
_PLANNED = frozenset({"A05", "A14", "A15", "A16", "A26"})
_LEAVE = frozenset({"A21"})
_CLASS_STATUS = {"P": "planned", "I": "in-progress", "E": "in-progress"}


def _encounter(work: Composer) -> Link:
    scope = work.scope()
    resource = work.made("encounter", scope)
    visit = work.message.by_name["PV1"][0]
    kind = scope.leaf(visit.field(2)) or ""
    resource.setdefault("class", {"system": "http://terminology.hl7.org/CodeSystem/v3-NullFlavor", "code": "UNK"})
    status = "finished" if scope.leaf(visit.field(45)) else _CLASS_STATUS.get(kind, "unknown")
    if work.code == "ADT":
        event = work.trigger
        status = (
            "cancelled" if event in _CANCELLED
            else "planned" if event in _PLANNED
            else "onleave" if event in _LEAVE
            else "in-progress" if event in ("A01", "A02", "A04", "A13", "A22", "A10") and status != "finished"
            else "finished" if event == "A03"
            else status
        )  # fmt: skip
    link = work.bundle.add(
        {"resourceType": "Encounter", "status": status, **resource, "subject": work.patient or {"display": "unknown"}}, key_of(resource.get("identifier"))
    )
    work.encounter = link
    return link


def _around(work: Composer) -> None:
    """What comes with a patient or a visit in any message: allergies, diagnoses, procedures, coverage, account."""
    subject = work.patient or {"display": "unknown"}
    for one in STRUCTURES["@allergies"](work.scope()):
        found = work.made("allergy", one)
        if found:
            status = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical", "code": "active"}]}
            work.bundle.add({"resourceType": "AllergyIntolerance", "clinicalStatus": status, **found, "patient": subject})
    if work.code not in ("ORM", "OMG", "OML", "OMI", "OMP"):
        _diagnoses(work, work.each("DG1"))
    for one in work.each("PR1"):
        found = work.made("procedure", one)
        if found and work.code != "REF":
            work.bundle.add({"resourceType": "Procedure", "status": "completed", **found, **work.about()})
    covers = _coverages(work)
    _account(work, covers)
    if work.has("EVN"):
        _provenance(work, "provenance", work.scope(), [work.encounter or work.patient])


def _diagnoses(work: Composer, scopes: Sequence[Scope]) -> list[Link]:
    links = []
    visit = work.bundle.resources.get(work.encounter["reference"].removeprefix("urn:uuid:")) if work.encounter else None
    for one in scopes:
        found = work.made("condition", one)
        if not found:
            continue
        segment = one.first("DG1")
        link = work.bundle.add({"resourceType": "Condition", **found, **work.about()})
        links.append(link)
        if visit is None or segment is None:
            continue
        entry: Resource = {"condition": link}
        from carelane.formats.fhir.functions import diagnosis_use, positive  # noqa: PLC0415

        if segment.field(6) and (use := diagnosis_use(segment.field(6), one)):
            entry["use"] = use
        if rank := positive(one.leaf(segment.field(15)) or "", one):
            entry["rank"] = rank
        visit.setdefault("diagnosis", []).append(entry)
    return links


def _coverages(work: Composer) -> list[Link]:
    from carelane.formats.fhir.payers import coverage  # noqa: PLC0415

    links = []
    for one in STRUCTURES["@insurances"](work.scope()):
        found = work.made("coverage", one)
        links.append(work.bundle.add({"resourceType": "Coverage", "status": "active", **coverage(found, one, work.patient)}))
    return links


def _account(work: Composer, covers: Sequence[Link]) -> None:
    scope = work.scope()
    person = scope.first("PID")
    number = person.field(18) if person is not None else ""
    guarantors = []
    for one in work.each("GT1"):
        found = work.made("guarantor", one)
        if found:
            link = work.bundle.add({"resourceType": "RelatedPerson", "patient": work.patient or {"display": "unknown"}, **found})
            guarantors.append({"party": link})
    if not number and not guarantors:
        return
    from carelane.formats.fhir.elements import identifier  # noqa: PLC0415

    account = identifier(number, scope) if number else None
    resource: Resource = {"resourceType": "Account", "status": "active"}
    if account:
        resource["identifier"] = [account]
    if work.patient:
        resource["subject"] = [work.patient]
    if covers:
        resource["coverage"] = [{"coverage": link} for link in covers]
    if guarantors:
        resource["guarantor"] = guarantors
    work.bundle.add(resource, key_of(resource.get("identifier")))


def _provenance(work: Composer, pack: str, scope: Scope, targets: Sequence[Link | None]) -> None:
    """Who did it and when; FHIR wants both, so without a moment there is none, and an unnamed agent is the sender."""
    found = work.made(pack, scope)
    known = [link for link in targets if link]
    if not known or ("recorded" not in found and "_recorded" not in found):
        return
    from carelane.formats.fhir.named import authority  # noqa: PLC0415

    sender = authority(work.message.field("MSH", 4) or work.message.field("MSH", 3), work.scope())
    agents = found.pop("agent", None) or [{"who": sender or {"display": "unknown"}}]
    event = {"activity": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0003", "code": work.trigger}]}} if work.trigger else {}
    work.bundle.add({"resourceType": "Provenance", "target": known, **event, **found, "agent": agents})


# --- what happened


def _results(work: Composer) -> list[Link]:
    links = []
    groups = STRUCTURES["@orders"](work.scope())
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
        links.append(work.bundle.add(report))
        if group.segments.get("ORC"):
            _provenance(work, "ordering", group, [links[-1]])
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
    found = [segment for segment in scope.members if segment.name == "SPM"]
    scopes = [scope.within({"SPM": [segment]}, at, [segment]) for at, segment in enumerate(found)]
    for one in scopes:
        resource = work.made("specimen", one)
        if resource:
            links.append(work.bundle.add({"resourceType": "Specimen", **resource, **({"subject": work.patient} if work.patient else {})}))
    order = scope.first("OBR")
    if not links and order is not None and order.field(15):
        from carelane.formats.fhir.specimens import from_source  # noqa: PLC0415

        named = from_source(order.field(15), scope)
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
        if reasons := _diagnoses(work, [group.within({"DG1": [segment]}) for segment in diagnosed]):
            request["reasonReference"] = reasons
        links.append(link)
        if group.segments.get("ORC"):
            _provenance(work, "ordering", group, [link])
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
            found["_effectiveDateTime"] = ABSENT
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
            found["_occurrenceDateTime"] = ABSENT
        about = work.about()
        found["patient"] = about.pop("subject")
        link = work.bundle.add({"resourceType": "Immunization", **found, **about})
        for one in _observations(work, group, [], "final"):
            work.bundle.resources[one["reference"].removeprefix("urn:uuid:")]["partOf"] = [link]
        links.append(link)
    return links


def _appointments(work: Composer) -> list[Link]:
    from carelane.formats.fhir.participants import appointment  # noqa: PLC0415

    scope = work.scope()
    found = work.made("appointment", scope)
    return [work.bundle.add({"resourceType": "Appointment", **appointment(found, scope, work.patient, work.trigger)}, key_of(found.get("identifier")))]


def _documents(work: Composer) -> list[Link]:
    found = work.made("document", work.scope())
    found.setdefault("status", "entered-in-error" if work.trigger == "T11" else "current")
    if not found.get("content"):
        found["content"] = [{"attachment": {"title": str((found.get("masterIdentifier") or {}).get("value") or "document")}}]
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


_FAMILIES: Mapping[str, Callable[[Composer], list[Link]]] = {
    "ADT": _observed, "BAR": _nothing, "ORU": _results, "OUL": _results, "ORF": _results, "ORM": _orders, "OMG": _orders, "OML": _orders, "OMI": _orders,
    "OSR": _orders, "OMP": _prescriptions, "RDE": _prescriptions, "RDS": _prescriptions, "RAS": _administrations, "VXU": _immunizations,
    "VXR": _immunizations, "RSP": _immunizations, "SIU": _appointments, "SRM": _appointments, "MDM": _documents, "DFT": _charges, "MFN": _staff,
    "REF": _referrals, "RQA": _referrals, "RPA": _referrals,
}  # fmt: skip

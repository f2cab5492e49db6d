"""A message's segments → the resources of a bundle: which there are, and how they refer to each other."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from carelane.domain.message import Issue
from carelane.formats.fhir.assembly import Assembly, FhirContext, key_of
from carelane.formats.fhir.edge import FhirEdge
from carelane.formats.fhir.elements import each, extension, identifier, trimmed
from carelane.formats.fhir.functions import diagnosis_use, positive
from carelane.formats.fhir.functions import notes as annotations
from carelane.formats.fhir.named import authority
from carelane.formats.fhir.payers import coverage
from carelane.formats.fhir.roles import code_of, left_over, person, role_of, span_of, taking_part, team
from carelane.formats.hl7v2.groups import STRUCTURES, owned
from carelane.formats.hl7v2.message import Message, Segment
from carelane.formats.hl7v2.scope import Scope
from carelane.mapping.compile import Compiled, Compiler
from carelane.mapping.pack import load_pack
from carelane.mapping.runtime import Run

MAPS = Path(__file__).parent / "maps"
PACKS = tuple(sorted(path.stem for path in MAPS.glob("*.yaml") if path.stem != "vocabulary"))
UNKNOWN = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/data-absent-reason", "code": "unknown"}]}
Resource = dict[str, Any]
Link = dict[str, str]


@cache
def compiled(name: str) -> Compiled:
    """Return a compiled FHIR pack; compiled once a process."""
    return Compiler(load_pack(MAPS / f"{name}.yaml", {}), FhirEdge()).compile(trace=False)


Family = Callable[["Composer"], list[Link]]
"""Adds what a family of messages is about."""


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
    specimens: dict[int, Link] = field(default_factory=dict)
    """By the identity of their segment: several orders may be about one."""

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


def compose(message: Message, context: FhirContext, code: str, trigger: str, family: Family) -> tuple[list[Link], list[Issue]]:
    """Fill the context's assembly with the patient, the visit, and what the message's family adds.

    Return references to what the message is about, and what was reported.
    """
    work = Composer(message, context, code, trigger)
    focus: list[Link] = []
    work.bundle.shared = True
    if work.has("PID"):
        focus.append(_patient(work))
    if work.has("PV1"):
        focus.append(_encounter(work))
    _around(work)
    work.bundle.shared = False
    focus += family(work)
    _merged(work)
    _team(work)
    return list({one["reference"]: one for one in reversed(focus)}.values()), work.issues


# --- who


def _patient(work: Composer) -> Link:
    scope = work.scope()
    resource = work.made("patient", scope)
    notes = [segment for segment in owned(work.message.segments, ("PID", "PD1")) if segment.name == "NTE"]
    if said := annotations(None, scope.within({"NTE": notes})):  # HL7's tables have no place for a note on the patient, and Patient no element
        resource.setdefault("extension", []).extend(extension("note", "Annotation", one) for one in said)
    contacts = [found for one in work.each("NK1") if (found := work.made("contact", one))]
    if contacts:
        resource["contact"] = contacts
    doctors = [who for one in taking_part(work.message.segments, "PID", "PD1") if code_of(one, scope) == "PP" and (who := person(one, scope))]
    if doctors:
        resource["generalPractitioner"] = [*resource.get("generalPractitioner", []), *doctors]
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
    scope = work.scope()
    for segment in work.message.by_name["MRG"]:
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
_SCHEDULING = frozenset({"SIU", "SRM"})
"""Their visit is the one that is to come."""
_CLASS_STATUS = {"P": "planned", "I": "in-progress", "E": "in-progress"}


def _encounter(work: Composer) -> Link:
    scope = work.scope()
    resource = work.made("encounter", scope)
    visit = work.message.by_name["PV1"][0]
    kind = scope.leaf(visit.field(2)) or ""
    resource.setdefault("class", {"system": "http://terminology.hl7.org/CodeSystem/v3-NullFlavor", "code": "UNK"})
    status = "finished" if scope.leaf(visit.field(45)) else "planned" if work.code in _SCHEDULING else _CLASS_STATUS.get(kind, "unknown")
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
    parts = [_participant(one, scope) for one in taking_part(work.message.segments, "PV1", "PV2")]
    if found := [one for one in parts if "individual" in one]:
        resource["participant"] = [*resource.get("participant", []), *found]
    link = work.bundle.add(
        {"resourceType": "Encounter", "status": status, **resource, "subject": work.patient or {"display": "unknown"}}, key_of(resource.get("identifier"))
    )
    work.encounter = link
    return link


def _participant(segment: Segment, scope: Scope) -> Resource:
    role = role_of(segment, scope)
    return trimmed({"type": [role] if role else [], "period": span_of(segment, scope), "individual": person(segment, scope)})


def _team(work: Composer) -> None:
    """Whoever takes part in what has no element for them: in the care of the patient."""
    scope = work.scope()
    others = [one for one in taking_part(work.message.segments, "PID", "PD1") if code_of(one, scope) != "PP"]
    if found := team([*others, *left_over(work.message.segments)], scope):
        work.bundle.add({"resourceType": "CareTeam", "status": "active", **work.about(), "participant": found})


def _around(work: Composer) -> None:
    """What comes with a patient or a visit in any message: allergies, diagnoses, procedures, coverage, account."""
    subject = work.patient or {"display": "unknown"}
    for one in STRUCTURES["@allergies"](work.scope()):
        found = work.made("allergy", one)
        if found:
            status = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical", "code": "active"}]}
            work.bundle.add({"resourceType": "AllergyIntolerance", "clinicalStatus": status, **found, "patient": subject})
    if work.code not in ("ORM", "OMG", "OML", "OMI", "OMP"):
        diagnoses(work, work.each("DG1"))
    for one in work.each("PR1"):
        found = work.made("procedure", one)
        if found and work.code != "REF":
            work.bundle.add({"resourceType": "Procedure", "status": "completed", **found, **work.about()})
    covers = _coverages(work)
    _account(work, covers)
    if work.has("EVN"):
        provenance(work, "provenance", work.scope(), [work.encounter or work.patient])


def diagnoses(work: Composer, scopes: Sequence[Scope]) -> list[Link]:
    """Add one Condition a DG1, and say at the visit what part it plays there."""
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
        if segment.field(6) and (use := diagnosis_use(segment.field(6), one)):
            entry["use"] = use
        if rank := positive(one.leaf(segment.field(15)) or "", one):
            entry["rank"] = rank
        visit.setdefault("diagnosis", []).append(entry)
    return links


def _coverages(work: Composer) -> list[Link]:
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


def provenance(work: Composer, pack: str, scope: Scope, targets: Sequence[Link | None]) -> None:
    """Who did it and when; FHIR wants both, so without a moment there is none, and an unnamed agent is the sender."""
    found = work.made(pack, scope)
    known = [link for link in targets if link]
    if not known or ("recorded" not in found and "_recorded" not in found):
        return
    sender = authority(work.message.field("MSH", 4) or work.message.field("MSH", 3), work.scope())
    agents = found.pop("agent", None) or [{"who": sender or {"display": "unknown"}}]
    event = {"activity": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0003", "code": work.trigger}]}} if work.trigger else {}
    work.bundle.add({"resourceType": "Provenance", "target": known, **event, **found, "agent": agents})

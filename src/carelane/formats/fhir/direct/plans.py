"""Which object of a document becomes which resource, by which map, and in which section: the plans of the models without HL7 v2 messages."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

_CLASS = {"system": "http://terminology.hl7.org/CodeSystem/v3-NullFlavor", "code": "UNK"}
_UNKNOWN = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/data-absent-reason", "code": "unknown"}]}
_NORMAL = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/processpriority", "code": "normal"}]}
_CONCERN = [{"coding": [{"system": "http://hl7.org/fhir/us/core/CodeSystem/condition-category", "code": "health-concern"}]}]
_ABSENT = {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}]}


@dataclass(frozen=True, slots=True)
class Part:
    """One object, or a list of them, at a path of the document.

    ``about`` is the element that refers to the patient; ``usual`` what FHIR requires and the object may lack; ``inner`` are parts of each object,
    with the element of this resource that refers to them. ``section`` is the LOINC code and the title of a composition's section, ``text`` the path
    of that section's narrative.
    """

    path: str
    resource: str
    pack: str
    about: str = ""
    section: tuple[str, str] | None = None
    text: str = ""
    usual: Mapping[str, Any] = field(default_factory=dict)
    inner: tuple[tuple[str, "Part"], ...] = ()
    beside: tuple[tuple[str, str, Callable[[dict[str, str]], Any]], ...] = ()
    """Elements that refer to another resource of the document: element, resource type, and what the element is of a reference."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a model's documents are made of. ``patient`` and ``visit`` are the paths of those; ``head`` the part that stands for the whole."""

    parts: tuple[Part, ...]
    patient: str = ""
    head: Part | None = None


def _condition(path: str, section: tuple[str, str] | None, text: str, pack: str = "condition", **usual: Any) -> Part:
    return Part(path, "Condition", pack, "subject", section, text, {"code": _UNKNOWN, **usual})


def _observation(path: str, pack: str, section: tuple[str, str] | None, text: str, inner: tuple[tuple[str, Part], ...] = ()) -> Part:
    return Part(path, "Observation", pack, "subject", section, text, {"status": "final", "code": _UNKNOWN}, inner)


def _medication(path: str, section: tuple[str, str], text: str) -> Part:
    return Part(path, "MedicationStatement", "medication", "subject", section, text, {"status": "unknown", "medicationCodeableConcept": _UNKNOWN})


def _procedure(path: str, section: tuple[str, str], text: str) -> Part:
    return Part(path, "Procedure", "procedure", "subject", section, text, {"status": "unknown", "code": _UNKNOWN})


def _planned(path: str) -> Part:
    return Part(path, "ServiceRequest", "planned", "subject", _PLAN, "PlanOfCareText", {"status": "unknown", "intent": "plan", "code": _UNKNOWN})


_PLAN, _PROCEDURES, _SOCIAL = ("18776-5", "Plan of care"), ("47519-4", "Procedures"), ("29762-2", "Social history")
_ENCOUNTER = {"status": "unknown", "class": _CLASS}
_RESULTS = _observation("Observations", "observation", None, "")
_NOTE = Part("Notes", "DocumentReference", "note", "subject", usual={"status": "current", "content": [{"attachment": {"title": "note"}}]})

SUMMARY = Plan(
    patient="Header.Patient",
    head=Part(
        "Header.Document", "Composition", "composition", "subject",
        usual={
            "status": "final", "type": {"coding": [{"system": "http://loinc.org", "code": "34133-9"}]}, "title": "Clinical summary", "_date": _ABSENT,
            "author": [{"display": "unknown"}],
        },
        inner=(("encounter", Part("Visit", "Encounter", "visit", "subject", usual=_ENCOUNTER)),),
    ),
    parts=(
        Part("Allergies", "AllergyIntolerance", "allergy", "patient", ("48765-2", "Allergies"), "AllergyText", {"code": _UNKNOWN}),
        _condition("Problems", ("11450-4", "Problems"), "ProblemsText"),
        _condition("ResolvedProblems", ("11348-0", "Resolved problems"), "ResolvedProblemsText"),
        _condition("AdmissionDiagnosis", ("46241-6", "Admission diagnosis"), "AdmissionDiagnosisText"),
        _condition("DischargeDiagnosis", ("11535-2", "Discharge diagnosis"), "DischargeDiagnosisText"),
        _condition("ReasonForVisit", ("29299-5", "Reason for visit"), "ReasonForVisitText"),
        _condition("Assessment.Diagnoses", ("51848-0", "Assessment"), "AssessmentText", "assessed"),
        _condition("HealthConcerns", ("75310-3", "Health concerns"), "HealthConcernsText", category=_CONCERN),
        _medication("Medications", ("10160-0", "Medications"), "MedicationsText"),
        _medication("DischargeMedications", ("10183-2", "Discharge medications"), "DischargeMedicationsText"),
        Part(
            "MedicationsAdministered", "MedicationAdministration", "given", "subject", ("29549-3", "Medications administered"), "MedicationsAdministeredText",
            {"status": "completed", "medicationCodeableConcept": _UNKNOWN, "effectivePeriod": _ABSENT},
        ),
        Part(
            "Immunizations", "Immunization", "immunization", "patient", ("11369-6", "Immunizations"), "ImmunizationText",
            {"status": "completed", "vaccineCode": _UNKNOWN, "occurrenceString": "unknown"},
        ),
        _procedure("Procedures.Procedures", _PROCEDURES, "ProceduresText"),
        _procedure("Procedures.Observations", _PROCEDURES, ""),
        _procedure("Procedures.Services", _PROCEDURES, ""),
        Part(
            "Results", "DiagnosticReport", "report", "subject", ("30954-2", "Results"), "ResultText", {"status": "unknown", "code": _UNKNOWN},
            (("result[]", _RESULTS),),
        ),
        _observation("VitalSigns", "panel", ("8716-3", "Vital signs"), "VitalSignsText", (("hasMember[]", _RESULTS),)),
        _observation("SocialHistory.Observations", "social", _SOCIAL, "SocialHistoryText"),
        _observation("SocialHistory.TobaccoUse", "tobacco", _SOCIAL, ""),
        _observation("SocialHistory.Pregnancy", "pregnancy", _SOCIAL, ""),
        _observation("AdvanceDirectives", "directive", ("42348-3", "Advance directives"), "AdvanceDirectivesText"),
        _observation("FunctionalStatus.Observations", "observation", ("47420-5", "Functional status"), "FunctionalStatusText"),
        Part(
            "FamilyHistory", "FamilyMemberHistory", "family", "patient", ("10157-6", "Family history"), "FamilyHistoryText",
            {"status": "completed", "relationship": _UNKNOWN},
        ),
        Part("Encounters", "Encounter", "encounter", "subject", ("46240-8", "Encounters"), "EncountersText", _ENCOUNTER),
        Part("CareTeams", "CareTeam", "careteam", "subject", ("85847-2", "Care teams")),
        Part("Goals", "Goal", "goal", "subject", ("61146-7", "Goals"), "GoalsText", {"lifecycleStatus": "active", "description": _UNKNOWN}),
        Part("MedicalEquipment", "Device", "device", "patient", ("46264-8", "Medical equipment"), "MedicalEquipmentText"),
        Part(
            "Insurances", "Coverage", "insurance", "beneficiary", ("48768-6", "Insurances"), "InsurancesText",
            {"status": "active", "payor": [{"display": "unknown"}]},
        ),
        *(_planned(f"PlanOfCare.{name}") for name in ("Orders", "Procedures", "Services", "Supplies", "Encounters")),
        Part(
            "PlanOfCare.MedicationAdministration", "MedicationRequest", "planned-medication", "subject", _PLAN, "",
            {"status": "unknown", "intent": "plan", "medicationCodeableConcept": _UNKNOWN},
        ),
        Part("NoteSections", "List", "notes", "subject", ("34109-9", "Notes"), "", {"status": "current", "mode": "snapshot"}, (("entry[].item", _NOTE),)),
    ),
)  # fmt: skip
"""A summary's own texts that no list belongs to are sections too: see ``TEXTS``."""
TEXTS: Mapping[str, tuple[str, str]] = {
    "ChiefComplaintText": ("10154-3", "Chief complaint"), "HistoryOfPresentIllnessText": ("10164-2", "History of present illness"),
    "InstructionsText": ("69730-0", "Instructions"), "InterventionsText": ("62387-6", "Interventions"), "MedicalHistoryText": ("11329-0", "Medical history"),
    "ObjectiveText": ("61149-1", "Objective"), "PhysicalExamText": ("29545-1", "Physical exam"), "ReasonForReferralText": ("42349-1", "Reason for referral"),
    "ReviewOfSystemsText": ("10187-3", "Review of systems"), "SubjectiveText": ("61150-9", "Subjective"),
}  # fmt: skip
_ENDPOINT = Part("Endpoints", "Endpoint", "endpoint", usual={
    "status": "active", "connectionType": {"code": "unknown"}, "payloadType": [{"text": "any"}], "_address": _ABSENT,
})  # fmt: skip
_STUDY = Part("Study", "ResearchStudy", "study", usual={"status": "active"})

_PAID = {"status": "active", "_created": _ABSENT, "_paymentDate": _ABSENT, "paymentAmount": _ABSENT}


def _insured(coverage: dict[str, str]) -> list[dict[str, Any]]:
    return [{"sequence": 1, "focal": True, "coverage": coverage}]


_BILLED = {
    "status": "active", "type": _UNKNOWN, "use": "claim", "_created": _ABSENT, "provider": {"display": "unknown"}, "priority": _NORMAL,
    "insurance": _insured({"display": "unknown"}),
}  # fmt: skip

PLANS: Mapping[str, Plan] = {
    **{f"Clinical Summary.{event}": SUMMARY for event in ("PatientPush", "VisitPush", "PatientQueryResponse", "VisitQueryResponse")},
    **dict.fromkeys(
        ("Organization.New", "Organization.Update", "Organization.QueryResponse"),
        Plan((Part("Organizations", "Organization", "organization", inner=(("endpoint[]", _ENDPOINT),)),)),
    ),
    "Claim.Submission": Plan(
        (
            Part("Subscriber.Insurance", "Coverage", "insurance", "beneficiary", usual={"status": "active", "payor": [{"display": "unknown"}]}),
            Part("Claims", "Claim", "claim", "patient", usual=_BILLED, beside=(("insurance", "Coverage", _insured),)),
        ),
        patient="Patient",
    ),
    "Claim.Payment": Plan((Part("Transaction", "PaymentReconciliation", "payment", usual=_PAID),)),
    "Claim.PaymentBatch": Plan((Part("Transactions", "PaymentReconciliation", "payment", usual=_PAID),)),
    "Clinical Summary.DocumentQueryResponse": Plan(
        (Part("Documents", "DocumentReference", "document", "subject", usual={"status": "current", "content": [{"attachment": {"title": "document"}}]}),),
        patient="Patient",
    ),
    "Inventory.Deplete": Plan(
        (
            Part("Visit", "Encounter", "encounter-of", "subject", usual=_ENCOUNTER),
            Part("Items", "SupplyDelivery", "supply", "patient", usual={"status": "completed"}),
        ),
        patient="Patient",
    ),
    "Research.Study": Plan((_STUDY, Part("Protocols", "PlanDefinition", "protocol", usual={"status": "active"}))),
    "Research.SubjectUpdate": Plan(
        (
            _STUDY,
            Part("Enrollment", "ResearchSubject", "subject", "individual", usual={"status": "on-study"}, beside=(("study", "ResearchStudy", dict),)),
        ),
        patient="Patient",
    ),
    **{
        f"PatientEducation.{event}": Plan(
            (
                Part("Visit", "Encounter", "encounter-of", "subject", usual=_ENCOUNTER),
                Part("Education", "Communication", "education", "subject", usual={"status": "unknown"}),
            ),
            patient="Patient",
        )
        for event in ("New", "Update", "Delete")
    },
}  # fmt: skip

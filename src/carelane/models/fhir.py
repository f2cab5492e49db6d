"""FHIR R4 as data models: which resource types and notifications there are, and the structural check of a resource.

A FHIR document is ``{"Meta": {…, "DataModel": "FHIR.<Resource>" or "FHIR.Event.<Group>"}, "Resource": {…}}``.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from importlib import import_module
from typing import Any

from carelane.domain.message import Issue

RESOURCES: frozenset[str] = frozenset(
    [
        "Account",
        "ActivityDefinition",
        "AdverseEvent",
        "AllergyIntolerance",
        "Appointment",
        "AppointmentResponse",
        "AuditEvent",
        "Basic",
        "Binary",
        "BiologicallyDerivedProduct",
        "BodyStructure",
        "Bundle",
        "CapabilityStatement",
        "CarePlan",
        "CareTeam",
        "CatalogEntry",
        "ChargeItem",
        "ChargeItemDefinition",
        "Claim",
        "ClaimResponse",
        "ClinicalImpression",
        "CodeSystem",
        "Communication",
        "CommunicationRequest",
        "CompartmentDefinition",
        "Composition",
        "ConceptMap",
        "Condition",
        "Consent",
        "Contract",
        "Coverage",
        "CoverageEligibilityRequest",
        "CoverageEligibilityResponse",
        "DetectedIssue",
        "Device",
        "DeviceDefinition",
        "DeviceMetric",
        "DeviceRequest",
        "DeviceUseStatement",
        "DiagnosticReport",
        "DocumentManifest",
        "DocumentReference",
        "EffectEvidenceSynthesis",
        "Encounter",
        "Endpoint",
        "EnrollmentRequest",
        "EnrollmentResponse",
        "EpisodeOfCare",
        "EventDefinition",
        "Evidence",
        "EvidenceVariable",
        "ExampleScenario",
        "ExplanationOfBenefit",
        "FamilyMemberHistory",
        "Flag",
        "Goal",
        "GraphDefinition",
        "Group",
        "GuidanceResponse",
        "HealthcareService",
        "ImagingStudy",
        "Immunization",
        "ImmunizationEvaluation",
        "ImmunizationRecommendation",
        "ImplementationGuide",
        "InsurancePlan",
        "Invoice",
        "Library",
        "Linkage",
        "List",
        "Location",
        "Measure",
        "MeasureReport",
        "Media",
        "Medication",
        "MedicationAdministration",
        "MedicationDispense",
        "MedicationKnowledge",
        "MedicationRequest",
        "MedicationStatement",
        "MedicinalProduct",
        "MedicinalProductAuthorization",
        "MedicinalProductContraindication",
        "MedicinalProductIndication",
        "MedicinalProductIngredient",
        "MedicinalProductInteraction",
        "MedicinalProductManufactured",
        "MedicinalProductPackaged",
        "MedicinalProductPharmaceutical",
        "MedicinalProductUndesirableEffect",
        "MessageDefinition",
        "MessageHeader",
        "MolecularSequence",
        "NamingSystem",
        "NutritionOrder",
        "Observation",
        "ObservationDefinition",
        "OperationDefinition",
        "OperationOutcome",
        "Organization",
        "OrganizationAffiliation",
        "Parameters",
        "Patient",
        "PaymentNotice",
        "PaymentReconciliation",
        "Person",
        "PlanDefinition",
        "Practitioner",
        "PractitionerRole",
        "Procedure",
        "Provenance",
        "Questionnaire",
        "QuestionnaireResponse",
        "RelatedPerson",
        "RequestGroup",
        "ResearchDefinition",
        "ResearchElementDefinition",
        "ResearchStudy",
        "ResearchSubject",
        "RiskAssessment",
        "RiskEvidenceSynthesis",
        "Schedule",
        "SearchParameter",
        "ServiceRequest",
        "Slot",
        "Specimen",
        "SpecimenDefinition",
        "StructureDefinition",
        "StructureMap",
        "Subscription",
        "Substance",
        "SubstanceNucleicAcid",
        "SubstancePolymer",
        "SubstanceProtein",
        "SubstanceReferenceInformation",
        "SubstanceSourceMaterial",
        "SubstanceSpecification",
        "SupplyDelivery",
        "SupplyRequest",
        "Task",
        "TerminologyCapabilities",
        "TestReport",
        "TestScript",
        "ValueSet",
        "VerificationResult",
        "VisionPrescription",
    ]
)
"""The resource types of R4 4.0.1 (http://hl7.org/fhir/R4/resourcelist.html)."""

FHIR_EVENTS: Mapping[str, tuple[str, ...]] = {
    "FHIR.Event.Document": ("document-created", "document-deleted", "document-replaced"),
    "FHIR.Event.Financial": ("financial-new",),
    "FHIR.Event.Order": (
        "device-request-cancelled", "device-request-created", "device-request-updated",
        "medication-request-cancelled", "medication-request-created", "medication-request-updated",
        "referral-accepted", "referral-completed", "referral-confirm-cancelled", "referral-declined", "referral-request-cancelled",
        "referral-requested", "referral-schedule-updated",
        "service-request-cancelled", "service-request-created", "service-request-updated",
    ),
    "FHIR.Event.PatientAdmin": (
        "patient-arrived", "patient-created", "patient-discharged", "patient-merged", "patient-pre-admitted", "patient-registered",
        "patient-transferred", "patient-updated",
    ),
    "FHIR.Event.Result": ("result-created",),
    "FHIR.Event.Scheduling": ("scheduling-appointment-booked", "scheduling-appointment-cancelled", "scheduling-appointment-updated"),
}  # fmt: skip
"""The notifications a subscription can choose, by group."""

_EVENT_OF: Mapping[str, Mapping[str, str]] = {
    "PatientAdmin": {
        "Arrival": "patient-arrived", "Cancel": "patient-updated", "Discharge": "patient-discharged", "NewPatient": "patient-created",
        "PatientMerge": "patient-merged", "PatientUpdate": "patient-updated", "PreAdmit": "patient-pre-admitted", "Registration": "patient-registered",
        "Transfer": "patient-transferred", "VisitMerge": "patient-merged", "VisitUpdate": "patient-updated",
    },
    "Results": {"New": "result-created", "NewUnsolicited": "result-created"},
    "Scheduling": {
        "New": "scheduling-appointment-booked", "Reschedule": "scheduling-appointment-updated", "Modification": "scheduling-appointment-updated",
        "Cancel": "scheduling-appointment-cancelled", "NoShow": "scheduling-appointment-updated",
    },
    "Order": {
        "New": "service-request-created", "Update": "service-request-updated", "Cancel": "service-request-cancelled",
        "GroupedOrders": "service-request-created",
    },
    "Medications": {"New": "medication-request-created", "Update": "medication-request-updated", "Cancel": "medication-request-cancelled"},
    "Referral": {
        "New": "referral-requested", "Modify": "referral-schedule-updated", "Cancel": "referral-request-cancelled",
        "AuthResponse": "referral-accepted",
    },
    "Notes": {"New": "document-created", "Replace": "document-replaced", "Delete": "document-deleted"},
    "Media": {"New": "document-created", "Replace": "document-replaced", "Delete": "document-deleted"},
    "Financial": {"Transaction": "financial-new", "AccountUpdate": "financial-new"},
}  # fmt: skip
_GROUP_OF: Mapping[str, str] = {event: group for group, events in FHIR_EVENTS.items() for event in events}


def notification(model: str, event: str) -> tuple[str, str] | None:
    """Return the FHIR model and notification that say the same as a classic event; None when there is none."""
    classic = "Scheduling" if model == "SurgicalScheduling" else model
    found = _EVENT_OF.get(classic, {}).get(event)
    return (_GROUP_OF[found], found) if found else None


def also_told(model: str | None, event: str | None) -> tuple[str, ...]:
    """Return the data models that tell a classic event as well, for the heading: routing delivers it as each of them."""
    found = notification(model or "", event or "")
    return (found[0],) if found else ()


def classics_of(group: str) -> tuple[str, ...]:
    """Return the classic models whose events a FHIR notification group tells about."""
    return tuple(model for model, events in _EVENT_OF.items() if any(_GROUP_OF[event] == group for event in events.values()))


def fhir_check(document: Any) -> list[Issue]:
    """Check the ``Resource`` of a FHIR document against the structure of R4."""
    resource = document.get("Resource") if isinstance(document, dict) else None
    if not isinstance(resource, dict):
        return [Issue("warning", "required-missing", target="/Resource", text="a FHIR document has a Resource")]
    return [Issue(one.severity, one.code, target=f"/Resource{one.target}", text=one.text) for one in check_resource(resource)]


def check_resource(resource: Mapping[str, Any]) -> list[Issue]:
    """Check names, types, formats and cardinalities of a resource and all it contains, with the ``fhir.resources`` library.

    Not checked: code lists, invariants, profiles, whether references resolve; and the resource types that R4B dropped.
    """
    kind = resource.get("resourceType")
    if not isinstance(kind, str) or kind not in RESOURCES:
        return [Issue("error", "unknown-resource", target="/resourceType", text="no resource type of FHIR R4")]
    model = _model(kind)
    if model is None:
        return [Issue("information", "not-checked", target="/", text=f"the validator does not know {kind}")]
    from pydantic import ValidationError  # noqa: PLC0415

    try:
        model.model_validate(dict(resource))
    except ValidationError as error:
        return list(_found(error.errors(include_input=False, include_context=False, include_url=False)))
    return []


def _found(errors: Iterable[Any]) -> Iterable[Issue]:
    for error in errors:
        place = "".join(f"/{part}" for part in error["loc"])
        yield Issue("warning", "fhir-structure", target=place or "/", text=f"does not meet {error['type']} of FHIR R4")


@cache
def _model(kind: str) -> Any:
    try:
        return getattr(import_module(f"fhir.resources.R4B.{kind.lower()}"), kind)
    except ModuleNotFoundError:
        return None

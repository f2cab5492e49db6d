"""The resources of a bundle → documents of models without HL7 v2 messages, by the same plans backwards."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from carelane.formats.fhir.direct.edge import Around
from carelane.formats.fhir.direct.narratives import narrative_back
from carelane.formats.fhir.direct.plans import PLANS, SUMMARY, TEXTS, Part, Plan
from carelane.formats.fhir.direct.write import PART, whole_of
from carelane.mapping.document import compile_put

Resource = dict[str, Any]
_KINDS = (
    ("Composition", "Clinical Summary.PatientPush"), ("Claim", "Claim.Submission"), ("ResearchSubject", "Research.SubjectUpdate"),
    ("ResearchStudy", "Research.Study"), ("PaymentReconciliation", "Claim.PaymentBatch"), ("SupplyDelivery", "Inventory.Deplete"),
    ("Organization", "Organization.Update"),
)  # fmt: skip
_CARE = frozenset(
    {"Appointment", "Immunization", "MedicationAdministration", "MedicationRequest", "DiagnosticReport", "DocumentReference", "ServiceRequest",
     "DeviceRequest", "ChargeItem", "Observation"}
)  # fmt: skip
"""What a bundle of others is about before anything else in it."""
_ALONE = ("Organization", "Endpoint")
"""Organizations stand in nearly every bundle; they are its matter where nothing else is."""


def event_in(resources: Iterable[Resource], told: str = "") -> str:
    """Return the model and event a bundle is a document of; empty when none of these."""
    if told in PLANS:
        return told
    kinds = {one["resourceType"] for one in resources}
    if "Composition" not in kinds and kinds & _CARE:
        return ""
    return next((event for kind, event in _KINDS if kind in kinds and (kind != "Organization" or kinds <= set(_ALONE))), "")


def document_of(event: str, resources: list[Resource], resolve: Callable[[Any], Resource | None], patient: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the document without its Meta."""
    plan = PLANS[event]
    around = Around(resolve=resolve)
    document: dict[str, Any] = {}
    composition = next((one for one in resources if one["resourceType"] == "Composition"), None)
    if patient:
        compile_put(plan.patient or "Patient")(document, dict(patient))
    inner = {id(one) for part in plan.parts for parent in resources if parent["resourceType"] == part.resource for one in _inner(part, parent, resolve)}
    for part in plan.parts:
        found = [_object(part, one, around) for one in resources if id(one) not in inner and _belongs(part, one, plan, composition, resolve)]
        if found:
            compile_put(part.path)(document, found if part.path not in _SINGLE else found[0])
    if plan.head is not None and composition is not None:
        compile_put(plan.head.path)(document, _object(plan.head, composition, around))
        _texts(composition, document)
    return document


_SINGLE = ("Study", "Enrollment", "Visit", "Subscriber.Insurance", "Transaction")


def _object(part: Part, resource: Resource, around: Around) -> dict[str, Any]:
    found = whole_of(part, resource, around)
    for element, child in part.inner:
        inner = [_object(child, one, around) for one in _linked(element, resource, around.resolve)]
        if inner:
            found[child.path] = inner if "[]" in element else inner[0]
    return dict(found)


def _inner(part: Part, resource: Resource, resolve: Callable[[Any], Resource | None]) -> list[Resource]:
    return [one for element, _ in part.inner for one in _linked(element, resource, resolve)]


def _linked(element: str, resource: Resource, resolve: Callable[[Any], Resource | None]) -> list[Resource]:
    name, _, member = element.partition("[]")
    value = resource.get(name)
    links = value if isinstance(value, list) else [value]
    told = [link.get(member[1:]) if member and isinstance(link, dict) else link for link in links]
    return [one for link in told if (one := resolve(link)) is not None]


def _belongs(part: Part, resource: Resource, plan: Plan, composition: Resource | None, resolve: Callable[[Any], Resource | None]) -> bool:
    """By our own tag; in a bundle of others by the section it stands in, else by its type."""
    if resource["resourceType"] != part.resource:
        return False
    meta = resource.get("meta")
    tags = meta.get("tag") if isinstance(meta, dict) else None
    own = next((one.get("code") for one in tags if isinstance(one, dict) and one.get("system") == PART), None) if isinstance(tags, list) else None
    if own is not None:
        return bool(own == part.path)
    if plan is not SUMMARY or composition is None or part.section is None:
        return part is next(one for one in plan.parts if one.resource == part.resource)
    codes = [
        _code(section)
        for section in composition.get("section") or []
        if isinstance(section, dict) and any(resolve(link) is resource for link in section.get("entry") or [])
    ]
    same = [one for one in plan.parts if one.resource == part.resource]
    fitting = [one for one in same if one.section and one.section[0] in codes] or same
    return part is fitting[0]


def _code(section: Mapping[str, Any]) -> str:
    code = section.get("code")
    codings = code.get("coding") if isinstance(code, dict) else None
    return next((str(one.get("code")) for one in codings if isinstance(one, dict)), "") if isinstance(codings, list) else ""


def _texts(composition: Resource, document: dict[str, Any]) -> None:
    paths = {part.section[0]: part.text for part in reversed(SUMMARY.parts) if part.section and part.text}
    paths |= {code: path for path, (code, _) in TEXTS.items()}
    for section in composition.get("section") or []:
        if isinstance(section, dict) and (path := paths.get(_code(section))) and (text := narrative_back(section.get("text"))):
            compile_put(path)(document, text)

"""The five verbs of FHIR R4, and its settings."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field

from carelane.domain.delivery import Judgement, Verdict
from carelane.domain.errors import CarelaneError
from carelane.domain.message import NOWHERE, Converted, Document, Heading, Issue, Leftovers, Origin, Outcome, Problem, Reason
from carelane.formats.fhir.bundles import classics_in, entries, names_of, parse
from carelane.formats.fhir.nulls import written
from carelane.formats.fhir.read import read
from carelane.formats.fhir.write import bundle_of
from carelane.formats.hl7v2.overlays import quick
from carelane.models.fhir import check_resource
from carelane.models.malformed import MALFORMED, document_fault, resource_fault

TITLE = "FHIR R4"
REQUIRES = ""
CONTENT_TYPE = "application/fhir+json"
_MOST_TOKENS = 40


class Settings(BaseModel):
    """How this endpoint speaks FHIR R4."""

    model_config = ConfigDict(extra="forbid")

    bundle: Literal["message", "transaction", "collection"] = Field(
        "message", description="Kind of Bundle written: a message with its header, a transaction for a REST server, or a collection.", examples=["message"]
    )
    time_zone: str = Field("", description="IANA zone of times that carry none; without one only their date is told.", examples=["America/Chicago"])
    validate_resources: bool = Field(True, description="Check what is written against the structure of R4 and report what does not fit.", examples=[True])


class Fhir:
    """FHIR R4 as a format plug-in."""

    content_type = CONTENT_TYPE

    def split(self, raw: bytes, most: int | None = None) -> list[bytes]:
        """One body is one message."""
        return [raw]

    def peek(self, raw: bytes, settings: Mapping[str, Any]) -> Heading:
        """Read what a resource or bundle is.

        Raises:
            Unreadable: no FHIR R4.
        """
        resource = parse(raw)
        model, event = names_of(resource)
        also = classics_in(resource)
        kinds = [f"FHIR.{one['resourceType']}" for one in entries(resource)]
        return Heading(
            data_model=model,
            event_type=event,
            control_id=_control(resource),
            event_time=str(resource.get("timestamp") or "")[:40] or None,
            kind=f"{model}.{event}",
            search=tuple(_search(resource)),
            also=tuple(dict.fromkeys(one for one in [*kinds, *also] if one != model)),
        )

    def read(self, raw: bytes, settings: Mapping[str, Any], leftovers: Leftovers = Leftovers.NONE) -> list[Converted]:
        """Convert into the documents of the data models it has something for."""
        try:
            return read(raw, settings, leftovers)
        except CarelaneError:
            raise
        except MALFORMED as error:
            raise resource_fault(parse(raw), error) from error

    def explain(self, raw: bytes, settings: Mapping[str, Any]) -> list[list[Reason]]:
        """Nothing was mapped by rows on the way in."""
        return []

    def write(self, document: Document, settings: Mapping[str, Any], message_id: str, origin: Origin = NOWHERE) -> tuple[bytes, list[Issue]]:
        """Write a document as a Bundle; one that already is FHIR as it is."""
        resource = document.get("Resource")
        if isinstance(resource, dict):
            return orjson.dumps(resource), _checked(resource, settings)
        try:
            found, issues = bundle_of(document, settings, message_id, origin)
            whole, body = written(found)
        except CarelaneError:
            raise
        except MALFORMED as error:
            raise document_fault(document, error) from error
        return body, [*issues, *_checked(whole, settings)]

    def quick(self, settings: Mapping[str, Any], size: int) -> bool:
        """Say whether converting is a matter of moments: HL7 v2's maps stand behind this format too, with a subscription's overlay."""
        return quick(settings, size)

    def acknowledge(self, raw: bytes, outcome: Outcome, problem: Problem | None, now: datetime, reply_id: str) -> bytes:
        """Answer with an OperationOutcome."""
        if problem is None:
            issue = {"severity": "information", "code": "informational", "diagnostics": f"stored as {reply_id}"}
        else:
            issue = {"severity": "error", "code": "processing", "diagnostics": f"{problem.text} {problem.pointer}".strip()}
        return orjson.dumps({"resourceType": "OperationOutcome", "issue": [issue]})

    def judge(self, sent: bytes, reply: bytes, settings: Mapping[str, Any]) -> Judgement:
        """A 2xx delivered; the transport has already judged the status."""
        return Judgement(Verdict.DELIVERED)


def _checked(resource: Mapping[str, Any], settings: Mapping[str, Any]) -> list[Issue]:
    return check_resource(resource) if settings.get("validate_resources", True) else []


def _control(resource: Mapping[str, Any]) -> str | None:
    number = resource.get("identifier")
    value = number.get("value") if isinstance(number, dict) else None
    return str(value)[:200] if isinstance(value, str) and value.isprintable() else None


def _search(resource: dict[str, Any]) -> list[tuple[str, str]]:
    """What people look messages up by: identifiers of patients, visits and orders."""
    kinds = {"Patient": "patient", "Encounter": "visit", "ServiceRequest": "order", "DiagnosticReport": "order", "MedicationRequest": "order"}
    found: list[tuple[str, str]] = []
    for one in entries(resource):
        numbers = one.get("identifier")
        for number in numbers if isinstance(numbers, list) and one["resourceType"] in kinds else ():
            if isinstance(number, dict) and isinstance(number.get("value"), str):
                found.append((kinds[one["resourceType"]], number["value"]))
    return list(dict.fromkeys(found))[:_MOST_TOKENS]


FORMAT = Fhir()

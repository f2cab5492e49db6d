"""OBR-15, the specimen source of older messages (SPS[Specimen-Source])."""

from typing import Any

from carelane.formats.fhir.elements import leaves, trimmed
from carelane.formats.fhir.systems import V2
from carelane.formats.hl7v2.scope import Scope


def from_source(raw: str, scope: Scope) -> dict[str, Any] | None:
    """SPS → what a Specimen is; its parts are sub-components."""
    get = leaves(raw, scope)

    def coded(component: int, table: str) -> dict[str, Any] | None:
        code, text = get(component, 1), get(component, 2)
        if not code and not text:
            return None
        return trimmed({"coding": [trimmed({"system": V2 + table if code else "", "code": code, "display": text})], "text": "" if code else text})

    additive, note = coded(2, "0371"), get(3)
    found = trimmed(
        {
            "type": coded(1, "0070"),
            "container": [{"additiveCodeableConcept": additive}] if additive else [],
            "note": [{"text": note}] if note else [],
            "collection": trimmed({"bodySite": coded(4, "0163")}),
        }
    )
    return found or None

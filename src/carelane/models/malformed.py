"""What is not of the types its schema gives it is refused in words that name the place; a fault of ours stays the error it is."""

from collections.abc import Mapping
from typing import Any

from carelane.domain.errors import Unmappable, Unreadable
from carelane.models.fhir import check_resource
from carelane.models.schemas import check

MALFORMED = (AttributeError, IndexError, KeyError, TypeError, ValueError)


def document_fault(document: Mapping[str, Any], error: Exception) -> Exception:
    """Return what to raise when writing a document failed: a refusal where it breaks its schema, else the error itself."""
    meta = document.get("Meta")
    model, event = (str(meta.get(name)) for name in ("DataModel", "EventType")) if isinstance(meta, dict) else ("", "")
    broken = next((issue for issue in check(document, model, event) if issue.code == "schema"), None)
    return error if broken is None else Unmappable(f"the document does not follow {model}.{event} at {broken.target}")


def resource_fault(resource: Mapping[str, Any], error: Exception) -> Exception:
    """Return what to raise when reading a resource failed: a refusal where it breaks R4's structure, else the error itself."""
    broken = next((issue for issue in check_resource(resource) if issue.code != "not-checked"), None)
    return error if broken is None else Unreadable(f"the resource does not follow the structure of FHIR R4 at {broken.target}")

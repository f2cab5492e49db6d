"""FHIR R4 → documents: bundles and single resources are written as HL7 v2 fields by the same rows read backwards, then read like any message."""

from collections.abc import Mapping
from typing import Any

from carelane.domain.errors import Unreadable
from carelane.domain.message import Converted, Leftovers
from carelane.formats.fhir.bundles import entries, parse
from carelane.formats.fhir.documents import read as read_document
from carelane.formats.fhir.messages import Messages
from carelane.formats.fhir.unread import unread
from carelane.formats.hl7v2.read import read as read_hl7


def read(raw: bytes, settings: Mapping[str, Any], leftovers: Leftovers = Leftovers.NONE) -> list[Converted]:
    """Return the classic documents a resource says the same as, each with its issues and the paths of what is in none of them.

    Raises:
        Unreadable: not FHIR R4, or nothing in it has a data model of its own.
    """
    resource = parse(raw)
    resources = entries(resource)
    found = read_document(resource) or _by_messages(resource, resources, settings, leftovers)
    left = unread(resources, [one.document for one in found])
    for one in found:
        one.unmapped = left
    return found


def _by_messages(resource: Mapping[str, Any], resources: list[dict[str, Any]], settings: Mapping[str, Any], leftovers: Leftovers) -> list[Converted]:
    work = Messages(resources, resource.get("timestamp"))
    messages = work.messages()
    if not messages:
        raise Unreadable(f"{resource['resourceType']} holds nothing that a data model has; subscribe to its FHIR model")
    found = []
    own = {**settings, "triggers": work.choice()} if work.choice() else settings
    for message in messages:
        for one in read_hl7(message, own, leftovers):
            meta = one.document.get("Meta")
            extensions = meta.get("Extensions") if isinstance(meta, dict) else None
            if isinstance(extensions, dict):
                extensions.pop("v2.MSH", None)  # written by the reader itself
            found.append(one)
    return found

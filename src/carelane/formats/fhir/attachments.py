"""Documents inside of messages (ED) and texts → Attachment."""

import base64
import binascii
from collections.abc import Sequence
from typing import Any

from carelane.formats.fhir.elements import leaves, trimmed
from carelane.formats.hl7v2.scope import Scope

VALUE = "http://hl7.org/fhir/5.0/StructureDefinition/extension-Observation.value"
"""Where R5 has valueAttachment."""


def attachment(raws: Sequence[str], scope: Scope) -> dict[str, Any] | None:
    """ED, its pieces in order → Attachment: base64 as it is, hexadecimal and text turned into it."""
    if not raws:
        return None
    get = leaves(raws[0], scope)
    sent = "".join(leaves(raw, scope)(5) for raw in raws)
    data, encoding = "".join(sent.split()), get(4).lower()
    if data and encoding == "hex":
        try:
            data = base64.b64encode(bytes.fromhex(data)).decode()
        except ValueError:
            data = ""
    elif data and encoding in ("a", ""):
        data = base64.b64encode(sent.encode()).decode()
    elif data:
        try:
            base64.b64decode(data, validate=True)
        except (binascii.Error, ValueError):
            data = base64.b64encode(sent.encode()).decode()
    return trimmed({"contentType": content_type(get(2), get(3)), "data": data, "title": get(1)}) or None


def pointer(raw: str, scope: Scope) -> dict[str, Any] | None:
    """RP → Attachment: where it is, what made it and of what type; it is never fetched."""
    get = leaves(raw, scope)
    return trimmed({"contentType": content_type(get(3), get(4)), "url": get(1), "title": get(2)}) if get(1) else None


_MEDIA = {
    "pdf": "application/pdf",
    "rtf": "text/rtf",
    "html": "text/html",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "png": "image/png",
    "gif": "image/gif",
    "tiff": "image/tiff",
    "xml": "application/xml",
    "text": "text/plain",
    "plain": "text/plain",
    "octet-stream": "application/octet-stream",
    "x-hl7-cda-level-one": "text/xml",
    "dicom": "application/dicom",
}


def content_type(kind: str, subtype: str) -> str:
    """ED-2 and ED-3 → a media type; what is none already is made of the usual ones."""
    text = subtype or kind
    if "/" in text:
        return text
    return _MEDIA.get(text.lower(), "")


def plain(text: str) -> dict[str, Any]:
    """A text as an Attachment."""
    return {"contentType": "text/plain", "data": base64.b64encode(text.encode()).decode()}

"""Documents inside of messages (ED) and texts → Attachment."""

import base64
import binascii
from typing import Any

from carelane.formats.fhir.elements import leaves, trimmed
from carelane.formats.hl7v2.scope import Scope


def attachment(raw: str, scope: Scope) -> dict[str, Any] | None:
    """ED → Attachment: base64 as it is, hexadecimal and text turned into it."""
    get = leaves(raw, scope)
    data = "".join(get(5).split())
    encoding = get(4).lower()
    if data and encoding == "hex":
        try:
            data = base64.b64encode(bytes.fromhex(data)).decode()
        except ValueError:
            data = ""
    elif data and encoding in ("a", ""):
        data = base64.b64encode(get(5).encode()).decode()
    elif data:
        try:
            base64.b64decode(data, validate=True)
        except (binascii.Error, ValueError):
            data = base64.b64encode(get(5).encode()).decode()
    return trimmed({"contentType": content_type(get(2), get(3)), "data": data, "title": get(1)}) or None


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

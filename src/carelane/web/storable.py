"""What no database can keep (NUL, half a surrogate pair) is refused with 400 before anybody is asked, wherever in a request it stands."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote_to_bytes

from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from carelane.domain.errors import Malformed

_TEXT = "The request holds a character that no text may hold: NUL, or half a surrogate pair."
_POINTER = "Remove it and send the request again."
_DOORS = ("/endpoint", "/hl7v2", "/fhir")
"""What is posted there is kept byte for byte, whatever it holds."""


class Storable:
    """Checks the address and forms of every request. A value that the database still refuses is the request's fault (400), not ours (500)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] != "http" or scope["path"] in _DOORS:
            await self._app(scope, receive, send)
            return
        if "\0" in scope["path"] or b"\0" in unquote_to_bytes(scope.get("query_string", b"")):
            await _refusal()(scope, receive, send)
            return
        begun = False

        async def noticing(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, _checked(receive) if _is_form(scope) else receive, noticing)
        except Exception as error:
            if begun or not _about_values(error):
                raise
            await _refusal()(scope, receive, send)


def check_json(body: bytes) -> None:
    """Refuse a JSON body with names or values that cannot be kept; what is no JSON is for others to tell.

    Raises:
        Malformed: there is such a character, or the body is not UTF-8.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise Malformed("The body is not UTF-8.", pointer="Send JSON in UTF-8 (RFC 8259).") from None
    if "\\u" not in text:
        return
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return
    if any("\0" in one or any("\ud800" <= character <= "\udfff" for character in one) for one in _texts(found)):
        raise Malformed(_TEXT, pointer=_POINTER)


def _texts(found: Any) -> Iterator[str]:
    waiting = [found]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, dict):
            yield from one
            waiting.extend(one.values())
        elif isinstance(one, list):
            waiting.extend(one)


def _checked(receive: Receive) -> Receive:
    """Look through a form as it comes in, for a NUL as it is or as ``%00``, also where it is cut in two."""
    end = b""

    async def look() -> Message:
        nonlocal end
        message = await receive()
        part = end + message.get("body", b"")
        if b"\0" in part or b"%00" in part:
            raise Malformed(_TEXT, pointer=_POINTER)
        end = part[-2:]
        return message

    return look


def _is_form(scope: Scope) -> bool:
    kind = next((value for name, value in scope["headers"] if name == b"content-type"), b"")
    return bool(kind.startswith((b"application/x-www-form-urlencoded", b"multipart/form-data")))


def _about_values(error: Exception) -> bool:
    """Say whether the database refused a value: SQLSTATE class 22, or its driver could not write it."""
    causes = (error, getattr(error, "orig", None), error.__cause__)
    return any(str(getattr(one, "sqlstate", None) or "").startswith("22") or type(one).__name__ == "DataError" for one in causes)


def _refusal() -> Response:
    body = {"type": "urn:carelane:problem:malformed-message", "title": Malformed.title, "status": 400, "detail": _TEXT, "pointer": _POINTER}
    return JSONResponse(body, 400, media_type="application/problem+json")

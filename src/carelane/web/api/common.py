"""What every route of the platform API does: know who asks, answer problems, page lists, check versions, keep answers of repeated creates."""

import base64
import hashlib
import re
from collections.abc import Callable, Coroutine, Sequence
from typing import Annotated, Any, TypeVar
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.routing import APIRoute
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.responses import Response

from carelane.domain.errors import Malformed, Stale, TooLarge, Unauthorized
from carelane.domain.office import Answer
from carelane.domain.views import Person
from carelane.exchange.hub import Hub
from carelane.kit.idempotency import read_key
from carelane.web.api.shapes import Line, Listed, Problem
from carelane.web.storable import check_json

Row = TypeVar("Row")
MOST_BODY = 2 * 1024 * 1024
_VERSION = re.compile(r'(?:W/)?"(\d{1,9})"')
_BEARER = HTTPBearer(auto_error=False, description="A personal key of yours (Developer, Personal keys).", scheme_name="personalKey")


def hub_of(request: Request) -> Hub:
    """Return the facade the application was made for."""
    found: Hub = request.app.state.hub
    return found


async def asker(request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]) -> Person:
    """Return whom the bearer key speaks for; raises ``Unauthorized``."""
    return await _holder(request, credentials.credentials if credentials else "")


async def _holder(request: Request, token: str) -> Person:
    known: Person | None = getattr(request.state, "person", None)
    if known is None:
        known = await hub_of(request).personal_keys.holder(token) if token else None
        if known is None:
            raise Unauthorized("The key is missing, unknown, revoked or too old.", pointer="Send Authorization: Bearer <personal key>.")
        request.state.person = known
    return known


Office = Annotated[Hub, Depends(hub_of)]
Asker = Annotated[Person, Depends(asker)]
Limit = Annotated[int, Query(ge=1, le=200, description="How many to return at most.")]
Cursor = Annotated[str, Query(max_length=200, description="Where the page before this one ended: its `next`.")]
DataModel = Annotated[Line, Query(alias="dataModel", description="Only this data model.")]
IfMatch = Annotated[
    str | None, Header(alias="If-Match", max_length=40, description="The ETag that was read: the change is refused with 412 when it is another by now.")
]
IdempotencyKey = Annotated[
    str | None,
    Header(alias="Idempotency-Key", max_length=255, description="A UUID of yours: the same request sent again within a day gets the first one's answer."),
]


def once(_key: IdempotencyKey = None) -> None:
    """Say in the description that a route honours ``Idempotency-Key``; ``Creating`` does it."""


def version_of(if_match: str | None) -> int | None:
    """Read ``If-Match``; None where any version will do.

    Raises:
        Stale: it is no tag of ours, so it cannot be the version that is stored.
    """
    if if_match is None or if_match.strip() == "*":
        return None
    found = _VERSION.fullmatch(if_match.strip())
    if found is None:
        raise Stale("If-Match is no ETag of this hub.", pointer="Read the thing again and send the ETag of that answer.")
    return int(found.group(1))


def tag(response: Response, version: int) -> None:
    """Set the ETag."""
    response.headers["etag"] = f'"{version}"'


def paged(rows: Sequence[Row], uid: Callable[[Row], UUID], limit: int, cursor: str) -> tuple[list[Row], str | None]:
    """Cut the next page out of a list that is at hand, oldest first (ids are ordered by time)."""
    after = after_of(cursor)
    ordered = sorted((row for row in rows if after is None or uid(row) > after), key=uid)
    return ended(ordered[: limit + 1], uid, limit)


def ended(rows: Sequence[Row], uid: Callable[[Row], UUID], limit: int) -> tuple[list[Row], str | None]:
    """Cut what was read with one row too many, and say where the next page begins."""
    shown = list(rows[:limit])
    return shown, cursor_of(uid(shown[-1])) if len(rows) > limit else None


def cursor_of(uid: UUID) -> str:
    """Write a cursor; callers must not look into it."""
    return base64.urlsafe_b64encode(uid.bytes).decode().rstrip("=")


def after_of(cursor: str) -> UUID | None:
    """Read a cursor.

    Raises:
        Malformed: it is none of ours.
    """
    if not cursor:
        return None
    try:
        return UUID(bytes=base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except ValueError:
        raise Malformed("The cursor is none of this hub's.", pointer="Give the `next` of the page before, or leave it out.") from None


def listed(rows: tuple[list[Any], str | None], shape: Callable[[Any], Any]) -> Listed[Any]:
    """Write a page."""
    return Listed(items=[shape(row) for row in rows[0]], next=rows[1])


class Creating(APIRoute):
    """Limits bodies, and answers a POST with a known ``Idempotency-Key`` as it was answered first."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap the usual handler."""
        usual = super().get_route_handler()

        async def handler(request: Request) -> Response:
            body = await _body(request)
            check_json(body)
            key = _key(request)
            if key is None or request.method != "POST":
                return await usual(request)
            return await _first_or_again(request, key, body, usual)

        return handler


def _key(request: Request) -> str | None:
    try:
        return read_key(request.headers.getlist("idempotency-key"))
    except ValueError as error:
        raise Malformed(str(error), pointer="Use a UUID.") from None


async def _first_or_again(request: Request, key: str, body: bytes, usual: Callable[[Request], Coroutine[Any, Any, Response]]) -> Response:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    person = await _holder(request, token.strip() if scheme.lower() == "bearer" else "")
    answers = hub_of(request).answers
    earlier = await answers.claim(person, key, hashlib.sha256(f"{request.method} {request.url.path}\n".encode() + body).digest())
    if earlier is not None:
        return Response(earlier.body, earlier.status, {"idempotent-replayed": "true"}, media_type="application/json")
    try:
        response = await usual(request)
    except BaseException:
        await answers.drop(person, key)
        raise
    if response.status_code < 300:
        await answers.keep(person, key, Answer(response.status_code, bytes(response.body)))
    else:
        await answers.drop(person, key)
    return response


async def _body(request: Request) -> bytes:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MOST_BODY:
            raise TooLarge(f"The body is larger than {MOST_BODY} bytes.", pointer="Send less at once.")
        parts.append(part)
    request._body = b"".join(parts)  # what Starlette's own request.body() keeps; the handler reads it there
    return request._body


def router_of(tag_name: str) -> APIRouter:
    """Make the router of one part."""
    return APIRouter(route_class=Creating, tags=[tag_name])


def refused(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe the problems a route may answer besides those that any may."""
    words = {
        404: "It does not exist, it belongs to another organization, or your role does not reach it",
        409: "It does not fit the state of things; the detail says why",
        412: "Somebody changed it since it was read",
    }
    return {status: {"model": Problem, "description": words[status]} for status in statuses}

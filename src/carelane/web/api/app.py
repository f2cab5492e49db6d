"""The platform API: what the dashboard can do, for scripts and other programs, under ``/platform/v1``.

OpenAPI 3.1 at ``/platform/v1/openapi.json``; problems as RFC 9457; personal keys as bearer tokens (RFC 6750).
"""

from typing import Any, cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, Response

from carelane import __version__
from carelane.domain.errors import CarelaneError, Conflict, Misconfigured, Rejected, Unavailable
from carelane.domain.permissions import nothing_here
from carelane.exchange.hub import Hub
from carelane.web.api import connections, endpoints, operations, organizations, people, subscriptions
from carelane.web.api.shapes import Problem
from carelane.web.storable import Storable

_ABOUT = """
Everything people do on the dashboard, for scripts and other programs. Both go through the same facade and the same rights.

**Keys.** Make a personal key under *Developer, Personal keys* and send it as `Authorization: Bearer cp_…`. It acts in one
organization, with the roles you have there at that moment.

**Lists** answer `{"items": […], "next": "…"}`; give `next` as `cursor` until it is null.

**Changes.** Answers carry an `ETag`. Send it as `If-Match` and a change is refused with 412 when somebody else was faster.

**Creates** take an `Idempotency-Key`: sent again within a day, they answer what they answered first, with `idempotent-replayed: true`.

**Problems** are `application/problem+json` (RFC 9457): `detail` says what happened, `pointer` what to do. What does not exist, what
belongs to others and what your role does not reach answer alike: 404.
"""
_TAGS = [
    {"name": "organization", "description": "One's own organization, the directory, the audit trail."},
    {"name": "people", "description": "Members, roles, invitations, personal keys."},
    {"name": "connections", "description": "Requests, agreements, and the state of connections."},
    {"name": "subscriptions", "description": "Bridges of a source, a destination and a data model."},
    {"name": "endpoints", "description": "Sources, destinations and their keys."},
    {"name": "operations", "description": "Lanes and messages, and the dev tools."},
]
_TITLES = {400: "Malformed", 401: "Not authorized", 404: "Not found", 405: "Method not allowed", 409: "Conflict", 412: "Changed meanwhile", 413: "Too large"}


def make_api(hub: Hub) -> FastAPI:
    """Build the application to mount under ``/platform/v1``."""
    api = FastAPI(
        title="Carelane platform API",
        version=__version__,
        description=_ABOUT,
        openapi_tags=_TAGS,
        docs_url=None,
        redoc_url=None,
        servers=[{"url": "/platform/v1"}],
        root_path_in_servers=False,
        middleware=[Middleware(Storable)],
        responses={
            400: {"model": Problem, "description": "The cursor or the Idempotency-Key cannot be read, or a text holds NUL or half a surrogate pair"},
            401: {"model": Problem, "description": "The key is missing, unknown, revoked or too old"},
            413: {"model": Problem, "description": "The body is too large"},
            422: {"model": Problem, "description": "The request is not of the described shape, or a setting cannot work"},
            503: {"model": Problem, "description": "The hub cannot do this right now"},
        },
        exception_handlers={
            RequestValidationError: _misshapen,
            CarelaneError: _refused,
            HTTPException: _http,
            Exception: _broken,
        },
    )
    api.state.hub = hub
    for part in (organizations, people, connections, subscriptions, endpoints, operations):
        api.include_router(part.router)
    described = api.openapi

    def openapi() -> dict[str, Any]:
        found = described()
        _as_problems(found)
        return found

    api.openapi = openapi  # type: ignore[method-assign]
    return api


def _as_problems(description: dict[str, Any]) -> None:
    """Errors are ``application/problem+json``; FastAPI describes every answer as ``application/json``."""
    for operations_ in description["paths"].values():
        for operation in operations_.values():
            for status, response in operation["responses"].items():
                content = response.get("content", {})
                if status >= "400" and "application/json" in content:
                    content["application/problem+json"] = content.pop("application/json")


def _problem(status: int, kind: str, title: str, detail: str, **more: Any) -> Response:
    body = {"type": f"urn:carelane:problem:{kind}", "title": title, "status": status, "detail": detail, **more}
    headers = {"www-authenticate": 'Bearer realm="carelane"'} if status == 401 else {"retry-after": "5"} if status == 503 else None
    return JSONResponse(body, status, headers, media_type="application/problem+json")


async def _refused(_request: Request, error: Exception) -> Response:
    if isinstance(error, Rejected):
        return _problem(error.status, error.title.lower().replace(" ", "-"), error.title, error.detail, pointer=error.pointer)
    if isinstance(error, Conflict):
        return _problem(409, "conflict", "Conflict", str(error))
    if isinstance(error, Misconfigured):
        return _problem(422, "invalid-settings", "A setting cannot work", str(error))
    status = 503 if isinstance(error, Unavailable) else 500
    return _problem(status, "unavailable", "Unavailable", str(error) if status == 503 else "Something went wrong; it was logged.")


async def _broken(_request: Request, _error: Exception) -> Response:
    """A fault of ours; the server logs it."""
    return _problem(500, "fault", "Something went wrong", "The error was logged. Nothing of your messages is lost; try again.")


async def _misshapen(request: Request, error: Exception) -> Response:
    """An id in the path that is no id at all is a thing that is not there; everything else is told part by part, never with the value."""
    errors = cast("RequestValidationError", error).errors()
    if any(one["loc"][0] == "path" for one in errors):
        return await _refused(request, nothing_here())
    told = [{"pointer": _pointer(one["loc"]), "detail": one["msg"]} for one in errors[:20]]
    return _problem(422, "invalid-request", "The request cannot be read", "; ".join(f"{one['pointer']}: {one['detail']}" for one in told), errors=told)


def _pointer(where: tuple[int | str, ...]) -> str:
    if where[0] != "body":
        return ".".join(map(str, where))
    return "/" + "/".join(str(part).replace("~", "~0").replace("/", "~1") for part in where[1:])


async def _http(_request: Request, error: Exception) -> Response:
    found = cast("HTTPException", error)
    title = _TITLES.get(found.status_code, "Refused")
    response = _problem(found.status_code, title.lower().replace(" ", "-"), title, str(found.detail))
    for name, value in (found.headers or {}).items():
        response.headers[name] = value
    return response

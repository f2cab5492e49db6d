"""HTTP API: sources post Data Model JSON to ``/endpoint``, raw HL7 v2 to ``/hl7v2`` or FHIR R4 to ``/fhir`` with a bearer key, on the hub's own web server.

Maturity: silver.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol

import orjson
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from carelane.domain.delivery import Judgement, Verdict
from carelane.domain.endpoint import Source
from carelane.domain.message import Outcome, Problem, Receipt
from carelane.exchange.ports import Accept, Tools
from carelane.kit.idempotency import read_key

TITLE = "HTTP API"
REQUIRES = ""
FORMATS = ("datamodel", "hl7v2", "fhir")
SERVED_BY_HUB = True
DOORS = {"/endpoint": "datamodel", "/hl7v2": "hl7v2", "/fhir": "fhir"}
_KINDS = {"datamodel": "application/json", "hl7v2": "x-application/hl7-v2+er7", "fhir": "application/fhir+json"}
MOST_BYTES = 40 * 1024 * 1024


class Settings(BaseModel):
    """How much one request may hold."""

    model_config = ConfigDict(extra="forbid")

    most_bytes: int = Field(MOST_BYTES, ge=1024, le=MOST_BYTES, description="Largest body taken, in bytes.", examples=[MOST_BYTES])


class FindSource(Protocol):
    """Looks up whose key this is."""

    def __call__(self, token: str) -> Source | None:
        """Return the source a bearer key speaks for."""
        ...


def routes(accept: Accept, find_source: FindSource) -> list[Route]:
    """Return the routes that the one web server mounts."""

    def door(format: str) -> Callable[[Request], Awaitable[Response]]:
        async def post(request: Request) -> Response:
            return await _take(request, accept, find_source, format)

        return post

    return [Route(path, door(format), methods=["POST"]) for path, format in DOORS.items()]


async def _take(request: Request, accept: Accept, find_source: FindSource, format: str) -> Response:
    source = find_source(_token(request))
    if source is None:
        problem = Problem(
            "unauthorized", "The key is missing, unknown or revoked.", "Send Authorization: Bearer <key>; make keys under Developer, API keys.", status=401
        )
        return _problem(problem, {"www-authenticate": 'Bearer realm="carelane"'})
    if source.transport != "http":
        return _problem(Problem("wrong-transport", "This key's source does not take messages over HTTP.", "Use the key of an HTTP API source.", status=403))
    try:
        key = read_key(request.headers.getlist("idempotency-key"))
    except ValueError as error:
        return _problem(Problem("bad-idempotency-key", str(error), "Use a UUID.", "header:Idempotency-Key"))
    most = source.settings.get("most_bytes")
    try:
        body = await _body(request, most if isinstance(most, int) else MOST_BYTES)
    except ClientDisconnect:
        return Response(status_code=400)
    if body is None:
        return _problem(
            Problem("too-large", f"The body is larger than {most or MOST_BYTES} bytes.", "Send files apart, or raise the source's limit.", status=413)
        )
    if format == "datamodel" and (wrong := _other_source(body, source)):
        return _problem(wrong)
    receipt = await accept(source.id, body, format=format, key=key)
    return _answer(receipt, format)


def _other_source(body: bytes, source: Source) -> Problem | None:
    """A document may name its source; naming one that is not this key's is an error, stored nowhere."""
    if b'"Source"' not in body:
        return None
    try:
        named = orjson.loads(body)["Meta"]["Source"]["ID"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None
    if named in (None, "", str(source.uid), f"src_{source.uid.hex}"):
        return None
    return Problem(
        "unknown-source",
        "Meta.Source.ID is not the source this key speaks for.",
        "Leave Meta.Source out, or use the key of that source.",
        "/Meta/Source/ID",
        404,
    )


async def _body(request: Request, most: int) -> bytes | None:
    announced = request.headers.get("content-length", "0")
    if announced.isdigit() and int(announced) > most:
        return None
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > most:
            return None
        parts.append(part)
    return b"".join(parts)


def _token(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _answer(receipt: Receipt, format: str) -> Response:
    message = {"carelane-message-id": f"msg_{receipt.message_id.hex}"} if receipt.message_id else {}
    if receipt.outcome in (Outcome.STORED, Outcome.DUPLICATE):
        kind = _KINDS[format]
        repeat = {"carelane-duplicate": "true"} if receipt.outcome is Outcome.DUPLICATE else {}
        return Response(receipt.reply, 200, {**message, **repeat}, media_type=kind)
    problem = receipt.problem or Problem("unavailable", "The message was not taken.", status=receipt.status)
    if format != "datamodel" and receipt.reply and receipt.outcome is Outcome.REFUSED:
        return Response(receipt.reply, receipt.status, message, media_type=_KINDS[format])
    errors = orjson.loads(receipt.reply).get("Meta", {}).get("Errors") if format == "datamodel" and receipt.reply else None
    return _problem(problem, {**message, **({"retry-after": "5"} if receipt.status == 503 else {})}, {"Meta": {"Errors": errors}} if errors else {})


def _problem(problem: Problem, headers: dict[str, str] | None = None, more: dict[str, object] | None = None) -> Response:
    """RFC 9457."""
    body = {
        "type": f"urn:carelane:problem:{problem.code}",
        "title": problem.text,
        "status": problem.status,
        "detail": problem.pointer,
        **({"pointer": problem.location} if problem.location else {}),
        **(more or {}),
    }
    return Response(orjson.dumps(body), problem.status, headers, media_type="application/problem+json")


async def probe(settings: Settings, tools: Tools) -> Judgement:
    """The API is served by the hub itself."""
    _ = settings, tools
    return Judgement(Verdict.DELIVERED, "served by this hub at /endpoint and /hl7v2")

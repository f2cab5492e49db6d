"""Messages: find them, and look at one with its bytes, document, deliveries, attempts and issues."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from carelane.domain.views import Opened, Person, Search
from carelane.exchange.hub import Hub
from carelane.kit.ids import parse_uuid, public
from carelane.web.kit import PageKit, environment_of, id_of

_MOST_SHOWN = 256 * 1024
_KINDS = ("patient", "order", "visit", "control")


@dataclass(frozen=True, slots=True)
class Shown:
    """Text for the page; long ones are cut, and said to be."""

    text: str
    cut: bool = False


def routes(kit: PageKit) -> list[Route]:
    """Return the routes of this page."""
    hub = kit.hub

    async def listing(request: Request, person: Person) -> Response:
        data = await request.form(max_fields=10, max_files=0) if request.method == "POST" else request.query_params
        kind, text = str(data.get("kind", "patient")), str(data.get("text", "")).strip()[:200]
        search = Search(data_model=str(data.get("model", "")) or None, before=_before(str(data.get("before", ""))), environments=_narrowed(request, person))
        wanted = {kind: text} if text and kind in _KINDS else None
        found = await hub.operations.messages(person, search, wanted)
        page: dict[str, Any] = {
            "messages": found,
            "kind": kind,
            "text": text,
            "model": search.data_model or "",
            "kinds": _KINDS,
            "models": sorted({route.data_model for route in hub.snapshot().lanes.values()}),
            "older": public("msg", found[-1].id) if len(found) == search.most else "",
            "first": search.before is None,
        }
        return kit.render(request, person, "messages.html", "Messages", **page)

    async def one(request: Request, person: Person) -> Response:
        found = await hub.operations.open(person, id_of(request, "msg"))
        return kit.render(request, person, "message.html", "Messages", opened=found, message=found.message, **await _content(hub, found))

    async def replay(request: Request, person: Person, _form: FormData) -> tuple[str, str]:
        identity = id_of(request, "msg")
        tails = await hub.operations.replay(person, identity)
        return f"/messages/{public('msg', identity)}", f"Queued again on {len(tails)} lane{'' if len(tails) == 1 else 's'}."

    return [
        Route("/messages", kit.page(listing), methods=["GET", "POST"]),
        Route("/messages/{id}", kit.page(one)),
        Route("/messages/{id}/replay", kit.action(replay), methods=["POST"]),
    ]


async def _content(hub: Hub, found: Opened) -> dict[str, Any]:
    """The bytes as text, and the documents as today's maps read them."""
    if found.raw is None:
        return {"raw": None, "reply": None, "documents": [], "reasons": [], "issues": [], "unmapped": [], "unreadable": ""}
    seen = str(found.message.heading.get("format")), int(found.message.source_id), [int(one.lane_id) for one in found.deliveries]
    converted, reason = await hub.read(found.raw, *seen)
    explained = await hub.explain(found.raw, *seen)
    return {
        "raw": _text(found.raw),
        "reply": _text(found.reply) if found.reply else None,
        "documents": [_text(orjson.dumps(one.document, option=orjson.OPT_INDENT_2)) for one in converted],
        "reasons": [reason for one in explained for reason in one],
        "issues": [issue for one in converted for issue in one.issues],
        "unmapped": [path for one in converted for path in one.unmapped],
        "unreadable": reason or "",
    }


def _text(raw: bytes) -> Shown:
    text = raw[:_MOST_SHOWN].decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
    return Shown(text, len(raw) > _MOST_SHOWN)


def _narrowed(request: Request, person: Person) -> tuple[str, ...] | None:
    chosen = environment_of(request, person)
    return (chosen,) if chosen else None


def _before(text: str) -> UUID | None:
    try:
        return parse_uuid("msg", text) if text else None
    except ValueError:
        return None

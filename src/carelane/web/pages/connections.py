"""Connections: the visual flow with each partner, live counters, and the operator's verbs on a lane."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import orjson
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.templating import Jinja2Templates

from carelane.domain.ids import LaneId, OrgId
from carelane.domain.views import LaneView, Person
from carelane.exchange.hub import Hub
from carelane.web.flow import flows
from carelane.web.security import Guardian

_BEAT_S = 1.0
_VERBS = ("pause", "resume", "release")


@dataclass
class Live:
    """Reads each organization's lanes once a second, however many people look."""

    hub: Hub
    _cache: dict[OrgId, tuple[float, list[LaneView]]] = field(default_factory=dict)

    def forget(self) -> None:
        """Read afresh for everyone: somebody acted on a lane."""
        self._cache.clear()

    async def lanes(self, org: OrgId) -> list[LaneView]:
        """Return the lanes, at most a second old."""
        now = asyncio.get_running_loop().time()
        found = self._cache.get(org)
        if found is None or now - found[0] > _BEAT_S * 0.9:
            found = (now, await self.hub.desk.lanes(org))
            self._cache[org] = found
        return found[1]


def routes(hub: Hub, guardian: Guardian, templates: Jinja2Templates) -> list[Route]:
    """Return the routes of this page."""
    live = Live(hub)

    async def page(request: Request, person: Person) -> Response:
        lanes = await hub.desk.lanes(person.org_id)
        snapshot = hub.snapshot()
        troubles = [
            (source.name, hub.troubles()[int(key)]) for key, source in snapshot.sources.items() if int(key) in hub.troubles() and source.org_id == person.org_id
        ]
        return templates.TemplateResponse(
            request,
            "connections.html",
            {
                "person": person,
                "active": "Connections",
                "flows": flows(lanes, person.org_id),
                "lanes": lanes,
                "troubles": troubles,
            },
        )

    async def stream(request: Request, person: Person) -> Response:
        return StreamingResponse(_figures(request, live, person, guardian), media_type="text/event-stream", headers={"x-accel-buffering": "no"})

    async def act(request: Request, person: Person) -> Response:
        verb, lane = request.path_params["verb"], LaneId(request.path_params["lane"])
        if verb not in _VERBS:
            return JSONResponse({"detail": "unknown verb"}, 404)
        if person.role == "member":
            return JSONResponse({"detail": "Your role may look, not act. Ask an admin or owner of your organization."}, 403)
        await getattr(hub.desk, verb)(lane, person.org_id, person.email)
        live.forget()
        return Response(status_code=204, headers={"hx-refresh": "true"})

    return [
        Route("/connections", guardian.signed_in(page)),
        Route("/connections/live", guardian.signed_in(stream)),
        Route("/lanes/{lane:int}/{verb}", guardian.signed_in(act), methods=["POST"]),
    ]


async def _figures(request: Request, live: Live, person: Person, guardian: Guardian) -> AsyncIterator[bytes]:
    """One event a second: per lane, what was queued, delivered and waits. Ends when the person is signed out."""
    beats = 0
    while not await request.is_disconnected():
        lanes = await live.lanes(person.org_id)
        figures = {str(lane.id): {"queued": lane.queued, "delivered": lane.delivered, "pending": lane.pending, "state": lane.state} for lane in lanes}
        yield b"event: lanes\ndata: " + orjson.dumps(figures) + b"\n\n"
        beats += 1
        if beats % 30 == 0 and await guardian.person(request) is None:
            return
        await asyncio.sleep(_BEAT_S)

"""Connections: cards of connected partners, one connection with its visual flow, requests, the directory."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date
from uuid import UUID

import orjson
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from carelane.domain.errors import Conflict
from carelane.domain.office import KINDS, Filter, Offer
from carelane.domain.permissions import ENVIRONMENTS, Right, may
from carelane.domain.views import Person
from carelane.kit.ids import public
from carelane.models.schemas import model_events
from carelane.web.flow import flows
from carelane.web.kit import PageKit, environment_of, id_of, number_of, text_of
from carelane.web.live import Live

_PER_PAGE = 24
_MOST_DRAWN = 400


def routes(kit: PageKit) -> list[Route]:
    """Return the routes of these pages."""
    return ConnectionPages(kit).routes()


@dataclass(frozen=True)
class ConnectionPages:
    """The pages of connections."""

    kit: PageKit

    async def _cards(self, request: Request, person: Person) -> Response:
        found = await self.kit.hub.subscriptions.cards(person) if may(person, Right.SEE) else []
        connections = await self.kit.hub.partners.connections(person, "accepted", "requested")
        shown = {card.connection for card in found}
        return self.kit.render(
            request, person, "connections/cards.html", "Connections", tab="orgs", cards=found, troubles=_troubles(self.kit, person),
            setting_up=[one for one in connections if one.state == "accepted" and one.uid not in shown],
        )  # fmt: skip

    async def _one(self, request: Request, person: Person) -> Response:
        uid = id_of(request, "con")
        connection = await self.kit.hub.partners.connection(person, uid)
        wanted = Filter(
            connection=uid, environment=environment_of(request, person), data_model=text_of(request.query_params, "model"), sort="source",
            size=_MOST_DRAWN,
        )  # fmt: skip
        page = await self.kit.hub.subscriptions.find(person, wanted)
        state = text_of(request.query_params, "state")
        rows = [row for row in page.rows if not state or row.flow == state]
        return self.kit.render(
            request, person, "connections/one.html", "Connections", connection=connection, flows=flows(rows), rows=rows, wanted=wanted, state=state,
            states=sorted({row.flow for row in page.rows}), models=sorted({row.data_model for row in page.rows}), total=page.total,
            timeline=await self.kit.hub.partners.timeline(person, uid), environments=ENVIRONMENTS,
        )  # fmt: skip

    async def _agreement(self, request: Request, person: Person) -> Response:
        connection = await self.kit.hub.partners.connection(person, id_of(request, "con"))
        return self.kit.render(request, person, "connections/agreement.html", "Connections", connection=connection)

    async def _stream(self, request: Request, person: Person) -> Response:
        uid = id_of(request, "con")
        return StreamingResponse(_figures(request, self.kit.live, person, uid, self.kit), media_type="text/event-stream", headers={"x-accel-buffering": "no"})

    async def _requests(self, request: Request, person: Person) -> Response:
        found = await self.kit.hub.partners.connections(person)
        return self.kit.render(
            request, person, "connections/requests.html", "Connections", tab="requests",
            incoming=[x for x in found if not x.mine and x.state == "requested"], outgoing=[x for x in found if x.mine and x.state == "requested"],
            past=[x for x in found if x.state in ("declined", "withdrawn", "ended")],
        )  # fmt: skip

    async def _directory(self, request: Request, person: Person) -> Response:
        query = request.query_params
        text, kind, model, page = text_of(query, "q", 100), text_of(query, "kind"), text_of(query, "model"), number_of(query, "page")
        found = await self.kit.hub.partners.directory(person, text=text, kind=kind, model=model, page=page, size=_PER_PAGE)
        return self.kit.render(
            request, person, "connections/directory.html", "Connections", tab="directory", found=found, text=text, kind=kind, model=model, page=page,
            more=len(found) == _PER_PAGE, kinds=KINDS, models=tuple(model_events()),
        )  # fmt: skip

    async def _profile(self, request: Request, person: Person) -> Response:
        return await self._ask_form(request, person, {}, "")

    async def _ask_form(self, request: Request, person: Person, values: object, problem: str) -> Response:
        partner, known, state = await self.kit.hub.partners.profile(person, id_of(request, "org"))
        return self.kit.render(
            request, person, "connections/profile.html", "Connections", 422 if problem else 200, partner=partner, known=known, state=state, values=values,
            problem=problem, models=tuple(model_events()), environments=ENVIRONMENTS,
        )  # fmt: skip

    async def _ask(self, request: Request, person: Person, form: FormData) -> tuple[str, str]:
        offers = [Offer(str(model), outward=True) for model in form.getlist("send")] + [Offer(str(model), outward=False) for model in form.getlist("get")]
        partner = id_of(request, "org")
        uid = await self.kit.hub.partners.request(
            person, partner, purpose=text_of(form, "purpose", 2000), offers=offers, environments=[str(one) for one in form.getlist("environment")],
            note=text_of(form, "note", 2000), target_date=_date(text_of(form, "target_date")),
        )  # fmt: skip
        return f"/connections/{public('con', uid)}", "The request was sent. Its owners and admins have been told."

    async def _move(self, request: Request, person: Person, form: FormData) -> tuple[str, str]:
        uid, verb = id_of(request, "con"), request.path_params["verb"]
        await _move(self.kit, person, uid, verb, form)
        return f"/connections/{public('con', uid)}", _SAID[verb]

    def routes(self) -> list[Route]:
        """Return the routes of these pages."""
        return [
            Route("/connections", self.kit.page(self._cards)),
            Route("/connections/requests", self.kit.page(self._requests)),
            Route("/connections/directory", self.kit.page(self._directory)),
            Route("/connections/directory/{id}", self.kit.page(self._profile), methods=["GET"]),
            Route("/connections/directory/{id}", self.kit.action(self._ask, self._ask_form), methods=["POST"]),
            Route("/connections/{id:str}", self.kit.page(self._one)),
            Route("/connections/{id:str}/agreement", self.kit.page(self._agreement)),
            Route("/connections/{id:str}/live", self.kit.page(self._stream)),
            Route("/connections/{id:str}/{verb}", self.kit.action(self._move), methods=["POST"]),
        ]


_SAID = {
    "accept": "Accepted. Create endpoints and subscriptions to begin.",
    "decline": "Declined; the other side reads your reason.",
    "withdraw": "Withdrawn.",
    "suspend": "Suspended: nothing new is taken.",
    "resume": "The connection is open again.",
    "end": "Ended. Its history stays.",
}


async def _move(kit: PageKit, person: Person, uid: UUID, verb: str, form: FormData) -> None:
    partners = kit.hub.partners
    if verb == "accept":
        chosen = [Offer(str(one).partition(":")[2], outward=str(one).startswith("out:")) for one in form.getlist("model")] if "narrow" in form else None
        await partners.accept(person, uid, chosen)
    elif verb == "decline":
        await partners.decline(person, uid, text_of(form, "reason", 1000))
    elif verb == "withdraw":
        await partners.withdraw(person, uid)
    elif verb == "resume":
        await partners.resume(person, uid)
    elif verb in ("suspend", "end"):
        stop = text_of(form, "queued")
        if stop not in ("hold", "drain"):
            raise Conflict("Say what happens to queued messages: deliver them first, or hold them.")
        await (partners.suspend if verb == "suspend" else partners.end)(person, uid, "drain" if stop == "drain" else "hold")
    else:
        raise Conflict(f"A connection cannot be told to {verb}.")


def _troubles(kit: PageKit, person: Person) -> list[tuple[str, str]]:
    troubles, sources = kit.hub.troubles(), kit.hub.snapshot().sources
    return [(source.name, troubles[int(key)]) for key, source in sources.items() if int(key) in troubles and source.org_id == person.org_id]


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise Conflict("The target date is no date.") from None


async def _figures(request: Request, live: Live, person: Person, connection: UUID, kit: PageKit) -> AsyncIterator[bytes]:
    """One event a second: per lane, what was queued, delivered and waits. Ends when the person is signed out or the hub stops."""
    beats = 0
    while not await request.is_disconnected() and not getattr(request.app.state, "closing", False):
        found = await live.figures(person, connection)
        figures = {
            str(lane): {"queued": queued, "delivered": delivered, "pending": queued - settled, "state": state}
            for lane, (queued, settled, delivered, state) in found.items()
        }
        yield b"event: lanes\ndata: " + orjson.dumps(figures) + b"\n\n"
        beats += 1
        if beats % 30 == 0 and await kit.guardian.person(request) is None:
            return
        await asyncio.sleep(live.beat_s)

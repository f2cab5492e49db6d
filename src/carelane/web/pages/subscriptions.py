"""All subscriptions as a table; creating them; one with its settings and the operator's verbs."""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from carelane.domain.errors import CarelaneError, Conflict
from carelane.domain.ids import LaneId
from carelane.domain.office import Filter, Subscription
from carelane.domain.permissions import ENVIRONMENTS
from carelane.domain.views import Person
from carelane.kit.ids import public
from carelane.models.schemas import model_events
from carelane.web.kit import PageKit, back_of, environment_of, id_of, number_of, text_of, uid_of

COLUMNS = (
    ("partner", "Connected org"), ("source", "Source"), ("name", "Subscription"), ("outward", "Direction"), ("activated_at", "Activated"),
    ("data_model", "Data model"), ("destination", "Destination"), ("pending", "Queue"), ("delivered_at", "Last delivered"),
)  # fmt: skip
_SIZE, _MOST_CSV = 50, 10_000
_MOST_OVERLAY = 65_537
"""One more than an overlay may have, so that it is refused and never cut."""
_VERBS = {"accept": "accepted", "pause": "paused", "resume": "resumed", "drain": "draining", "end": "ended"}


def routes(kit: PageKit) -> list[Route]:
    """Return the routes of these pages."""
    return SubscriptionPages(kit).routes()


@dataclass(frozen=True)
class SubscriptionPages:
    """The pages of subscriptions."""

    kit: PageKit

    async def _table(self, request: Request, person: Person) -> Response:
        wanted, hidden = _wanted(request, person), set(request.query_params.getlist("hide"))
        page = await self.kit.hub.subscriptions.find(person, wanted)
        view = {key: value for key, value in request.query_params.multi_items() if key not in ("page", "sort") and value}
        return self.kit.render(
            request, person, "connections/subscriptions.html", "Connections", tab="subscriptions", page=page, wanted=wanted, columns=COLUMNS, hidden=hidden,
            grouped=not request.query_params.get("flat") and wanted.sort == "partner", environments=ENVIRONMENTS, models=tuple(model_events()),
            pages=-(-page.total // wanted.size), link=lambda **more: "/subscriptions?" + urlencode({**view, "sort": wanted.sort, **more}),
            flat=bool(request.query_params.get("flat")),
        )  # fmt: skip

    async def _download(self, request: Request, person: Person) -> Response:
        page = await self.kit.hub.subscriptions.find(person, replace(_wanted(request, person), page=1, size=_MOST_CSV))
        headers = {"content-disposition": 'attachment; filename="subscriptions.csv"'}
        return Response(_csv(page.rows), media_type="text/csv; charset=utf-8", headers=headers)

    async def _one(self, request: Request, person: Person) -> Response:
        return await self._settings(request, person)

    async def _again(self, request: Request, person: Person, data: FormData, problem: str) -> Response:
        """A change that is refused comes back with what was typed; any other verb leads back to where it was pressed."""
        if request.path_params["verb"] != "change":
            return self.kit.go(back_of(request), problem, problem=True, request=request)
        return await self._settings(request, person, problem, data)

    async def _settings(self, request: Request, person: Person, problem: str = "", typed: Mapping[str, Any] | None = None) -> Response:
        row = await self.kit.hub.subscriptions.one(person, id_of(request, "sub"))
        if typed is not None:
            row = replace(row, name=text_of(typed, "name", 300), overlay=text_of(typed, "overlay", _MOST_OVERLAY) if "overlay" in typed else row.overlay)
        connection = await self.kit.hub.partners.connection(person, row.connection) if row.connection else None
        return self.kit.render(
            request, person, "connections/subscription.html", "Connections", 422 if problem else 200, row=row, connection=connection, problem=problem
        )

    async def _panel(self, request: Request, person: Person) -> Response:
        return self.kit.render(
            request, person, "connections/panel.html", "Connections", row=await self.kit.hub.subscriptions.one(person, id_of(request, "sub"))
        )

    async def _form(self, request: Request, person: Person, values: Any = None, problem: str = "") -> Response:
        values = request.query_params if values is None else values
        return self.kit.render(
            request, person, "connections/new.html", "Connections", 422 if problem else 200, values=values, problem=problem, environments=ENVIRONMENTS,
            **await _choices(self.kit, person, text_of(values, "with"), _environment(request, person, values), text_of(values, "direction")),
        )  # fmt: skip

    async def _create(self, request: Request, person: Person, data: FormData) -> tuple[str, str]:
        if not data.get("source") or not data.get("destination"):
            raise Conflict("Choose a source and a destination.")
        source, destination = uid_of(text_of(data, "source"), "src"), uid_of(text_of(data, "destination"), "dst")
        made = await self.kit.hub.subscriptions.create(
            person, source=source, destination=destination, models=[str(one) for one in data.getlist("model")], name=text_of(data, "name", 200),
            paused=text_of(data, "starts") == "paused",
        )  # fmt: skip
        first = await self.kit.hub.subscriptions.one(person, made[0])
        told = "They carry data now." if first.state != "proposed" else f"An engineer of {first.partner} has to accept before data flows."
        where = f"/connections/{public('con', first.connection)}" if first.connection else "/subscriptions?" + urlencode({"q": first.source})
        return where, f"{len(made)} subscription{'' if len(made) == 1 else 's'} created. {told}"

    async def _act(self, request: Request, person: Person, data: FormData) -> tuple[str, str]:
        uid, verb = id_of(request, "sub"), request.path_params["verb"]
        if verb == "change":
            hours = text_of(data, "retry_hours")
            await self.kit.hub.subscriptions.change(
                person, uid, name=text_of(data, "name", 300), retry_hours=int(hours) if hours.isascii() and hours.isdigit() and len(hours) < 7 else 0,
                overlay=text_of(data, "overlay", _MOST_OVERLAY) if "overlay" in data else None,
            )  # fmt: skip
        elif verb == "end":
            await self.kit.hub.subscriptions.end(person, uid, drain=text_of(data, "queued") == "drain")
        elif verb == "release":
            row = await self.kit.hub.subscriptions.one(person, uid)
            await self.kit.hub.operations.release(person, LaneId(row.lane_id))
        else:
            await _verb(self.kit, person, uid, verb)
            return back_of(request, f"/subscriptions/{public('sub', uid)}"), f"It is {_VERBS.get(verb)}."
        return f"/subscriptions/{public('sub', uid)}", {"change": "Saved.", "release": "Its head is tried again now."}.get(verb, "It is ended.")

    async def _bulk(self, request: Request, person: Person, data: FormData) -> tuple[str, str]:
        verb, done, failed = text_of(data, "verb"), 0, []
        if verb not in ("pause", "resume"):
            raise Conflict("Choose pause or resume.")
        for text in data.getlist("id")[:500]:
            try:
                await _verb(self.kit, person, uid_of(str(text), "sub"), verb)
                done += 1
            except CarelaneError as error:
                failed.append(str(error))
        if not done:
            raise Conflict(failed[0] if failed else "Select subscriptions first.")
        return back_of(request, "/subscriptions"), f"{done} {_VERBS[verb]}." + (f" {len(failed)} could not be: {failed[0]}" if failed else "")

    def routes(self) -> list[Route]:
        """Return the routes of these pages."""
        return [
            Route("/subscriptions", self.kit.page(self._table)),
            Route("/subscriptions.csv", self.kit.page(self._download)),
            Route("/subscriptions/new", self.kit.page(self._form), methods=["GET"]),
            Route("/subscriptions/new", self.kit.action(self._create, self._form), methods=["POST"]),
            Route("/subscriptions/bulk", self.kit.action(self._bulk), methods=["POST"]),
            Route("/subscriptions/{id}", self.kit.page(self._one)),
            Route("/subscriptions/{id}/panel", self.kit.page(self._panel)),
            Route("/subscriptions/{id}/{verb}", self.kit.action(self._act, self._again), methods=["POST"]),
        ]


async def _verb(kit: PageKit, person: Person, uid: UUID, verb: str) -> None:
    if verb not in ("accept", "pause", "resume", "drain"):
        raise Conflict(f"A subscription cannot be told to {verb}.")
    await getattr(kit.hub.subscriptions, verb)(person, uid)


async def _choices(kit: PageKit, person: Person, partner: str, environment: str, direction: str) -> dict[str, Any]:
    """What the dialog offers for a partner (or oneself), an environment and a direction."""
    hub = kit.hub
    connections = await hub.partners.connections(person, "accepted", "connected")
    chosen = next((one for one in connections if public("con", one.uid) == partner), None)
    connection = await hub.partners.connection(person, chosen.uid) if chosen else None
    far = connection.partner.uid if connection else None
    outward = direction != "in"
    return {
        "connections": connections,
        "connection": connection,
        "environment": environment,
        "direction": "out" if outward else "in",
        "sources": await hub.endpoints.find(person, "source", environment=environment, partner=None if outward else far),
        "destinations": await hub.endpoints.find(person, "destination", environment=environment, partner=far if outward else None),
        "models": connection.may_send(outward=outward) if connection else tuple(model_events()),
    }


def _first(person: Person) -> str:
    return next((one for one in ENVIRONMENTS if one in person.environments), ENVIRONMENTS[0])


def _environment(request: Request, person: Person, values: Mapping[str, str]) -> str:
    return text_of(values, "environment") or environment_of(request, person) or _first(person)


def _wanted(request: Request, person: Person) -> Filter:
    query = request.query_params
    return Filter(
        text=text_of(query, "q", 200), environment=environment_of(request, person), data_model=text_of(query, "model"), state=text_of(query, "state"),
        sort=text_of(query, "sort", 30) or "partner", page=number_of(query, "page"), size=_SIZE, ended=text_of(query, "state") == "ended",
    )  # fmt: skip


def _csv(rows: tuple[Subscription, ...]) -> str:
    """Cells that a spreadsheet would take for a formula are quoted as text."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([title for _, title in COLUMNS] + ["State", "Environment", "ID"])
    for row in rows:
        cells = [
            row.partner, row.source, row.name, "out" if row.outward else "in", row.activated_at or "", row.data_model, row.destination, row.pending,
            row.delivered_at or "", row.flow, row.environment, public("sub", row.uid),
        ]  # fmt: skip
        writer.writerow([f"'{cell}" if str(cell)[:1] in "=+-@\t\r" and str(cell) else cell for cell in cells])
    return out.getvalue()

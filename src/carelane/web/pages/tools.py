"""Dev tools: pick a data model and event, edit the sample, send it as a source or have the Engine send it, watch it arrive."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from carelane.domain.errors import Conflict
from carelane.domain.permissions import Right, demand, nothing_here
from carelane.domain.views import Person
from carelane.kit.ids import public
from carelane.web.kit import PageKit, id_of, text_of, uid_of

_USUAL = "PatientAdmin"
"""By far the most used data model: what the page offers first."""
_MOST_BODY = 1024 * 1024


def routes(kit: PageKit) -> list[Route]:
    """Return the routes of these pages."""
    return ToolPages(kit).routes()


@dataclass(frozen=True)
class ToolPages:
    """The dev tools."""

    kit: PageKit

    async def _page(self, request: Request, person: Person, values: Mapping[str, Any] | None = None, problem: str = "") -> Response:
        demand(person, Right.BUILD)
        given = request.query_params if values is None else values
        events = self.kit.hub.devtools.events()
        model = text_of(given, "model") or _USUAL
        event = text_of(given, "event") or events.get(model, ("",))[0]
        if event not in events.get(model, ()):
            raise nothing_here()
        return self.kit.render(
            request, person, "developer/tools.html", "Developer", 422 if problem else 200, tab="tools", events=events, model=model, event=event,
            body=str(given.get("body") or "") or self.kit.hub.devtools.sample(model, event), way=text_of(given, "way") or "send", problem=problem,
            sources=[one for one in await self.kit.hub.endpoints.find(person, "source") if one.transport == "http"],
            destinations=await self.kit.hub.endpoints.find(person, "destination", environment="development"),
        )  # fmt: skip

    async def _send(self, request: Request, person: Person, form: FormData) -> tuple[str, str]:
        body = str(form.get("body", ""))
        if len(body) > _MOST_BODY:
            raise Conflict("A test message has at most 1 MB.")
        if text_of(form, "way") == "receive":
            receipt = await self.kit.hub.devtools.receive(person, uid_of(text_of(form, "destination"), "dst"), body)
        else:
            receipt = await self.kit.hub.devtools.send(person, uid_of(text_of(form, "source"), "src"), body)
        if receipt.message_id is None:
            raise Conflict("The hub is not taking messages right now; try again in a moment.")
        return f"/developer/tools/{public('msg', receipt.message_id)}", ""

    async def _watch(self, request: Request, person: Person) -> Response:
        identity = id_of(request, "msg")
        found = await self.kit.hub.operations.watch(person, identity)
        done = bool(found.deliveries) and all(one.state in ("delivered", "settled", "filtered") for one in found.deliveries)
        template = "developer/steps.html" if request.headers.get("hx-request") else "developer/watch.html"
        return self.kit.render(request, person, template, "Developer", tab="tools", opened=found, message=found.message, done=done)

    def routes(self) -> list[Route]:
        """Return the routes of these pages."""
        return [
            Route("/developer/tools", self.kit.page(self._page), methods=["GET"]),
            Route("/developer/tools", self.kit.action(self._send, self._page), methods=["POST"]),
            Route("/developer/tools/{id}", self.kit.page(self._watch)),
        ]

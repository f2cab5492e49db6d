"""Signing up with a new organization, joining one by invitation, and adding another organization to an account."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from carelane.domain.errors import CarelaneError
from carelane.domain.office import KINDS
from carelane.domain.views import Person
from carelane.web.kit import PageKit, text_of
from carelane.web.security import same_origin

_TOO_MANY = "Too many attempts from here. Wait five minutes, then try again."


def routes(kit: PageKit, *, open_to_all: bool) -> list[Route]:
    """Return the routes of these pages."""
    return SignUpPages(kit, open_to_all).routes()


@dataclass(frozen=True)
class SignUpPages:
    """The pages of joining."""

    kit: PageKit
    open_to_all: bool

    def _show(self, request: Request, values: Mapping[str, Any], problem: str = "", status: int = 200) -> Response:
        return self.kit.render(request, None, "sign_up.html", "", status, values=values, problem=problem, kinds=KINDS, open_to_all=self.open_to_all)

    async def _form(self, request: Request) -> Response:
        return self._show(request, {})

    async def _enter(self, request: Request) -> Response:
        if not same_origin(request):
            return Response("This request came from another site.", 403)
        if not self.open_to_all:
            raise HTTPException(404)
        data = await request.form(max_fields=10, max_files=0)
        values = {name: text_of(data, name) for name in ("email", "name", "organization", "kind")}
        password = str(data.get("password", ""))[:1024]
        if self.kit.guardian.throttled(f"sign-up:{request.client.host if request.client else ''}"):
            return self._show(request, values, _TOO_MANY, 429)
        try:
            await self.kit.hub.team.sign_up(password=password, **values)
        except CarelaneError as error:
            return self._show(request, values, str(error), 422)
        return await self._signed_in(request, values["email"], password, "/welcome")

    async def _signed_in(self, request: Request, email: str, password: str, where: str) -> Response:
        token = await self.kit.hub.desk.sign_in(email, password)
        if token is None:
            return RedirectResponse("/sign-in", 303)
        response = RedirectResponse(where, 303)
        self.kit.guardian.remember(response, token)
        return response

    async def _invited(self, request: Request, problem: str = "", status: int = 200) -> Response:
        found = await self.kit.hub.team.invitation(str(request.path_params["token"]))
        return self.kit.render(request, None, "join.html", "", status if found else 404, invitation=found, problem=problem)

    async def _join(self, request: Request) -> Response:
        if not same_origin(request):
            return Response("This request came from another site.", 403)
        data = await request.form(max_fields=10, max_files=0)
        password, token = str(data.get("password", ""))[:1024], str(request.path_params["token"])
        if self.kit.guardian.throttled(f"join:{request.client.host if request.client else ''}"):
            return await self._invited(request, _TOO_MANY, 429)
        try:
            email = await self.kit.hub.team.join(token, name=text_of(data, "name"), password=password)
        except CarelaneError as error:
            return await self._invited(request, str(error), 422)
        return await self._signed_in(request, email, password, "/connections")

    async def _welcome(self, request: Request, person: Person) -> Response:
        sources, destinations = await self.kit.hub.endpoints.find(person, "source"), await self.kit.hub.endpoints.find(person, "destination")
        return self.kit.render(request, person, "welcome.html", "", sources=sources, destinations=destinations, organization=await self.kit.hub.team.me(person))

    async def _another(self, request: Request, person: Person) -> Response:
        return self.kit.render(request, person, "another.html", "", kinds=KINDS)

    async def _create(self, request: Request, person: Person, data: FormData) -> tuple[str, str]:
        org = await self.kit.hub.team.create_organization(text_of(data, "organization"), text_of(data, "kind"), actor=person.email, owner=person.id)
        await self.kit.hub.desk.switch(request.cookies.get(self.kit.guardian.cookie, ""), org)
        return "/welcome", ""

    def routes(self) -> list[Route]:
        """Return the routes of these pages."""
        return [
            Route("/sign-up", self._form, methods=["GET"]),
            Route("/sign-up", self._enter, methods=["POST"]),
            Route("/join/{token}", self._invited, methods=["GET"]),
            Route("/join/{token}", self._join, methods=["POST"]),
            Route("/welcome", self.kit.page(self._welcome)),
            Route("/organizations/new", self.kit.page(self._another), methods=["GET"]),
            Route("/organizations/new", self.kit.action(self._create), methods=["POST"]),
        ]

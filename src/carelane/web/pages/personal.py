"""Personal keys: what scripts of a person use to speak to the platform API."""

from dataclasses import dataclass

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from carelane.domain.errors import Conflict
from carelane.domain.views import Person
from carelane.web.kit import PageKit, id_of, number_of, text_of

_DAYS = (30, 90, 180, 366)


def routes(kit: PageKit) -> list[Route]:
    """Return the routes of this page."""
    return PersonalPages(kit).routes()


@dataclass(frozen=True)
class PersonalPages:
    """One's own keys."""

    kit: PageKit

    async def _list(self, request: Request, person: Person, token: str = "") -> Response:
        keys = await self.kit.hub.personal_keys.find(person)
        return self.kit.render(request, person, "developer/personal.html", "Developer", tab="personal", keys=keys, token=token, days=_DAYS)

    async def _create(self, request: Request, person: Person) -> Response:
        """Show the new key in this answer only."""
        form = await request.form(max_fields=10, max_files=0)
        try:
            _, token = await self.kit.hub.personal_keys.create(person, text_of(form, "name", 300), number_of({"days": text_of(form, "days")}, "days", 90))
        except Conflict as error:
            return self.kit.go("/developer/personal-keys", str(error), problem=True, request=request)
        return await self._list(request, person, token)

    async def _revoke(self, request: Request, person: Person, _form: FormData) -> tuple[str, str]:
        await self.kit.hub.personal_keys.revoke(person, id_of(request, "pky"))
        return "/developer/personal-keys", "Revoked: it is refused from now on."

    def routes(self) -> list[Route]:
        """Return the routes of this page."""
        return [
            Route("/developer/personal-keys", self.kit.page(self._list), methods=["GET"]),
            Route("/developer/personal-keys", self.kit.page(self._create), methods=["POST"]),
            Route("/developer/personal-keys/{id}/revoke", self.kit.action(self._revoke), methods=["POST"]),
        ]

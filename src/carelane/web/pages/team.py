"""Team & access, the organization's profile, and the audit trail."""

from dataclasses import dataclass
from typing import Any

from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from carelane.domain.errors import Conflict
from carelane.domain.office import KINDS
from carelane.domain.permissions import ENVIRONMENT_ROLES, ENVIRONMENTS, ORGANIZATION_ROLES, Right, demand, nothing_here
from carelane.domain.views import Person
from carelane.kit.ids import public
from carelane.models.schemas import model_events
from carelane.web.kit import PageKit, id_of, number_of, text_of

_MOST_IMAGE = 129 * 1024


def routes(kit: PageKit) -> list[Route]:
    """Return the routes of these pages."""
    return TeamPages(kit).routes()


@dataclass(frozen=True)
class TeamPages:
    """The pages of people, profile and audit."""

    kit: PageKit

    async def _people(self, request: Request, person: Person, values: Any = None, problem: str = "", link: str = "") -> Response:
        return self.kit.render(
            request, person, "team/people.html", "Team & access", 422 if problem else 200, members=await self.kit.hub.team.members(person),
            invitations=await self.kit.hub.team.invitations(person), roles=ORGANIZATION_ROLES, environments=ENVIRONMENTS,
            environment_roles=ENVIRONMENT_ROLES, problem=problem,
            values=values or {}, link=link,
        )  # fmt: skip

    async def _invite(self, request: Request, person: Person) -> Response:
        form = await request.form(max_fields=20, max_files=0)
        try:
            token = await self.kit.hub.team.invite(person, email=text_of(form, "email"), **_roles(form))
        except Conflict as error:
            return await self._people(request, person, form, str(error))
        return await self._people(request, person, link=f"{request.url.scheme}://{request.headers.get('host', '')}/join/{token}")

    async def _revoke(self, request: Request, person: Person, form: FormData) -> tuple[str, str]:
        await self.kit.hub.team.revoke_invitation(person, id_of(request, "inv"))
        return "/team", "The invitation is withdrawn."

    async def _member(self, request: Request, person: Person) -> Response:
        uid = id_of(request, "usr")
        found = next((one for one in await self.kit.hub.team.members(person) if one.uid == uid), None)
        if found is None:
            raise nothing_here()
        return self.kit.render(
            request, person, "team/member.html", "Team & access", member=found, roles=ORGANIZATION_ROLES, environments=ENVIRONMENTS,
            environment_roles=ENVIRONMENT_ROLES, difference=None, wanted={"role": found.role, "environments": found.environments, "payloads": found.payloads},
        )  # fmt: skip

    async def _preview(self, request: Request, person: Person) -> Response:
        """Show the difference first; the same form, confirmed, makes the change."""
        form, uid = await request.form(max_fields=20, max_files=0), id_of(request, "usr")
        found = next((one for one in await self.kit.hub.team.members(person) if one.uid == uid), None)
        if found is None:
            raise nothing_here()
        wanted = _roles(form)
        return self.kit.render(
            request, person, "team/member.html", "Team & access", member=found, roles=ORGANIZATION_ROLES, environments=ENVIRONMENTS,
            environment_roles=ENVIRONMENT_ROLES, difference=await self.kit.hub.team.difference(person, uid, **wanted), wanted=wanted,
        )  # fmt: skip

    async def _change(self, request: Request, person: Person, form: FormData) -> tuple[str, str]:
        uid = id_of(request, "usr")
        await self.kit.hub.team.change_roles(person, uid, **_roles(form))
        return f"/team/{public('usr', uid)}", "The roles are changed."

    async def _remove(self, request: Request, person: Person, form: FormData) -> tuple[str, str]:
        await self.kit.hub.team.remove(person, id_of(request, "usr"))
        return "/team", "Removed."

    async def _profile(self, request: Request, person: Person, form: Any = None, problem: str = "") -> Response:
        return self.kit.render(
            request, person, "team/organization.html", "Organization", 422 if problem else 200, organization=await self.kit.hub.team.me(person), kinds=KINDS,
            models=tuple(model_events()), problem=problem,
        )  # fmt: skip

    async def _change_profile(self, request: Request, person: Person, form: FormData) -> tuple[str, str]:
        words = {name: text_of(form, name, 2000) for name in ("place", "ehr", "about", "contact", "website", "alert_email")}
        models = {name: [str(one) for one in form.getlist(name) if one in model_events()] for name in ("offers", "wants")}
        await self.kit.hub.team.change_profile(
            person, name=text_of(form, "name", 300), kind=text_of(form, "kind"), listed=form.get("listed") == "on", profile={**words, **models}
        )
        return "/organization", "Saved."

    async def _set_logo(self, request: Request, person: Person) -> Response:
        form = await request.form(max_fields=2, max_files=1)
        file = form.get("logo")
        image = await file.read(_MOST_IMAGE) if isinstance(file, UploadFile) else b""
        try:
            if not image and form.get("remove") is None:
                demand(person, Right.PROFILE)
                raise Conflict("Choose an image first.")
            await self.kit.hub.team.set_logo(person, b"" if form.get("remove") else image)
        except Conflict as error:
            return self.kit.go("/organization", str(error), problem=True, request=request)
        return self.kit.go("/organization", "Saved.", request=request)

    async def _logo(self, request: Request, person: Person) -> Response:
        kind, image = await self.kit.hub.team.logo(person, id_of(request, "org"))
        return Response(image, media_type=kind, headers={"cache-control": "private, max-age=86400", "content-disposition": "inline"})

    async def _trail(self, request: Request, person: Person) -> Response:
        page, action = number_of(request.query_params, "page"), text_of(request.query_params, "action", 60)
        found = await self.kit.hub.team.trail(person, action=action, page=page)
        broken = await self.kit.hub.team.chain(person) if request.query_params.get("verify") else None
        return self.kit.render(
            request, person, "team/audit.html", "Audit", found=found, page=page, action=action, broken=broken, verified=bool(request.query_params.get("verify"))
        )

    def routes(self) -> list[Route]:
        """Return the routes of these pages."""
        return [
            Route("/team", self.kit.page(self._people), methods=["GET"]),
            Route("/team/invitations", self.kit.page(self._invite), methods=["POST"]),
            Route("/team/invitations/{id}/revoke", self.kit.action(self._revoke), methods=["POST"]),
            Route("/team/{id}", self.kit.page(self._member), methods=["GET"]),
            Route("/team/{id}/preview", self.kit.page(self._preview), methods=["POST"]),
            Route("/team/{id}", self.kit.action(self._change), methods=["POST"]),
            Route("/team/{id}/remove", self.kit.action(self._remove), methods=["POST"]),
            Route("/organization", self.kit.page(self._profile), methods=["GET"]),
            Route("/organization", self.kit.action(self._change_profile, self._profile), methods=["POST"]),
            Route("/organization/logo", self.kit.page(self._set_logo), methods=["POST"]),
            Route("/organizations/{id}/logo", self.kit.page(self._logo), methods=["GET"]),
            Route("/audit", self.kit.page(self._trail)),
        ]


def _roles(form: Any) -> dict[str, Any]:
    environments = {one: text_of(form, f"env-{one}") for one in ENVIRONMENTS if text_of(form, f"env-{one}")}
    return {"role": text_of(form, "role"), "environments": environments, "payloads": form.get("payloads") == "on"}

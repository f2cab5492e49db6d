"""Developer: sources, destinations and their wizards, API keys, dev tools."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from carelane.domain.delivery import Verdict
from carelane.domain.errors import CarelaneError, Conflict
from carelane.domain.office import EndpointKind
from carelane.domain.permissions import ENVIRONMENTS, Right, demand, may
from carelane.domain.views import Person
from carelane.kit.ids import public
from carelane.web.kit import PageKit, environment_of, id_of, text_of, uid_of

PREFIX: Mapping[str, str] = {"source": "src", "destination": "dst"}
_KINDS: Mapping[str, EndpointKind] = {"sources": "source", "destinations": "destination"}


def routes(kit: PageKit) -> list[Route]:
    """Return the routes of these pages."""
    return DeveloperPages(kit).routes()


@dataclass(frozen=True)
class DeveloperPages:
    """The pages of endpoints and keys."""

    kit: PageKit

    async def _tiles(self, request: Request, person: Person) -> Response:
        kind = _kind(request)
        environment = environment_of(request, person)
        found = await self.kit.hub.endpoints.find(person, kind, environment=environment)
        drafts = [one for one in await self.kit.hub.endpoints.drafts(person) if one.kind == kind] if may(person, Right.BUILD) else []
        return self.kit.render(
            request, person, "developer/tiles.html", "Developer", tab=kind, kind=kind, found=found, drafts=drafts, environment=environment,
            environments=ENVIRONMENTS, troubles={public("src", s.uid): text for s, text in _troubles(self.kit)}, titles=dict(self.kit.hub.shelf.methods(kind)),
        )  # fmt: skip

    async def _choose(self, request: Request, person: Person) -> Response:
        demand(person, Right.BUILD)
        kind = _kind(request)
        return self.kit.render(
            request, person, "developer/choose.html", "Developer", kind=kind, methods=self.kit.hub.shelf.methods(kind), environments=ENVIRONMENTS,
            values=request.query_params, problem="",
        )  # fmt: skip

    async def _begin(self, request: Request, person: Person, form: FormData) -> tuple[str, str]:
        kind = _kind(request)
        uid = await self.kit.hub.endpoints.save_draft(
            person, None, kind, environment=text_of(form, "environment"), name=text_of(form, "name", 300), transport=text_of(form, "transport"), settings={},
            secret={},
        )  # fmt: skip
        return f"/developer/{kind}s/drafts/{public('dft', uid)}", ""

    async def _draft(self, request: Request, person: Person, form: Mapping[str, Any] | None = None, problem: str = "", tested: Any = None) -> Response:
        shown, settings = await self.kit.hub.endpoints.draft(person, id_of(request, "dft"))
        fields = self.kit.hub.shelf.form(shown.transport)
        return self.kit.render(
            request, person, "developer/settings.html", "Developer", 422 if problem else 200, kind=shown.kind, draft=shown, fields=fields,
            secrets=shown.secrets,
            values=_values(fields, form) if form is not None else settings, problem=problem, tested=tested,
        )  # fmt: skip

    async def _save(self, request: Request, person: Person) -> Response:
        """Test, keep for later, or finish: three buttons of one form."""
        form = await request.form(max_fields=100, max_files=0)
        uid = id_of(request, "dft")
        shown, kept = await self.kit.hub.endpoints.draft(person, uid)
        fields = self.kit.hub.shelf.form(shown.transport)
        values = _kept(_values(fields, form), kept, fields)
        secret = {field.name: values[field.name] for field in fields if field.secret and values.get(field.name)}
        await self.kit.hub.endpoints.save_draft(
            person, uid, shown.kind, environment=shown.environment, name=text_of(form, "name", 300) or shown.name, transport=shown.transport,
            settings={name: value for name, value in values.items() if name not in secret}, secret=secret,
        )  # fmt: skip
        try:
            if form.get("do") == "test":
                return await self._draft(
                    request, person, form, tested=await self.kit.hub.endpoints.try_settings(person, shown.kind, shown.transport, shown.environment, values)
                )
            if form.get("do") == "later":
                return self.kit.go(f"/developer/{shown.kind}s", "Kept; go on whenever you like.", request=request)
            made = await self.kit.hub.endpoints.create(
                person, shown.kind, environment=shown.environment, name=text_of(form, "name", 300) or shown.name, transport=shown.transport, settings=values
            )
        except CarelaneError as error:
            return await self._draft(request, person, form, str(error))
        await self.kit.hub.endpoints.drop_draft(person, uid)
        return self.kit.go(f"/developer/{shown.kind}s/{public(PREFIX[shown.kind], made)}", "Done. Test it, then use it in a subscription.", request=request)

    async def _drop(self, request: Request, person: Person, form: FormData) -> tuple[str, str]:
        await self.kit.hub.endpoints.drop_draft(person, id_of(request, "dft"))
        return f"/developer/{_kind(request)}s", "Dropped."

    async def _one(self, request: Request, person: Person, form: Mapping[str, Any] | None = None, problem: str = "") -> Response:
        kind = _kind(request)
        uid = id_of(request, PREFIX[kind])
        found = await self.kit.hub.endpoints.one(person, kind, uid)
        if not found.mine:
            raise HTTPException(404)
        fields = self.kit.hub.shelf.form(found.transport)
        keys = [key for key in await self.kit.hub.endpoints.keys(person) if key.source_uid == uid] if kind == "source" and found.transport == "http" else []
        return self.kit.render(
            request, person, "developer/one.html", "Developer", 422 if problem else 200, kind=kind, endpoint=found, fields=fields, secrets=found.secrets,
            values=_values(fields, form) if form is not None else found.settings, uses=await self.kit.hub.endpoints.uses(person, kind, uid),
            problem=problem, keys=keys, trouble=self.kit.hub.troubles().get(found.id, "") if kind == "source" else "",
            title=dict(self.kit.hub.shelf.methods(kind)).get(found.transport, found.transport), inbox=found.transport == "inbox", token="",
        )  # fmt: skip

    async def _change(self, request: Request, person: Person, form: FormData) -> tuple[str, str]:
        kind = _kind(request)
        uid = id_of(request, PREFIX[kind])
        found = await self.kit.hub.endpoints.one(person, kind, uid)
        values = _values(self.kit.hub.shelf.form(found.transport), form)
        await self.kit.hub.endpoints.change(person, kind, uid, name=text_of(form, "name", 300), settings=values, enabled=form.get("enabled") == "on")
        return f"/developer/{kind}s/{public(PREFIX[kind], uid)}", "Saved."

    async def _act(self, request: Request, person: Person, form: FormData) -> tuple[str, str]:
        kind, verb = _kind(request), request.path_params["verb"]
        uid = id_of(request, PREFIX[kind])
        where = f"/developer/{kind}s/{public(PREFIX[kind], uid)}"
        if verb == "delete":
            await self.kit.hub.endpoints.delete(person, kind, uid)
            return f"/developer/{kind}s", "Deleted."
        if verb == "test" or (verb == "verify" and kind == "destination"):
            found = await (self.kit.hub.endpoints.test(person, kind, uid) if verb == "test" else self.kit.hub.endpoints.verify(person, uid))
            if found.verdict is not Verdict.DELIVERED:
                raise Conflict(f"It does not work yet: {found.reason}.")
            return where, f"It works: {found.reason}."
        raise Conflict(f"A {kind} cannot be told to {verb}.")

    async def _inbox(self, request: Request, person: Person) -> Response:
        uid = id_of(request, "dst")
        endpoint = await self.kit.hub.endpoints.one(person, "destination", uid)
        return self.kit.render(request, person, "developer/inbox.html", "Developer", endpoint=endpoint, items=await self.kit.hub.endpoints.inbox(person, uid))

    async def _keys(self, request: Request, person: Person, token: str = "") -> Response:
        sources = [one for one in await self.kit.hub.endpoints.find(person, "source") if one.transport == "http"]
        return self.kit.render(
            request, person, "developer/keys.html", "Developer", tab="keys", keys=await self.kit.hub.endpoints.keys(person), sources=sources, token=token
        )

    async def _create_key(self, request: Request, person: Person) -> Response:
        """Show the new key in this answer only: it is not kept anywhere it could be read again."""
        form = await request.form(max_fields=10, max_files=0)
        try:
            _, token = await self.kit.hub.endpoints.create_key(person, uid_of(text_of(form, "source"), "src"), text_of(form, "name", 300))
        except Conflict as error:
            return self.kit.go("/developer/keys", str(error), problem=True, request=request)
        return await self._keys(request, person, token)

    async def _revoke(self, request: Request, person: Person, form: FormData) -> tuple[str, str]:
        await self.kit.hub.endpoints.revoke_key(person, id_of(request, "key"))
        return "/developer/keys", "Revoked: it is refused from now on."

    def routes(self) -> list[Route]:
        """Return the routes of these pages."""
        return [
            Route("/developer", lambda request: self.kit.go("/developer/sources", request=request)),
            Route("/developer/keys", self.kit.page(self._keys), methods=["GET"]),
            Route("/developer/keys", self.kit.page(self._create_key), methods=["POST"]),
            Route("/developer/keys/{id}/revoke", self.kit.action(self._revoke), methods=["POST"]),
            Route("/developer/{kind}", self.kit.page(self._tiles)),
            Route("/developer/{kind}/new", self.kit.page(self._choose), methods=["GET"]),
            Route("/developer/{kind}/new", self.kit.action(self._begin), methods=["POST"]),
            Route("/developer/{kind}/drafts/{id}", self.kit.page(self._draft), methods=["GET"]),
            Route("/developer/{kind}/drafts/{id}", self.kit.page(self._save), methods=["POST"]),
            Route("/developer/{kind}/drafts/{id}/drop", self.kit.action(self._drop), methods=["POST"]),
            Route("/developer/{kind}/{id}", self.kit.page(self._one), methods=["GET"]),
            Route("/developer/{kind}/{id}", self.kit.action(self._change, self._one), methods=["POST"]),
            Route("/developer/destinations/{id}/inbox", self.kit.page(self._inbox)),
            Route("/developer/{kind}/{id}/{verb}", self.kit.action(self._act), methods=["POST"]),
        ]


def _kind(request: Request) -> EndpointKind:
    found = _KINDS.get(str(request.path_params.get("kind", "")))
    if found is None:
        raise HTTPException(404)
    return found


def _troubles(kit: PageKit) -> list[tuple[Any, str]]:
    troubles = kit.hub.troubles()
    return [(source, troubles[int(key)]) for key, source in kit.hub.snapshot().sources.items() if int(key) in troubles]


def _values(fields: Any, form: Mapping[str, Any]) -> dict[str, Any]:
    """Read a plug-in's settings from its form: switches are on or absent, empty fields are left to their defaults."""
    found: dict[str, Any] = {}
    for field in fields:
        text = str(form.get(f"set-{field.name}", "")).strip()
        if field.kind == "switch":
            found[field.name] = text == "on"
        elif text:
            found[field.name] = text.split(",") if field.kind == "list" else text
        elif field.secret:
            found[field.name] = ""
    return found


def _kept(values: dict[str, Any], kept: Mapping[str, object], fields: Any) -> dict[str, Any]:
    """Keep the secrets of a draft that were left empty; forget empty ones that were never set."""
    secret = {field.name for field in fields if field.secret}
    filled = {name: (kept.get(name, "") if name in secret and not value else value) for name, value in values.items()}
    return {name: value for name, value in filled.items() if not (name in secret and not value)}

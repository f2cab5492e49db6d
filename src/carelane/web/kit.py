"""What every page needs: rendering with what was told last, forms that answer errors in words, public ids in paths."""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit
from uuid import UUID

import orjson
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.templating import Jinja2Templates

from carelane.domain.errors import CarelaneError, NotFound
from carelane.domain.permissions import ENVIRONMENTS, Right, may, nothing_here
from carelane.domain.views import Person
from carelane.exchange.hub import Hub
from carelane.kit.ids import parse_uuid
from carelane.web.live import Live
from carelane.web.security import Guardian

_TOLD, _ENVIRONMENT = "carelane-told", "carelane-environment"
_MOST_FIELDS = 400
_PATH = re.compile(r"/[A-Za-z0-9_./?=&%+-]*")

Show = Callable[[Request, Person], Awaitable[Response]]
Work = Callable[[Request, Person, FormData], Awaitable[tuple[str, str]]]
"""(request, person, form): acts and returns where to go next, and what to tell there."""
Again = Callable[[Request, Person, FormData, str], Awaitable[Response]]
"""Shows a form again with what was typed and what is wrong with it."""


@dataclass(frozen=True)
class PageKit:
    """Hub, guardian and templates, with the habits all pages share."""

    hub: Hub
    guardian: Guardian
    templates: Jinja2Templates
    live: Live

    def page(self, show: Show) -> Callable[[Request], Awaitable[Response]]:
        """A page for people who are signed in."""
        return self.guardian.signed_in(show)

    def render(self, request: Request, person: Person | None, template: str, active: str, status: int = 200, **context: Any) -> Response:
        """Render a template; what was told on the way here is shown once."""
        told = _read(request.cookies.get(_TOLD, ""))
        can = {right.name: may(person, right) for right in Right} if person else {}
        everything = {
            "person": person, "active": active, "told": told, "can": can, "path": request.url.path, "environment_on": environment_of(request, person), **context
        }  # fmt: skip
        response = self.templates.TemplateResponse(request, template, everything, status)
        if told:
            response.delete_cookie(_TOLD, path="/")
        return response

    def action(self, work: Work, again: Again | None = None) -> Callable[[Request], Awaitable[Response]]:
        """A form's target. An error goes back to the form (``again``), or to the page it came from, in words."""

        async def act(request: Request, person: Person) -> Response:
            form = await request.form(max_fields=_MOST_FIELDS, max_files=0)
            try:
                where, text = await work(request, person, form)
            except NotFound:
                raise
            except CarelaneError as error:
                if again is not None:
                    return await again(request, person, form, str(error))
                return self.go(back_of(request), str(error), problem=True, request=request)
            self.live.forget()
            return self.go(where, text, request=request)

        return self.guardian.signed_in(act)

    async def switch_environment(self, request: Request, _person: Person) -> Response:
        """Remember the environment of the switch at the top, and lead back without the address's own."""
        form = await request.form(max_fields=5, max_files=0)
        back = urlsplit(back_of(request))
        kept = [(name, value) for name, value in parse_qsl(back.query) if name not in ("environment", "page", "before")]
        response = RedirectResponse(back.path + (f"?{urlencode(kept)}" if kept else ""), 303)
        chosen = text_of(form, "environment", 20)
        response.set_cookie(_ENVIRONMENT, chosen if chosen in ENVIRONMENTS else "", max_age=180 * 86400, httponly=True, samesite="lax",
                            secure=self.guardian.secure, path="/")  # fmt: skip
        return response

    def go(self, where: str, text: str = "", *, problem: bool = False, request: Request) -> Response:
        """Lead to another page and tell something there."""
        response: Response = Response(status_code=204, headers={"hx-redirect": where}) if request.headers.get("hx-request") else RedirectResponse(where, 303)
        if text:
            value = quote(orjson.dumps({"text": text[:600], "problem": problem}).decode())
            response.set_cookie(_TOLD, value, max_age=60, httponly=True, samesite="lax", secure=self.guardian.secure, path="/")
        return response


def environment_of(request: Request, person: Person | None) -> str:
    """Return the environment a page is narrowed to: the address's, else what the switch at the top was set to; empty for all."""
    if "environment" in request.query_params:
        return text_of(request.query_params, "environment", 20)
    found = request.cookies.get(_ENVIRONMENT, "")
    return found if person is not None and found in person.environments else ""


def back_of(request: Request, otherwise: str = "/connections") -> str:
    """Return the page a form was on, when it is one of ours."""
    parts = urlsplit(request.headers.get("hx-current-url") or request.headers.get("referer", ""))
    where = parts.path + (f"?{parts.query}" if parts.query else "")
    return where if parts.netloc == request.headers.get("host") and _PATH.fullmatch(where) else otherwise


def id_of(request: Request, prefix: str, name: str = "id") -> UUID:
    """Read a public id from the path; raises ``NotFound``."""
    return uid_of(str(request.path_params[name]), prefix)


def uid_of(text: str, prefix: str) -> UUID:
    """Read a public id; raises ``NotFound``."""
    if not text.startswith(f"{prefix}_"):
        raise nothing_here()
    try:
        return parse_uuid(prefix, text)
    except ValueError:
        raise nothing_here() from None


def text_of(form: FormData | Mapping[str, str], name: str, most: int = 500) -> str:
    """Read a text field."""
    return str(form.get(name) or "").strip()[:most]


def number_of(values: Mapping[str, str], name: str, default: int = 1) -> int:
    """Read a small positive number, such as a page's."""
    text = str(values.get(name, ""))
    return min(max(int(text), 1), 100_000) if text.isascii() and text.isdigit() else default


def _read(cookie: str) -> dict[str, Any] | None:
    try:
        found = orjson.loads(unquote(cookie)) if cookie else None
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) and isinstance(found.get("text"), str) else None

"""The web application: sign-in, pages, live figures, health, and the API routes that sources post to."""

from functools import partial
from pathlib import Path

import jinja2
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.templating import Jinja2Templates

from carelane import __version__
from carelane.domain.errors import CarelaneError, Conflict, NotFound, Rejected
from carelane.exchange.hub import Hub
from carelane.kit.ids import public
from carelane.web.api.app import make_api
from carelane.web.forms import BoundedForms
from carelane.web.kit import PageKit
from carelane.web.live import Live
from carelane.web.pages import connections, developer, messages, personal, sign_in, sign_up, subscriptions, team, tools
from carelane.web.security import Guardian, SecurityHeaders
from carelane.web.storable import Storable

_HERE = Path(__file__).parent
_PAST = {"withdraw": "withdrawn", "skip": "skipped", "end": "ended", "verify": "verified"}
_PREFIXES = {"public_message": "msg", "orgid": "org", "keyid": "key"} | {prefix: prefix for prefix in ("con", "sub", "src", "dst", "usr", "inv", "dft", "pky")}

# The rooms of the dashboard; those without a path are still to come.
NAVIGATION = (
    ("Connections", "/connections"),
    ("Developer", "/developer/sources"),
    ("Messages", "/messages"),
    ("Monitoring", ""),
    ("Operations", ""),
    ("Cloud", ""),
    ("Team & access", "/team"),
    ("Audit", "/audit"),
    ("Organization", "/organization"),
)


def make_app(hub: Hub, api: list[Route], *, secure_cookies: bool, open_to_all: bool = True) -> Starlette:
    """Build the application for a hub; ``api`` are the routes of the HTTP API transport."""
    guardian = Guardian(hub, secure_cookies)
    templates = _templates()
    kit = PageKit(hub, guardian, templates, Live(hub.subscriptions.live))
    routes: list[BaseRoute] = [
        *api,
        Route("/", lambda _request: RedirectResponse("/connections", 303)),
        Route("/health", partial(_health, hub)),
        Route("/environment", kit.page(kit.switch_environment), methods=["POST"]),
        *sign_in.routes(kit),
        *sign_up.routes(kit, open_to_all=open_to_all),
        *connections.routes(kit),
        *subscriptions.routes(kit),
        *tools.routes(kit),
        *personal.routes(kit),
        *developer.routes(kit),
        *messages.routes(kit),
        *team.routes(kit),
        Mount("/platform/v1", make_api(hub)),
        Mount("/static", StaticFiles(directory=_HERE / "static")),
    ]
    return Starlette(
        routes=routes,
        middleware=[Middleware(SecurityHeaders), Middleware(BoundedForms, bounded={route.path for route in api}), Middleware(Storable)],
        exception_handlers={
            404: _page(kit, 404, "There is nothing here", "The address is wrong, it belongs to another organization, or your role does not reach it."),
            500: _page(kit, 500, "Something went wrong", "The error was logged. Your messages are safe; try again."),
            NotFound: _page(kit, 404, "There is nothing here", "The address is wrong, it belongs to another organization, or your role does not reach it."),
            CarelaneError: _told,
        },
    )


def _templates() -> Jinja2Templates:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE / "templates"), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals |= {"navigation": NAVIGATION, "version": __version__}
    environment.filters |= {name: partial(public, prefix) for name, prefix in _PREFIXES.items()}
    environment.filters |= {"moment": lambda value: value.strftime("%Y-%m-%d %H:%M:%S") if value else "", "said": _said}
    return Jinja2Templates(env=environment)


async def _health(hub: Hub, _request: Request) -> Response:
    """For load balancers: 200 while messages are taken, 503 and why while they are not. Asks nobody: it says what the last calls met."""
    trouble = hub.trouble()
    headers = {"cache-control": "no-store"}
    if trouble:
        return JSONResponse({"status": "refusing", "reason": trouble}, 503, headers)
    return JSONResponse({"status": "ok"}, headers=headers)


def _page(kit: PageKit, status: int, title: str, text: str):  # type: ignore[no-untyped-def]  # noqa: ANN202
    async def show(request: Request, _error: Exception) -> Response:
        if request.url.path.startswith("/platform/"):
            return JSONResponse({"type": "about:blank", "title": title, "status": status, "detail": text}, status, media_type="application/problem+json")
        person = getattr(request.state, "person", None)
        return kit.render(request, person, "problem.html", "", status, title=title, text=text)

    return show


def _said(action: str) -> str:
    """Write an action of the audit trail as people say it: ``connection.accept`` → *connection accepted*."""
    noun, _, verb = action.partition(".")
    past = _PAST.get(verb) or (verb + "d" if verb.endswith("e") else verb + "ed")
    return f"{noun} {past}"


async def _told(_request: Request, error: Exception) -> Response:
    """An error of ours as problem+json (RFC 9457), for htmx and scripts alike."""
    status = error.status if isinstance(error, Rejected) else 409 if isinstance(error, Conflict) else 503
    body = {"type": "about:blank", "title": type(error).__name__, "status": status, "detail": str(error)}
    return JSONResponse(body, status, media_type="application/problem+json")

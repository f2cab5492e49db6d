"""The web application: sign-in, pages, live figures, health, and the API routes that sources post to."""

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
from carelane.domain.errors import CarelaneError, Conflict, Rejected
from carelane.exchange.hub import Hub
from carelane.kit.ids import public
from carelane.web.pages import connections, messages, sign_in
from carelane.web.security import Guardian, SecurityHeaders

_HERE = Path(__file__).parent

# The rooms of the dashboard; those without a path are still to come.
NAVIGATION = (
    ("Connections", "/connections"),
    ("Messages", "/messages"),
    ("Developer", ""),
    ("Monitoring", ""),
    ("Operations", ""),
    ("Cloud", ""),
    ("Team & access", ""),
    ("Audit", ""),
    ("Organization", ""),
)


def make_app(hub: Hub, api: list[Route], *, secure_cookies: bool) -> Starlette:
    """Build the application for a hub; ``api`` are the routes of the HTTP API transport."""
    guardian = Guardian(hub, secure_cookies)
    templates = _templates()
    routes: list[BaseRoute] = [
        *api,
        Route("/", lambda _request: RedirectResponse("/connections", 303)),
        Route("/health", lambda _request: _health(hub)),
        *sign_in.routes(guardian, templates),
        *connections.routes(hub, guardian, templates),
        *messages.routes(hub, guardian, templates),
        Mount("/static", StaticFiles(directory=_HERE / "static")),
    ]
    return Starlette(
        routes=routes,
        middleware=[Middleware(SecurityHeaders)],
        exception_handlers={
            404: _page(templates, 404, "There is nothing here", "The address is wrong, or it belongs to another organization."),
            500: _page(templates, 500, "Something went wrong", "The error was logged. Your messages are safe; try again."),
            CarelaneError: _told,
        },
    )


def _templates() -> Jinja2Templates:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE / "templates"), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals |= {"navigation": NAVIGATION, "version": __version__}
    environment.filters |= {"public_message": lambda value: public("msg", value), "moment": lambda value: value.strftime("%Y-%m-%d %H:%M:%S") if value else ""}
    return Jinja2Templates(env=environment)


def _health(hub: Hub) -> Response:
    """For load balancers: 200 while messages are taken."""
    healthy = hub.healthy()
    return JSONResponse({"status": "ok" if healthy else "refusing"}, 200 if healthy else 503)


def _page(templates: Jinja2Templates, status: int, title: str, text: str):  # type: ignore[no-untyped-def]  # noqa: ANN202
    async def show(request: Request, _error: Exception) -> Response:
        return templates.TemplateResponse(request, "problem.html", {"title": title, "text": text, "person": None, "active": ""}, status)

    return show


async def _told(_request: Request, error: Exception) -> Response:
    """An error of ours as problem+json (RFC 9457), for htmx and scripts alike."""
    status = error.status if isinstance(error, Rejected) else 409 if isinstance(error, Conflict) else 503
    body = {"type": "about:blank", "title": type(error).__name__, "status": status, "detail": str(error)}
    return JSONResponse(body, status, media_type="application/problem+json")

"""Who may do what on the web: sign-in cookie, same-origin check, throttle, security headers."""

import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection, Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from carelane.domain.views import Person
from carelane.exchange.hub import Hub

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = [
    (b"content-security-policy", CSP.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"interest-cohort=()"),
]
_TRIES, _PER_S = 10, 300.0

Page = Callable[[Request, Person], Awaitable[Response]]


@dataclass
class Guardian:
    """Signs people in and out and knows them again."""

    hub: Hub
    secure: bool
    _tries: dict[str, deque[float]] = field(default_factory=dict)

    @property
    def cookie(self) -> str:
        """The cookie's name: ``__Host-`` wherever the browser is reached over TLS."""
        return "__Host-carelane" if self.secure else "carelane"

    async def person(self, connection: HTTPConnection) -> Person | None:
        """Return who sends this request."""
        token = connection.cookies.get(self.cookie)
        return await self.hub.desk.who(token) if token else None

    def signed_in(self, page: Page) -> Callable[[Request], Awaitable[Response]]:
        """Wrap a page so that only people who are signed in reach it."""

        async def guarded(request: Request) -> Response:
            person = await self.person(request)
            if person is None:
                if request.headers.get("hx-request"):
                    return Response(status_code=401, headers={"hx-redirect": "/sign-in"})
                return RedirectResponse("/sign-in", 303)
            if request.method not in ("GET", "HEAD") and not same_origin(request):
                return Response("This request came from another site.", 403)
            request.state.person = person
            response = await page(request, person)
            response.headers.setdefault("cache-control", "no-store")
            return response

        return guarded

    def throttled(self, *keys: str) -> bool:
        """Count a sign-in attempt; say whether there were too many for this account or address."""
        now, over = time.monotonic(), False
        for key in keys:
            tries = self._tries.setdefault(key, deque(maxlen=_TRIES + 1))
            while tries and now - tries[0] > _PER_S:
                tries.popleft()
            tries.append(now)
            over = over or len(tries) > _TRIES
        if len(self._tries) > 10_000:
            self._tries.clear()
        return over

    def remember(self, response: Response, token: str) -> None:
        """Set the cookie."""
        response.set_cookie(self.cookie, token, max_age=12 * 3600, secure=self.secure, httponly=True, samesite="lax", path="/")

    def forget(self, response: Response) -> None:
        """Clear the cookie and what the browser kept."""
        response.delete_cookie(self.cookie, secure=self.secure, httponly=True, samesite="lax", path="/")
        response.headers["clear-site-data"] = '"cache", "storage"'


def same_origin(request: Request) -> bool:
    """Cross-site request forgery: unsafe methods must come from our own pages (Fetch metadata, else Origin)."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = request.headers.get("origin")
    return origin is not None and urlsplit(origin).netloc == request.headers.get("host")


class SecurityHeaders:
    """Puts the security headers on every response."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, adding headers to its response."""
        if scope["type"] != "http" or scope["path"] in ("/endpoint", "/hl7v2", "/fhir"):
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *_HEADERS]
            await send(message)

        await self._app(scope, receive, guarded)

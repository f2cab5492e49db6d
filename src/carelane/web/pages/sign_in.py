"""Signing in and out, and choosing for which organization one acts."""

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from carelane.domain.views import Person
from carelane.web.kit import PageKit
from carelane.web.security import same_origin

_WRONG = "That e-mail address and password do not belong together."
_TOO_MANY = "Too many attempts. Wait five minutes, then try again."


def routes(kit: PageKit) -> list[Route]:
    """Return the routes of this page."""
    guardian = kit.guardian

    async def form(request: Request) -> Response:
        return kit.render(request, None, "sign_in.html", "", problem="", email="")

    async def enter(request: Request) -> Response:
        if not same_origin(request):
            return Response("This request came from another site.", 403)
        data = await request.form(max_fields=5, max_files=0)
        email, password = str(data.get("email", "")), str(data.get("password", ""))[:1024]
        address = request.client.host if request.client else ""
        token = None
        problem = _TOO_MANY if guardian.throttled(f"account:{email.lower()}", f"address:{address}") else ""
        if not problem:
            token = await guardian.hub.desk.sign_in(email, password)
        if token is None:
            return kit.render(request, None, "sign_in.html", "", 429 if problem else 401, problem=problem or _WRONG, email=email)
        response = RedirectResponse("/connections", 303)
        guardian.remember(response, token)
        return response

    async def leave(request: Request, _person: Person) -> Response:
        await guardian.hub.desk.sign_out(request.cookies.get(guardian.cookie, ""))
        response = RedirectResponse("/sign-in", 303)
        guardian.forget(response)
        return response

    async def switch(request: Request, _person: Person) -> Response:
        data = await request.form(max_fields=5, max_files=0)
        text = str(data.get("org", ""))
        if text.isascii() and text.isdigit():
            await guardian.hub.desk.switch(request.cookies.get(guardian.cookie, ""), int(text))
        return RedirectResponse("/connections", 303)

    return [
        Route("/sign-in", form, methods=["GET"]),
        Route("/sign-in", enter, methods=["POST"]),
        Route("/sign-out", guardian.signed_in(leave), methods=["POST"]),
        Route("/switch", guardian.signed_in(switch), methods=["POST"]),
    ]

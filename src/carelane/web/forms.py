"""How much a page's form may bring: Starlette reads a form to its end, however long it is."""

from collections.abc import Container

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from carelane.domain.errors import TooLarge

MOST_FORM = 4 * 1024 * 1024
"""Room for a test message of a megabyte in which every byte is escaped, and for a logo."""


class BoundedForms:
    """Ends the reading of a form that is too long; routes that bound their bodies themselves are left alone."""

    def __init__(self, app: ASGIApp, bounded: Container[str] = ()) -> None:
        self._app = app
        self._bounded = bounded

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http" or scope["path"] in self._bounded or scope["path"].startswith("/platform/"):
            await self._app(scope, receive, send)
            return
        size = 0

        async def counted() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > MOST_FORM:
                raise TooLarge(f"The form is larger than {MOST_FORM} bytes.", pointer="Send less at once.")
            return message

        await self._app(scope, counted, send)

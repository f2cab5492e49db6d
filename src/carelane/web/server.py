"""The web server, with the deadline for receiving a request that uvicorn does not have."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_KEEP_ALIVE_S = 65
_GRACE_S = 10


class _Deadlined(HttpToolsProtocol):
    """Closes connections that take too long to send a request: slow-loris clients go away."""

    seconds = 30.0
    _receiving: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_request()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._await_request()

    def on_message_complete(self) -> None:
        self._received()
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._received()
        super().connection_lost(exc)

    def _await_request(self) -> None:
        if self._receiving is None:
            self._receiving = asyncio.get_running_loop().call_later(self.seconds, self._too_slow)

    def _received(self) -> None:
        if self._receiving is not None:
            self._receiving.cancel()
            self._receiving = None

    def _too_slow(self) -> None:
        self._receiving = None
        if not self.transport.is_closing():
            self.transport.abort()


def make_server(app: Starlette, host: str, port: int, request_timeout_s: float) -> uvicorn.Server:
    """Return a server ready to run; it installs no signal handlers of its own when driven by ``running``."""
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=type("Deadlined", (_Deadlined,), {"seconds": request_timeout_s}),
        ws="none",
        loop="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_GRACE_S,
        proxy_headers=False,
    )
    return uvicorn.Server(config)


async def serve_app(app: Starlette, host: str, port: int, request_timeout_s: float) -> None:
    """Serve until a signal comes."""
    await make_server(app, host, port, request_timeout_s).serve()


@contextlib.asynccontextmanager
async def running(app: Starlette, host: str, port: int, request_timeout_s: float = 30.0) -> AsyncIterator[int]:
    """Serve beside other work in this process; yields the port."""
    server = make_server(app, host, port, request_timeout_s)
    server.capture_signals = contextlib.nullcontext  # type: ignore[assignment,method-assign]  # the caller handles signals
    task: asyncio.Task[Any] = asyncio.get_running_loop().create_task(server.serve())
    try:
        while not server.started:
            if task.done():
                task.result()
                raise OSError(f"the web server could not open {host}:{port}")
            await asyncio.sleep(0.01)
        yield int(server.servers[0].sockets[0].getsockname()[1])
    finally:
        server.should_exit = True
        await task

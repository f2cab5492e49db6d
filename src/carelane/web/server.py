"""The web server, with the deadline and the bounds for receiving a request that uvicorn does not have."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_KEEP_ALIVE_S = 65
_GRACE_S = 10
MOST_HEAD_BYTES, MOST_FIELDS = 32 * 1024, 100
MOST_PIPELINED = 16
MOST_CONNECTIONS = 2048
_REASON = (
    b'{"type": "urn:carelane:problem:head-too-large", "title": "The request line and its header fields are too large.", "status": 431, '
    b'"detail": "Send at most 100 header fields and 32 KiB in all."}'
)
_HEAD_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: application/problem+json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%s"
    % (len(_REASON), _REASON)
)


class HeadTooLarge(Exception):
    """A request line with its header fields, or the trailer fields of its body, are over the limits."""


class _Deadlined(HttpToolsProtocol):
    """Bounds what one client can have us keep: time for a request, size of its head, requests behind one another, connections."""

    seconds = 30.0
    _receiving: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _open_bytes = 0
    _fields = 0
    _in_head = False
    _too_large = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            transport.abort()
        else:
            self._await_request()

    def data_received(self, data: bytes) -> None:
        """Count what belongs to no finished header field yet: the parser keeps it, and says nothing before its end."""
        counted = self._head_bytes, self._fields
        self._open_bytes += len(data) if self._in_head else 0
        super().data_received(data)
        if (self._head_bytes, self._fields) != counted or not self._in_head:
            self._open_bytes = 0
        elif self._head_bytes + self._open_bytes > MOST_HEAD_BYTES and not self.transport.is_closing():
            self._too_large = True
            self.send_400_response("")

    def on_message_begin(self) -> None:
        if len(self.pipeline) >= MOST_PIPELINED:
            raise HeadTooLarge
        super().on_message_begin()
        self._head_bytes, self._fields, self._in_head = 0, 0, True
        self._await_request()

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields += 1
        self._count(len(name) + len(value) + 4)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._received()
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._received()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Refuse and close; while an earlier request is being answered, only close: the answer must not be mixed up with another."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.transport.abort()
        elif self._too_large:
            self.transport.write(_HEAD_TOO_LARGE)
            self.transport.close()
        else:
            super().send_400_response(msg)

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > MOST_HEAD_BYTES or self._fields > MOST_FIELDS:
            self._too_large = True
            raise HeadTooLarge

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

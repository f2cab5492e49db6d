"""The web server, with the deadline and the bounds for receiving a request that uvicorn does not have."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from carelane.domain.errors import Misconfigured

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


class WebServer:
    """One application on one address. Opened and closed by its owner; signals are none of its business."""

    def __init__(self, app: Starlette, sockets: list[socket.socket], request_timeout_s: float) -> None:
        self._app = app
        self._sockets = sockets
        self._server = _Server(_configure(app, request_timeout_s))
        self._task: asyncio.Task[Any] = asyncio.get_running_loop().create_task(self._server.serve(sockets))

    @property
    def port(self) -> int:
        """The port that was opened (useful when 0 was asked for)."""
        return int(self._sockets[0].getsockname()[1])

    async def close(self, cut: asyncio.Event) -> None:
        """Take nothing more, answer what was taken; ``cut`` ends requests that still run, live figures end at once."""
        self._app.state.closing = True
        self._server.should_exit = True
        cutting = asyncio.get_running_loop().create_task(cut.wait())
        await asyncio.wait({self._task, cutting}, return_when=asyncio.FIRST_COMPLETED)
        cutting.cancel()
        if not self._task.done():
            self._server.force_exit = True
            for connection in list(self._server.server_state.connections):
                if connection.transport is not None:
                    connection.transport.abort()
            for request in list(self._server.server_state.tasks):
                request.cancel()
        await self._task

    async def started(self) -> None:
        """Wait until connections are taken."""
        while not self._server.started and not self._task.done():
            await asyncio.sleep(0.005)


class _Server(uvicorn.Server):
    capture_signals = staticmethod(contextlib.nullcontext)  # type: ignore[assignment]  # the process has one place that hears them


def _configure(app: Starlette, request_timeout_s: float) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=type("Deadlined", (_Deadlined,), {"seconds": request_timeout_s}),
        ws="none",
        loop="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=None,
        proxy_headers=False,
    )


async def open_web(app: Starlette, host: str, port: int, request_timeout_s: float = 30.0, *, shared: bool = False) -> WebServer:
    """Open the port and serve beside other work in this process; ``shared`` with other processes of this machine.

    Raises:
        Misconfigured: the address cannot be opened.
    """
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        sockets = [socket.create_server(address[:2], family=family, backlog=2048, reuse_port=shared) for family, _, _, _, address in found]
    except OSError as error:
        raise _busy(host, port, error) from None
    server = WebServer(app, sockets, request_timeout_s)
    await server.started()
    return server


@contextlib.contextmanager
def reserved(host: str, port: int) -> Iterator[int]:
    """Keep an address for processes that share it, without taking connections; yields its port (useful when 0 was asked for).

    Raises:
        Misconfigured: another program has it.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as kept:
        try:
            with socket.create_server((host, port), family=family):
                pass  # alone first: a stranger who shares his ports would share this one with us
            kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            kept.bind((host, port))
        except OSError as error:
            raise _busy(host, port, error) from None
        yield int(kept.getsockname()[1])


def _busy(host: str, port: int, error: OSError) -> Misconfigured:
    reason = error.strerror or error
    return Misconfigured(f"the web server cannot open {host}:{port}: {reason}; stop the other program, or choose another CARELANE_PORT")


@contextlib.asynccontextmanager
async def running(app: Starlette, host: str, port: int, request_timeout_s: float = 30.0) -> AsyncIterator[int]:
    """Serve beside other work in this process; yields the port."""
    server = await open_web(app, host, port, request_timeout_s)
    cut = asyncio.Event()
    try:
        yield server.port
    finally:
        asyncio.get_running_loop().call_later(_GRACE_S, cut.set)
        await server.close(cut)

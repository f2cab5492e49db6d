"""Partners on loopback for tests: a webhook receiver and an MLLP receiver that do what they are told."""

import asyncio
from collections import deque
from dataclasses import dataclass, field

from aiohttp import web


@dataclass
class FakeWebhook:
    """A real HTTP server. ``script`` holds the next statuses (or ``"hang"``, ``"close"``); empty means 200."""

    script: deque[int | str] = field(default_factory=deque)
    headers: dict[str, str] = field(default_factory=dict)
    received: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    arrived: asyncio.Condition = field(default_factory=asyncio.Condition)
    default: int | str = 200
    url: str = ""
    _runner: web.AppRunner | None = None

    async def __aenter__(self) -> "FakeWebhook":
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_route("*", "/{tail:.*}", self._take)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}/hook"  # type: ignore[union-attr]
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def wait_for(self, count: int, timeout_s: float = 150.0) -> list[bytes]:
        """Wait until that many bodies were accepted with a 2xx; return them in order."""
        async with asyncio.timeout(timeout_s), self.arrived:
            await self.arrived.wait_for(lambda: len(self.received) >= count)
        return [body for _, body in self.received]

    async def _take(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        status = self.script.popleft() if self.script else self.default
        if status == "hang":
            await asyncio.sleep(3600)
        if status == "close":
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        code = int(status)
        if 200 <= code < 300 and request.method == "POST":
            async with self.arrived:
                self.received.append(({name.lower(): value for name, value in request.headers.items()}, body))
                self.arrived.notify_all()
        return web.Response(status=code, headers=self.headers)


@dataclass
class FakeReceiver:
    """An MLLP receiver. ``script`` holds the next answers: an MSA-1 code, ``"hang"``, ``"close"``, ``"other"`` (wrong MSA-2),
    or bytes; after them, ``default``.
    """

    script: deque[str | bytes] = field(default_factory=deque)
    default: str | bytes = "AA"
    received: list[bytes] = field(default_factory=list)
    connections: int = 0
    port: int = 0
    _server: asyncio.Server | None = None

    async def __aenter__(self) -> "FakeReceiver":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                frame = (await reader.readuntil(b"\x1c\r"))[1:-2]
                self.received.append(frame)
                answer = self.script.popleft() if self.script else self.default
                if answer == "hang":
                    await asyncio.sleep(3600)
                if answer == "close":
                    return
                writer.write(b"\x0b" + (answer if isinstance(answer, bytes) else self._ack(frame, answer)) + b"\x1c\r")
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    @staticmethod
    def _ack(frame: bytes, code: str) -> bytes:
        control = frame.split(b"\r", 1)[0].split(b"|")[9].decode("latin-1")
        shown, code = ("someone-else", "AA") if code == "other" else (control, code)
        return f"MSH|^~\\&|R|R|S|S|20260101||ACK|1|P|2.5\rMSA|{code}|{shown}\r".encode()


async def mllp_ask(port: int, message: bytes, timeout_s: float = 150.0) -> bytes:
    """Send one message over a fresh connection; return the answer without its frame, empty when the connection was closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=64 * 1024 * 1024)
    try:
        async with asyncio.timeout(timeout_s):
            writer.write(b"\x0b" + message + b"\x1c\r")
            await writer.drain()
            return (await reader.readuntil(b"\x1c\r"))[1:-2]
    except (asyncio.IncompleteReadError, ConnectionError):
        return b""
    finally:
        writer.close()

"""The web server coming down: what was taken is answered, nothing holds it beyond the cut, and signals are none of its business."""

import asyncio
import signal
import socket
from contextlib import asynccontextmanager

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

from carelane.domain.errors import Misconfigured
from carelane.web.server import open_web


class Desk:
    """An application whose one answer waits for permission, and one whose stream goes on until the hub stops."""

    def __init__(self) -> None:
        self.entered, self.may_answer = asyncio.Event(), asyncio.Event()
        self.app = Starlette(routes=[Route("/slow", self._slow), Route("/live", self._live)])

    async def _slow(self, _request):
        self.entered.set()
        await self.may_answer.wait()
        return PlainTextResponse("done")

    async def _live(self, request):
        async def beats():
            while not getattr(request.app.state, "closing", False):
                yield b"beat\n"
                self.entered.set()
                await asyncio.sleep(0.01)

        return StreamingResponse(beats())


@asynccontextmanager
async def asked(path: str):
    """Yield the desk, its server, and a client that has asked and is being answered."""
    desk = Desk()
    server = await open_web(desk.app, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(f"GET {path} HTTP/1.1\r\nhost: here\r\n\r\n".encode())
    await desk.entered.wait()
    try:
        yield desk, server, reader
    finally:
        writer.close()


async def test_a_request_that_was_taken_is_answered_although_the_server_closes():
    async with asked("/slow") as (desk, server, reader):
        closing = asyncio.ensure_future(server.close(asyncio.Event()))
        await until_refused(server.port)
        desk.may_answer.set()
        await closing
        assert (await reader.read()).endswith(b"done")


async def test_the_cut_ends_a_request_that_still_runs():
    async with asked("/slow") as (_, server, reader), asyncio.timeout(30):
        cut = asyncio.Event()
        closing = asyncio.ensure_future(server.close(cut))
        await until_refused(server.port)
        cut.set()
        await closing
        assert b"" == await reader.read()


async def test_live_figures_end_with_the_server():
    async with asked("/live") as (_, server, reader), asyncio.timeout(30):
        await server.close(asyncio.Event())
        assert (await reader.read()).endswith(b"0\r\n\r\n")


async def test_a_connection_nobody_asks_on_holds_nothing():
    server = await open_web(Desk().app, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    async with asyncio.timeout(30):
        await server.close(asyncio.Event())
        assert b"" == await reader.read()
    writer.close()


async def test_a_port_in_use_is_told_with_the_next_move():
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(Misconfigured, match="choose another CARELANE_PORT"):
        await open_web(Desk().app, "127.0.0.1", taken.getsockname()[1])


async def test_the_server_leaves_signals_to_the_process():
    before = [signal.getsignal(name) for name in (signal.SIGINT, signal.SIGTERM)]
    server = await open_web(Desk().app, "127.0.0.1", 0)
    assert before == [signal.getsignal(name) for name in (signal.SIGINT, signal.SIGTERM)]
    await server.close(asyncio.Event())


async def until_refused(port: int) -> None:
    with pytest.raises((ConnectionRefusedError, ConnectionResetError)):  # a connection may still stand in the queue of the socket that closes
        while True:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            await asyncio.sleep(0.01)

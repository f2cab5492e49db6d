"""Receivers as partners have them: most answer well, some hang, reset, answer garbage or refuse from time to time. None is ever killed.

Each delivery is logged with whether it was taken and answered well: only then must it not come again.
"""

import asyncio
import contextlib
import logging
import random
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager

import orjson
from aiohttp import web

from bench.machine import To
from bench.traffic import Sink, delivery_of

WELL = "well"
_POSTED = ("hang", "reset", "cut", "garbage", "500")
_FRAMED = ("hang", "reset", "cut", "garbage", "wrong", "AE", "AR")
_END = b"\x1c\r"


class Receivers(Sink):
    """Webhooks and MLLP receivers that share one log. What a moody one does with a delivery depends on the seed, the delivery, and how often it came."""

    def __init__(self, seed: int, share: float, hang_s: float) -> None:
        super().__init__()
        self.seed, self.share, self.hang_s = seed, share, hang_s
        self.lanes: dict[str, str] = {}
        """The lane of each sender's tag: MLLP carries no number of the delivery, but the control id has the tag and a number."""
        self.sick: set[str] = set()
        """Lanes whose receiver refuses everything for now."""
        self.refused: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
        """Set when a sick lane was refused."""
        self.held: dict[str, int] = {}
        """The delivery of each lane that its receiver found an error in (AE), until it comes again or is skipped."""
        self.did: Counter[str] = Counter()
        self._came: Counter[tuple[str, int]] = Counter()

    @asynccontextmanager
    async def listening(self, posts: int, frames: Mapping[int, bool]) -> AsyncIterator[str]:
        """Listen for webhooks on one port, and for MLLP on others, each moody or not; yield the URL that webhooks begin with."""
        logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)  # it tells of every request that a killed hub left half sent, with a traceback
        app = web.Application()
        app.router.add_post("/{manner}", self._post)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", posts).start()
        async with AsyncExitStack() as open_ports:
            for port, moody in frames.items():
                await open_ports.enter_async_context(self._framed(port, moody))
            try:
                yield f"http://127.0.0.1:{posts}"
            finally:
                await runner.cleanup()

    @contextmanager
    def ill(self, lane: str) -> Iterator[asyncio.Event]:
        """Let a lane's receiver refuse everything; yield what is set once it did."""
        self.refused.pop(lane, None)
        self.sick.add(lane)
        try:
            yield self.refused[lane]
        finally:
            self.sick.discard(lane)

    @asynccontextmanager
    async def thinking(self, seconds: float) -> AsyncIterator[None]:
        """Take deliveries and answer none for a moment, and until the end of the block: what is killed or frozen meanwhile has sends under way."""
        self.answers.clear()
        try:
            await asyncio.sleep(seconds)
            yield
        finally:
            self.answers.set()

    def calm(self) -> None:
        """From now on everybody answers well, so that all can drain."""
        self.share = 0.0
        self.sick.clear()

    def _whim(self, lane: str, seq: int, whims: tuple[str, ...], *, moody: bool) -> str:
        self._came[lane, seq] += 1
        dice = random.Random(f"{self.seed} {lane} {seq} {self._came[lane, seq]}")
        whim = dice.choice(whims) if moody and dice.random() < self.share else WELL
        self.did[whim] += 1
        return whim

    async def _post(self, request: web.Request) -> web.StreamResponse:
        manner, (lane, seq) = request.match_info["manner"], delivery_of(request)
        if lane in self.sick:
            self.note(lane, seq, "", well=False)
            self.refused[lane].set()
            return web.Response(status=503)
        whim = self._whim(lane, seq, _POSTED, moody=manner == "moody")
        if manner == "slow":
            await asyncio.sleep(random.Random(f"{self.seed} {lane} {seq}").uniform(0.2, 1.0))
        if whim == WELL:
            return await self.take(request)
        self.note(lane, seq, "", well=False)
        return await self._spoil_post(request, whim)

    async def _spoil_post(self, request: web.Request, whim: str) -> web.StreamResponse:
        """Do something else than a receiver should."""
        wire = request.transport
        assert wire is not None
        if whim == "reset":
            wire.abort()
            return web.Response()
        await request.read()
        if whim == "hang":
            await asyncio.sleep(self.hang_s)
        elif whim == "garbage":
            wire.write(b"\x00\xff what is this?\r\n\r\n")
            wire.close()
        elif whim == "cut":
            answer = web.StreamResponse(headers={"content-length": "1000"})
            await answer.prepare(request)
            await answer.write(orjson.dumps({"half": "an answer"}))
            wire.abort()
            return answer
        return web.Response(status=500)

    @asynccontextmanager
    async def _framed(self, port: int, moody: bool) -> AsyncIterator[None]:
        open_lines: set[asyncio.StreamWriter] = set()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            open_lines.add(writer)
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                while not writer.is_closing():
                    await self._frame((await reader.readuntil(_END))[1:], writer, moody)
            open_lines.discard(writer)
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", port, limit=1 << 20)
        try:
            yield
        finally:
            server.close()
            for writer in list(open_lines):
                writer.close()

    async def _frame(self, message: bytes, writer: asyncio.StreamWriter, moody: bool) -> None:
        control = message.split(b"\r", 1)[0].split(b"|")[9].decode()
        lane, seq = self.lanes[control[:4]], int(control[4:])
        whim = "AR" if lane in self.sick else self._whim(lane, seq, _FRAMED, moody=moody)
        await self.answers.wait()
        self.note(lane, seq, control, well=whim == WELL)
        self.held.pop(lane, None)
        if lane in self.sick:
            self.refused[lane].set()
        if whim == "AE":
            self.held[lane] = seq
        if whim == "hang":
            await asyncio.sleep(self.hang_s)
        elif whim == "reset":
            writer.transport.abort()
        elif whim == "cut":
            writer.write(_answer("AA", control)[:40])
            await writer.drain()
            writer.transport.abort()
        else:
            writer.write(_answers(whim, control))


def _answers(whim: str, control: str) -> bytes:
    if whim == "garbage":
        return b"\x0bwhat is this?" + _END
    if whim == "wrong":
        return _answer("AA", f"not {control}"[:20])
    return _answer("AA" if whim == WELL else whim, control)


def _answer(code: str, control: str) -> bytes:
    return f"\x0bMSH|^~\\&|SINK|BRIGHT|CARELANE|HUB|20260101120000+0000||ACK^A01^ACK|{control}|P|2.5.1\rMSA|{code}|{control}\r".encode() + _END


def webhook(base: str, manner: str, timeout_s: float = 30) -> To:
    """A webhook destination whose receiver is ``well``, ``slow`` or ``moody``."""
    return To("webhook", {"url": f"{base}/{manner}", "timeout_s": timeout_s})


def framed(port: int, timeout_s: float = 30) -> To:
    """An MLLP destination."""
    return To("mllp", {"host": "127.0.0.1", "port": port, "timeout_s": timeout_s}, "hl7v2")

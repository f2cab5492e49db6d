"""A hub in a process of its own, as a supervisor sees it: started, signalled, waited for, its log read."""

import asyncio
import os
import socket
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import orjson
from aiohttp import web

from carelane.domain.listening import ListenPorts
from carelane.store.catalogue.listen_port import Claim
from carelane.store.embedded import find_place, live_postmaster
from carelane.store.store import open_store
from tests.world import World, make_world

_PORTS = "1024-65535"
_LEASED = "SELECT count(*) FROM shard_lease WHERE owner IS NOT NULL"


@dataclass
class Vendor:
    """A webhook that says when a message came in, and answers when it may."""

    entered: asyncio.Event = field(default_factory=asyncio.Event)
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)
    seen: list[str] = field(default_factory=list)
    url: str = ""

    async def take(self, request: web.Request) -> web.Response:
        await request.read()
        self.seen.append(request.headers["webhook-id"])
        self.entered.set()
        await self.may_answer.wait()
        return web.Response()


@asynccontextmanager
async def listening_vendor() -> AsyncIterator[Vendor]:
    vendor, app = Vendor(), web.Application()
    app.router.add_post("/hook", vendor.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    vendor.url = f"http://127.0.0.1:{port}/hook"
    try:
        yield vendor
    finally:
        vendor.may_answer.set()
        await runner.cleanup()


@dataclass
class HubProcess:
    """``carelane serve`` on a data folder."""

    data: Path
    mllp: int
    web: int
    env: dict[str, str]
    events: list[dict[str, str]] = field(default_factory=list)
    process: asyncio.subprocess.Process | None = field(default=None, repr=False)

    async def start(self, until: str = "hub.started") -> None:
        """Start it and wait for an event of its log."""
        await self.launch()
        await self.told(until)

    async def launch(self) -> None:
        settings = {
            "CARELANE_DATA": str(self.data),
            "CARELANE_PORT": str(self.web),
            "CARELANE_LOW_WATER_MB": "0",
            "CARELANE_ALLOWED_NETWORKS": "127.0.0.0/8",
            "CARELANE_LISTEN_PORTS": _PORTS,
        }
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "carelane", "serve", env={**os.environ, **settings, **self.env}, stderr=asyncio.subprocess.PIPE
        )

    async def told(self, event: str) -> dict[str, str]:
        """Wait for the next such event."""
        async with asyncio.timeout(60):
            while (found := await self._line()).get("event") != event:
                pass
            return found

    async def ended(self) -> int:
        """Wait for its end; read the rest of its log and return its exit code."""
        async with asyncio.timeout(60):
            while await self._line():
                pass
            return await self.process.wait()

    async def signal_and_end(self, *signals: int) -> int:
        for one in signals:
            self.process.send_signal(one)
            await asyncio.sleep(0)
        return await self.ended()

    @property
    def cluster(self) -> Path:
        return find_place(self.data).cluster

    async def leased(self) -> int:
        """Open the folder of an ended hub; return how many shards somebody still holds."""
        async with open_store(self.data, None, None, serve=True) as store:
            return await store.database.engine.fetchval(_LEASED)

    async def kill(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.terminate()
            self.process.terminate()
            await self.process.wait()

    async def _line(self) -> dict[str, str]:
        line = await self.process.stderr.readline()
        found = orjson.loads(line) if line.startswith(b"{") else {"event": line.decode()} if line else {}
        self.events.append(found)
        return found

    def detail(self, event: str) -> str:
        return next((found["detail"] for found in self.events if found.get("event") == event), "")


@asynccontextmanager
async def hub_process(vendor_url: str = "", **env: str) -> AsyncIterator[tuple[HubProcess, World]]:
    """Make a data folder with a world in it; the hub is started by the test."""
    with tempfile.TemporaryDirectory(prefix="carelane-serve-") as name:
        Path(name).chmod(0o755)
        hub = HubProcess(Path(name), free_port(), free_port(), env)
        async with open_store(hub.data, None, None, serve=True) as store:
            more = {"transport": "webhook", "settings": {"url": vendor_url, "timeout_s": 60}} if vendor_url else {}
            world = await make_world(
                store, source_settings={"port": hub.mllp}, models=("PatientAdmin",), listens=Claim(hub.mllp, ListenPorts.parse(_PORTS, each=1)), **more
            )
        try:
            yield hub, world
        finally:
            await hub.kill()
            assert live_postmaster(hub.cluster) is None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

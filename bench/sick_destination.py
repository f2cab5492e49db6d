"""Does a dead, a slow and an erroring destination change the p99 of a healthy lane beside them?

    python -m bench.sick_destination [--seconds 15] [--pairs 3]

One healthy lane is measured (from handing the message in to its arrival at the sink) alone and beside lanes of three sick
destinations (nobody listening, 30 s to answer, HTTP 500) that hold a backlog and get more. Both are measured several times in turn, on
the same hub process, and the medians of their p99 compared: machines are noisy.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path

import uvloop
from aiohttp import web

from bench.machine import adt, free_port, percentile, report, settings
from carelane.assembly import run_hub
from carelane.domain.ids import SourceId
from carelane.store.catalogue.endpoint import create_endpoint
from carelane.store.catalogue.organization import create_organization
from carelane.store.catalogue.subscription import connect, subscribe
from carelane.store.store import open_store

SICK_LANES = 5
BACKED_OFF_S = 20.0


class Sink:
    """Notes when each message arrived."""

    def __init__(self) -> None:
        self.arrived: dict[str, float] = {}

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        at = body.find(b'"ID":"H')
        if at >= 0:
            self.arrived[body[at + 6 : at + 15].decode()] = time.perf_counter()
        return web.Response()

    async def slow(self, request: web.Request) -> web.Response:
        await asyncio.sleep(30)
        return web.Response()

    async def wrong(self, request: web.Request) -> web.Response:
        return web.Response(status=500)


async def _seed(data: Path, port: int) -> None:
    urls = {"healthy": f"http://127.0.0.1:{port}/take", "dead": f"http://127.0.0.1:{free_port()}/", "slow": f"http://127.0.0.1:{port}/slow",
            "wrong": f"http://127.0.0.1:{port}/wrong"}  # fmt: skip
    async with open_store(data, None, None, serve=True) as store:
        database, keyring = store.database, store.keyring
        a = await create_organization(database, keyring, slug="north", name="North", kind="provider")
        b = await create_organization(database, keyring, slug="bright", name="Bright", kind="health-tech vendor")
        link = await connect(database, org=b, partner=a, models=[(a, b, "PatientAdmin")], purpose="", actor="bench")
        for name, url in urls.items():
            hook, _ = await create_endpoint(database, keyring, "destination", org=b, environment="development", name=name, transport="webhook",
                                            format="datamodel", settings={"url": url, "timeout_s": 60})  # fmt: skip
            for number in range(1 if name == "healthy" else SICK_LANES):
                source, _ = await create_endpoint(database, keyring, "source", org=a, environment="development", name=f"{name} {number}", transport="http",
                                                  format="hl7v2", settings={})  # fmt: skip
                await subscribe(database, name=f"{name} {number}", connection_id=link, source=source, destination=hook, data_model="PatientAdmin")


async def _measure(hub, sink: Sink, seconds: float, tag: str, rate: float = 50.0) -> float:
    """Offer messages to the healthy lane; return the p99 in milliseconds."""
    sent: dict[str, float] = {}
    began, number = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        number += 1
        control = f"H{tag}{number:06d}"
        sent[control] = time.perf_counter()
        await hub.hub.accept(SourceId(1), adt(control, 2048, patient=control))
        await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
    deadline = time.perf_counter() + 20
    while len(sink.arrived.keys() & sent.keys()) < len(sent) and time.perf_counter() < deadline:
        await asyncio.sleep(0.05)
    return percentile([sink.arrived[control] - sent[control] for control in sent], 0.99) * 1000


async def _feed_the_sick(hub, stop: asyncio.Event) -> None:
    """A trickle to every sick lane, as real partners send on while nobody answers."""
    number = 0
    while not stop.is_set():
        for source in range(2, 2 + 3 * SICK_LANES):
            number += 1
            await hub.hub.accept(SourceId(source), adt(f"S{number}", 2048))
            await asyncio.sleep(0.2)
            if stop.is_set():
                return


async def _pair(hub, sink: Sink, seconds: float, number: int, lanes: list[int]) -> tuple[float, float]:
    """Measure with the sick lanes paused (nothing is sent to them), then with them at work; both with the same feed going on."""
    stop = asyncio.Event()
    feeding = asyncio.create_task(_feed_the_sick(hub, stop))
    await hub.store.database.engine.execute("UPDATE lane SET paused = 'bench' WHERE id = ANY($1::bigint[])", lanes)
    await hub.runner.refresh(lanes)
    await asyncio.sleep(1)
    alone = await _measure(hub, sink, seconds, f"a{number}")
    await hub.store.database.engine.execute("UPDATE lane SET paused = NULL, next_attempt_at = NULL WHERE id = ANY($1::bigint[])", lanes)
    await hub.runner.refresh(lanes)
    await asyncio.sleep(BACKED_OFF_S)
    beside = await _measure(hub, sink, seconds, f"b{number}")
    stop.set()
    await feeding
    return alone, beside


async def _main(seconds: float, pairs: int) -> None:
    with tempfile.TemporaryDirectory(prefix="carelane-sick-") as folder:
        data = Path(folder)
        data.chmod(0o755)
        sink, port, app = Sink(), free_port(), web.Application()
        for path, handler in (("/take", sink.take), ("/slow", sink.slow), ("/wrong", sink.wrong)):
            app.router.add_post(path, handler)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        await _seed(data, port)
        async with run_hub(settings().model_copy(update={"data": data, "low_water_mb": 256})) as hub:
            await _measure(hub, sink, 3, "w0")
            lanes = list(range(2, 2 + 3 * SICK_LANES))
            found = [await _pair(hub, sink, seconds, number, lanes) for number in range(pairs)]
        await runner.cleanup()
        alone, beside = (statistics.median(values) for values in zip(*found, strict=True))
        figures = {"sick_lanes": 3 * SICK_LANES, "settle_s": BACKED_OFF_S, "p99_ms_alone": round(alone, 2), "p99_ms_beside_sick": round(beside, 2)}
        pairs_ms = [[round(one, 2), round(other, 2)] for one, other in found]
        report("sick_destination", {**figures, "change_percent": round((beside / alone - 1) * 100, 1), "pairs_ms": pairs_ms})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--lanes", type=int, default=SICK_LANES, help="lanes per sick destination")
    parser.add_argument("--settle", type=float, default=BACKED_OFF_S, help="seconds between waking the sick lanes and measuring")
    given = parser.parse_args()
    SICK_LANES, BACKED_OFF_S = given.lanes, given.settle
    uvloop.run(_main(given.seconds, given.pairs))

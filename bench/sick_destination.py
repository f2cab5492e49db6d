"""Do dead, slow and erring destinations change the p99 of a healthy lane beside them?

    python -m bench.sick_destination [--lanes 50] [--pairs 5] [--seconds 15]
    python -m bench.sick_destination --lanes 1667 --destinations 30 --others 5000 --long-failing

One healthy lane is measured, from handing a message in to its arrival at a sink in another process, while the lanes of the sick destinations are
paused, and while they are at work. Both are measured in turn, several times, on the same hub, at half of what that lane can take; the
median of the pairs' changes is told, and their spread. ``--lanes`` is per kind of sickness: nobody listening, 30 s to answer, HTTP 500. Their
lanes hold a backlog and get more. They are woken all at once, or, with ``--long-failing``, each at its place in a beat of two minutes.
"""

import argparse
import asyncio
import multiprocessing
import statistics
import tempfile
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import uvloop
from aiohttp import web

from bench.lanes import make_ground
from bench.machine import adt, free_port, percentile, report, settings
from carelane.assembly import RunningHub, run_hub
from carelane.domain.ids import LaneId, SourceId
from carelane.store.store import open_store

_CONTROL = b"@@@@@@@@@@"
_BACKLOG = 2
_PAUSE = "UPDATE lane SET paused = 'bench' WHERE id = ANY($1::bigint[])"
_WAKE = "UPDATE lane SET paused = NULL, next_attempt_at = NULL WHERE id = ANY($1::bigint[])"
_WAKE_SPREAD = """
UPDATE lane SET paused = NULL, attempts = 8, failing_since = now() - interval '1 hour', next_attempt_at = now() + make_interval(secs => 120 * random())
WHERE id = ANY($1::bigint[])
"""


@dataclass(frozen=True)
class Plan:
    """``lanes`` and ``destinations`` are per kind of sickness; ``others`` are healthy lanes with little to do."""

    lanes: int
    destinations: int
    others: int
    pairs: int
    seconds: float
    settle_s: float
    long_failing: bool


def _receivers(port: int, pipe: Connection) -> None:
    """A process of its own: every receiver, and when each message of the healthy lane arrived."""
    arrived: dict[str, float] = {}

    async def take(request: web.Request) -> web.Response:
        body = await request.read()
        at = body.find(b'"ID":"H')
        arrived[body[at + 6 : at + 16].decode()] = time.perf_counter()
        return web.Response()

    async def slow(request: web.Request) -> web.Response:
        await asyncio.sleep(30)
        return web.Response()

    async def wrong(request: web.Request) -> web.Response:
        return web.Response(status=500)

    async def serve() -> None:
        app = web.Application()
        for path, handler in (("/take", take), ("/slow", slow), ("/wrong", wrong)):
            app.router.add_post(path, handler)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port, backlog=2048).start()
        pipe.send("up")
        while await asyncio.to_thread(pipe.recv):
            pipe.send(dict(arrived))

    uvloop.run(serve())


class Rig:
    """The hub, what is sent to it, and what arrived."""

    def __init__(self, hub: RunningHub, pipe: Connection, sick: tuple[list[int], list[int]], healthy: int, plan: Plan) -> None:
        self.hub, self.pipe, self.plan, self.healthy = hub, pipe, plan, healthy
        self.sources, self.lanes = sick
        self._body = adt(_CONTROL.decode(), 2048, patient=_CONTROL.decode())
        self._number = 0

    async def arrived(self) -> dict[str, float]:
        """Return when what arrived so far did."""
        self.pipe.send(True)
        return await asyncio.to_thread(self.pipe.recv)

    async def send(self, source: int, tag: str) -> str:
        """Hand in a message; return its control id."""
        self._number += 1
        control = f"{tag}{self._number:09d}"
        receipt = await self.hub.node.ingest.accept(SourceId(source), self._body.replace(_CONTROL, control.encode()))
        if receipt.problem is not None:
            raise RuntimeError(f"source {source}: {receipt.problem.text}")
        return control

    async def capacity(self, seconds: float = 4) -> float:
        """Return how many messages a second the healthy lane delivers when it has as many as it can take."""
        began, before = time.perf_counter(), len(await self.arrived())
        while time.perf_counter() - began < seconds:
            await asyncio.gather(*(self.send(self.healthy, "H") for _ in range(8)))
        delivered = (len(await self.arrived()) - before) / (time.perf_counter() - began)
        await self.drained()
        return delivered

    async def drained(self) -> None:
        """Wait until the healthy lane has nothing more to deliver."""
        last = -1
        while (now := len(await self.arrived())) > last:
            last = now
            await asyncio.sleep(0.5)

    async def measure(self, rate: float) -> float:
        """Offer messages to the healthy lane at this rate; return their p99 in milliseconds."""
        sent: dict[str, float] = {}
        began, number = time.perf_counter(), 0
        while (now := time.perf_counter()) - began < self.plan.seconds:
            if now < began + number / rate:
                await asyncio.sleep(began + number / rate - now)
            number += 1
            handed = time.perf_counter()
            sent[await self.send(self.healthy, "H")] = handed
        for _ in range(200):
            arrived = await self.arrived()
            if sent.keys() <= arrived.keys():
                return percentile([arrived[control] - at for control, at in sent.items()], 0.99) * 1000
            await asyncio.sleep(0.1)
        raise RuntimeError(f"{len(sent.keys() - arrived.keys())} of {len(sent)} messages of the healthy lane did not arrive within 20 s")

    async def feed(self) -> None:
        """A trickle to the sick lanes, as real partners send on while nobody answers."""
        while True:
            for source in self.sources:
                await self.send(source, "S")
                await asyncio.sleep(0.2)

    async def put(self, statement: str) -> None:
        """Pause or wake the sick lanes, and have them read."""
        await self.hub.store.database.engine.execute(statement, self.lanes)
        for at in range(0, len(self.lanes), 1000):
            await self.hub.delivery.lanes.look([LaneId(lane) for lane in self.lanes[at : at + 1000]])
        await asyncio.sleep(1)

    async def pair(self, rate: float) -> tuple[float, float]:
        """Measure with the sick lanes paused, then with them at work; the same feed goes on."""
        await self.put(_PAUSE)
        alone = await self.measure(rate)
        await self.put(_WAKE_SPREAD if self.plan.long_failing else _WAKE)
        await asyncio.sleep(self.plan.settle_s)
        return alone, await self.measure(rate)


async def _seed(data: Path, port: int, plan: Plan) -> tuple[tuple[list[int], list[int]], int]:
    async with open_store(data, None, None, serve=True) as store:
        ground = await make_ground(store)
        [healthy], _ = await ground.lanes("healthy", 1, [await ground.webhook("healthy", f"http://127.0.0.1:{port}/take")])
        if plan.others:
            some = [await ground.webhook(f"other {n}", f"http://127.0.0.1:{port}/take") for n in range(plan.destinations)]
            await ground.lanes("other", plan.others, some)
        sources, lanes = list[int](), list[int]()
        for name, url in (("dead", f"http://127.0.0.1:{free_port()}/"), ("slow", f"http://127.0.0.1:{port}/slow"), ("wrong", f"http://127.0.0.1:{port}/wrong")):
            found = await ground.lanes(name, plan.lanes, [await ground.webhook(f"{name} {n}", url) for n in range(plan.destinations)])
            sources += found[0]
            lanes += found[1]
        return (sources, lanes), healthy


async def _main(plan: Plan) -> None:
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    port = free_port()
    receivers = multiprocessing.get_context("spawn").Process(target=_receivers, args=(port, theirs), daemon=True)
    receivers.start()
    with tempfile.TemporaryDirectory(prefix="carelane-sick-") as folder:
        data = Path(folder)
        data.chmod(0o755)
        await asyncio.to_thread(ours.recv)
        sick, healthy = await _seed(data, port, plan)
        async with run_hub(settings().model_copy(update={"data": data, "low_water_mb": 256})) as hub:
            rig = Rig(hub, ours, sick, healthy, plan)
            await rig.put(_PAUSE)
            for source in [source for source in rig.sources for _ in range(_BACKLOG)]:
                await rig.send(source, "S")
            await rig.capacity(2)
            capacity = await rig.capacity()
            feeding = asyncio.get_running_loop().create_task(rig.feed())
            found = [await rig.pair(capacity / 2) for _ in range(plan.pairs)]
            feeding.cancel()
    receivers.kill()
    changes = [round((beside / alone - 1) * 100, 1) for alone, beside in found]
    report("sick_destination", {"sick_lanes": 3 * plan.lanes, "sick_destinations": 3 * plan.destinations, "other_lanes": plan.others,
                                "long_failing": plan.long_failing, "settle_s": plan.settle_s, "capacity_per_second": round(capacity),
                                "paced_at_per_second": round(capacity / 2), "change_percent_median": statistics.median(changes), "change_percent": changes,
                                "p99_ms_alone_and_beside": [[round(one, 2), round(other, 2)] for one, other in found]})  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lanes", type=int, default=5, help="lanes per kind of sickness")
    parser.add_argument("--destinations", type=int, default=1, help="destinations per kind of sickness, which share its lanes")
    parser.add_argument("--others", type=int, default=0, help="healthy lanes with nothing to do")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--settle", type=float, default=20, help="seconds between waking the sick lanes and measuring")
    parser.add_argument("--long-failing", action="store_true", help="wake each lane at its place in a beat of two minutes, as after an hour of failing")
    given = parser.parse_args()
    uvloop.run(_main(Plan(given.lanes, given.destinations, given.others, given.pairs, given.seconds, given.settle, given.long_failing)))

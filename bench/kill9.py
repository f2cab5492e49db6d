"""Kill -9 under load: no acknowledged message lost, order kept, at most one repeat per lane and crash.

    python -m bench.kill9 [--rounds 20] [--lanes 8] [--break-checker]

Each round loads a hub over MLLP, kills it (and in every other round PostgreSQL as well) at a random moment, starts it again and
goes on; senders repeat what was not acknowledged, with the same control id. A sink in this process, which is never killed, logs
every delivery in order. At the end everything must drain. ``--break-checker`` drops one acknowledged message, swaps
two and doubles one in the sink's log: the run must then fail.
"""

import argparse
import asyncio
import itertools
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import orjson
import uvloop
from aiohttp import web

from bench.machine import Hub, adt, free_port, report, seeded
from carelane.store.embedded import live_postmaster

Logged = tuple[str, int, str, int]
"""Lane, number, control id, and how many crashes there had been."""


class Sink:
    """A webhook receiver that logs every delivery it accepts."""

    def __init__(self) -> None:
        self.log: list[Logged] = []
        self.crashes = 0

    async def take(self, request: web.Request) -> web.Response:
        document = orjson.loads(await request.read())
        _, lane, seq = request.headers["webhook-id"].split("_")
        self.log.append((lane, int(seq), document["Patient"]["Identifiers"][0]["ID"], self.crashes))
        return web.Response()


class Sender:
    """One interface engine: the next message only after the ACK of the last; repeats it after every broken connection."""

    def __init__(self, port: int, tag: str) -> None:
        self.port, self.tag = port, tag
        self.acknowledged: list[str] = []
        self.resent = 0

    async def run(self, stop: asyncio.Event) -> None:
        number = 0
        while not stop.is_set():
            number += 1
            control = f"{self.tag}{number:07d}"
            while not await self._offer(control):
                self.resent += 1
                if stop.is_set():
                    return
                await asyncio.sleep(0.02)
            self.acknowledged.append(control)

    async def _offer(self, control: str) -> bool:
        try:
            if getattr(self, "_writer", None) is None:
                self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self.port)
            self._writer.write(b"\x0b" + adt(control, 1024, patient=control) + b"\x1c\r")
            async with asyncio.timeout(10):
                answer = await self._reader.readuntil(b"\x1c\r")
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            self._writer = None
            return False
        return f"MSA|AA|{control}".encode() in answer


def check(senders: list[Sender], log: list[Logged]) -> dict[str, int]:
    """Return the violations: lost, order errors, more than one repeat of a lane after a crash (or any before the first)."""
    by_tag: dict[str, list[str]] = {}
    repeats: Counter[tuple[str, int]] = Counter()
    seen: dict[str, int] = {}
    order_errors = 0
    for lane, seq, control, crash in log:
        last = seen.get(lane, 0)
        if seq <= last:
            repeats[lane, crash] += 1
            order_errors += seq != last  # only the head may come again
            continue
        order_errors += seq != last + 1
        seen[lane] = seq
        by_tag.setdefault(control[:4], []).append(control)
    lost = sum(len(set(sender.acknowledged) - set(by_tag.get(sender.tag, []))) for sender in senders)
    for sender in senders:
        arrived = by_tag.get(sender.tag, [])
        order_errors += sum(after <= before for before, after in itertools.pairwise(arrived))
    return {"lost": lost, "order_errors": order_errors, "repeats": sum(repeats.values()),
            "most_repeats_of_a_lane_after_a_crash": max(repeats.values(), default=0),
            "repeats_over_bound": sum(count > min(crash, 1) for (_, crash), count in repeats.items())}  # fmt: skip


async def _kill(hub: Hub, data: Path, both: bool) -> None:
    cluster = next((path for path in (data / "pg", (data / "server") / "pg") if path.exists()), data / "pg")
    postgres = live_postmaster(cluster)
    assert hub.process is not None
    hub.process.kill()
    if both and postgres is not None:
        os.kill(postgres, signal.SIGKILL)
    await hub.process.wait()


async def _rounds(hub: Hub, data: Path, ports: list[int], sink: Sink, senders: list[Sender], rounds: int, seconds: float) -> float:
    stop = asyncio.Event()
    running = [asyncio.create_task(sender.run(stop)) for sender in senders]
    slowest = 0.0
    for number in range(rounds):
        await asyncio.sleep(random.uniform(0.5, 1.5) * seconds)
        await _kill(hub, data, both=number % 2 == 1)
        sink.crashes += 1
        began = time.monotonic()
        await hub.start(ports[-1])
        slowest = max(slowest, time.monotonic() - began)
    await asyncio.sleep(seconds)
    stop.set()
    await asyncio.gather(*running)
    return slowest


def _break(log: list[Logged]) -> None:
    """Mutate the sink's log the way a broken hub would: the checker must notice."""
    middle = len(log) // 2
    log.pop(middle)
    log[middle + 3], log[middle + 40] = log[middle + 40], log[middle + 3]
    log.insert(middle + 60, log[middle + 20])


async def _main(rounds: int, lanes: int, seconds: float, broken: bool) -> int:
    with tempfile.TemporaryDirectory(prefix="carelane-kill9-") as folder:
        data = Path(folder)
        data.chmod(0o755)
        sink, sink_port, ports = Sink(), free_port(), [free_port() for _ in range(lanes)]
        app = web.Application()
        app.router.add_post("/hook", sink.take)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", sink_port).start()
        async with seeded(data, ports, f"http://127.0.0.1:{sink_port}/hook"):
            pass
        hub = Hub(data, free_port())
        await hub.start(ports[-1])
        senders = [Sender(port, f"K{number:03d}") for number, port in enumerate(ports)]
        try:
            slowest = await _rounds(hub, data, ports, sink, senders, rounds, seconds)
            acknowledged = sum(len(sender.acknowledged) for sender in senders)
            deadline = time.monotonic() + 120
            while len({control for _, _, control, _ in sink.log}) < acknowledged and time.monotonic() < deadline:
                await asyncio.sleep(0.2)
        finally:
            await hub.stop()
            await runner.cleanup()
        if broken:
            _break(sink.log)
        found = check(senders, sink.log)
        good = not (found["lost"] or found["order_errors"] or found["repeats_over_bound"])
        report("kill9", {"rounds": rounds, "postgres_killed_too": rounds // 2, "lanes": lanes, "acknowledged": acknowledged, "delivered": len(sink.log),
                         "resent_by_senders": sum(sender.resent for sender in senders), **found, "slowest_restart_s": round(slowest, 2),
                         "checker_broken_on_purpose": broken, "passed": good})  # fmt: skip
        return 0 if good != broken else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--lanes", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=4, help="mean seconds of load before each kill")
    parser.add_argument("--break-checker", action="store_true")
    given = parser.parse_args()
    sys.exit(uvloop.run(_main(given.rounds, given.lanes, given.seconds, given.break_checker)))

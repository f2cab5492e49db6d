"""Kill -9 under load: no acknowledged message lost, order kept, at most one repeat per lane and crash.

    python -m bench.kill9 [--rounds 20] [--lanes 8] [--break-checker]

Each round loads a hub over MLLP, kills it (and in every other round PostgreSQL as well) at a random moment, starts it again and
goes on; senders repeat what was not acknowledged, with the same control id. A sink in this process, which is never killed, logs
every delivery in order. At the end everything must drain. ``--break-checker`` drops one acknowledged message, swaps
two and doubles one in the sink's log: the run must then fail.
"""

import argparse
import asyncio
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

import uvloop

from bench.machine import Hub, free_port, report, seeded
from bench.traffic import Sender, Sink, check, sending, spoil
from carelane.store.embedded import live_postmaster


async def _kill(hub: Hub, data: Path, both: bool) -> None:
    cluster = next((path for path in (data / "pg", (data / "server") / "pg") if path.exists()), data / "pg")
    postgres = live_postmaster(cluster)
    assert hub.process is not None
    hub.process.kill()
    if both and postgres is not None:
        os.kill(postgres, signal.SIGKILL)
    await hub.process.wait()


async def _rounds(hub: Hub, data: Path, ports: list[int], sink: Sink, senders: list[Sender], rounds: int, seconds: float) -> float:
    slowest = 0.0
    async with sending(senders):
        for number in range(rounds):
            await asyncio.sleep(random.uniform(0.5, 1.5) * seconds)
            await _kill(hub, data, both=number % 2 == 1)
            sink.crashes += 1
            began = time.monotonic()
            await hub.start(ports[-1])
            slowest = max(slowest, time.monotonic() - began)
        await asyncio.sleep(seconds)
    return slowest


async def _main(rounds: int, lanes: int, seconds: float, broken: bool) -> int:
    with tempfile.TemporaryDirectory(prefix="carelane-kill9-") as folder:
        data = Path(folder)
        data.chmod(0o755)
        sink, ports = Sink(), [free_port() for _ in range(lanes)]
        async with sink.open(free_port()) as url:
            async with seeded(data, ports, url):
                pass
            hub = Hub(data, free_port())
            await hub.start(ports[-1])
            senders = [Sender(port, f"K{number:03d}") for number, port in enumerate(ports)]
            try:
                slowest = await _rounds(hub, data, ports, sink, senders, rounds, seconds)
                acknowledged = sum(len(sender.acknowledged) for sender in senders)
                await sink.drained(acknowledged)
            finally:
                await hub.stop()
        if broken:
            spoil(sink.log)
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

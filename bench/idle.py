"""A hub with very many lanes on which nothing happens: what it costs to keep them.

python -m bench.idle [--lanes 100000] [--seconds 60]
"""

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

import uvloop

from bench.lanes import make_ground
from bench.machine import Hub, free_port, report, seeded
from bench.traffic import Sender, Sink, sending


async def _seed(data: Path, port: int, url: str, lanes: int) -> None:
    async with seeded(data, [port], url) as store:
        ground = await make_ground(store)
        some = [await ground.webhook(f"end {number}", url) for number in range(100)]
        await ground.lanes("idle", lanes, some)
        owner = await store.database.connect_owner()
        await owner.execute("ANALYZE")
        await owner.close()


async def _main(lanes: int, seconds: float) -> None:
    with tempfile.TemporaryDirectory(prefix="carelane-idle-") as folder:
        data, sink, port = Path(folder), Sink(), free_port()
        data.chmod(0o755)
        async with sink.open(free_port()) as url:
            await _seed(data, port, url, lanes)
            hub = Hub(data, free_port())
            began = time.monotonic()
            await hub.start(port)
            started = time.monotonic() - began
            await asyncio.sleep(20)
            began, cpu = time.monotonic(), hub.cpu_s()
            await asyncio.sleep(seconds)
            used = (hub.cpu_s() - cpu) / (time.monotonic() - began)
            sender = Sender(port, "I001")
            async with sending([sender]):
                await asyncio.sleep(5)
            await sink.drained(len(sender.acknowledged))
            report("idle", {"lanes": lanes, "start_to_listening_s": round(started, 2), "cpu_percent": round(used * 100, 2), "rss_mb": round(hub.rss_mb(), 1),
                            "one_sender_among_them_per_second": round(len(sender.acknowledged) / 5, 1)})  # fmt: skip
            await hub.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lanes", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=60)
    given = parser.parse_args()
    uvloop.run(_main(given.lanes, given.seconds))

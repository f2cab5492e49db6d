"""Memory of the hub process: at rest, and with a backlog behind a dead destination.

python -m bench.memory [--messages 200000]
"""

import argparse
import asyncio
import tempfile
from pathlib import Path

import uvloop

from bench.ingest import _load
from bench.machine import Hub, free_port, report, seeded
from carelane.store.store import open_store


async def _main(messages: int) -> None:
    with tempfile.TemporaryDirectory(prefix="carelane-bench-") as folder:
        data, port = Path(folder), free_port()
        data.chmod(0o755)
        async with seeded(data, [port], f"http://127.0.0.1:{free_port()}/nobody"):
            pass
        hub = Hub(data, free_port())
        await hub.start(port)
        await asyncio.sleep(2)
        rest, queued, run = hub.rss_mb(), 0, 0
        try:
            while queued < messages:
                run += 1
                queued += int((await _load(port, 64, 8, 1024, f"{run:03d}"))["messages"])
            loaded = hub.rss_mb()
            await hub.stop()
            await hub.start(port)
            await asyncio.sleep(2)
            restarted = hub.rss_mb()
        finally:
            await hub.stop()
        async with open_store(data, None, None, serve=True) as store:
            pending = await store.database.engine.fetchval("SELECT sum(tail_seq - head_seq) FROM lane_now")
        report("memory", {"rss_mb_rest": round(rest, 1), "acknowledged": queued, "pending": int(pending), "rss_mb_with_backlog": round(loaded, 1),
                          "rss_mb_restarted_with_backlog": round(restarted, 1)})  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=200_000)
    uvloop.run(_main(parser.parse_args().messages))

"""How long a hub takes from exec to its first positive acknowledgement, on a folder that exists.

    python -m bench.start [--rounds 5]

Twice: after a clean stop, and after kill -9 of the hub and of its database (which then recovers). The best and the median of the rounds are
told; ``hub_cpu_s`` is what the hub's own process computed until then, and ``ratio`` the median over ``spin_ms``: a machine that others use too
changes the first two and hardly the last two.
"""

import argparse
import asyncio
import os
import signal
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import uvloop

from bench.machine import Hub, adt, free_port, report, seeded, spin
from carelane.store.embedded import find_place, live_postmaster


@dataclass(frozen=True)
class Start:
    """One start: by the clock, and in processor time of the hub's own process."""

    seconds: float
    cpu_s: float


async def _first_ack(port: int, control: str) -> None:
    """Try until a message is acknowledged, as an interface engine does."""
    while True:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.005)
            continue
        try:
            writer.write(b"\x0b" + adt(control) + b"\x1c\r")
            if f"MSA|AA|{control}".encode() in await reader.readuntil(b"\x1c\r"):
                return
        except (OSError, asyncio.IncompleteReadError):
            await asyncio.sleep(0.005)
        finally:
            writer.close()


async def _start(hub: Hub, port: int, control: str) -> Start:
    began = time.perf_counter()
    await hub.launch()
    async with asyncio.timeout(120):
        await _first_ack(port, control)
    assert hub.process is not None
    return Start(time.perf_counter() - began, _cpu_s(hub.process.pid))


def _cpu_s(pid: int) -> float:
    words = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


async def _kill(hub: Hub, cluster: Path) -> None:
    assert hub.process is not None
    postmaster = live_postmaster(cluster)
    hub.process.kill()
    await hub.process.wait()
    if postmaster is not None:
        os.kill(postmaster, signal.SIGKILL)
        while live_postmaster(cluster) is not None:
            await asyncio.sleep(0.01)


async def _main(rounds: int) -> None:
    with tempfile.TemporaryDirectory(prefix="carelane-start-") as folder:
        data, port = Path(folder), free_port()
        data.chmod(0o755)
        async with seeded(data, [port], "http://127.0.0.1:9/hook"):
            pass
        hub, cluster = Hub(data, free_port()), find_place(data).cluster
        clean, killed, spins = [], [], []
        await _start(hub, port, "FIRST")
        for number in range(rounds):
            await hub.stop(signal.SIGINT)
            spins.append(spin())
            clean.append(await _start(hub, port, f"C{number}"))
            await _kill(hub, cluster)
            spins.append(spin())
            killed.append(await _start(hub, port, f"K{number}"))
        await hub.stop(signal.SIGINT)
    report("start", {"rounds": rounds, "after_clean_stop": _figures(clean, spins), "after_kill_9": _figures(killed, spins)})


def _figures(starts: list[Start], spins: list[float]) -> dict[str, float]:
    seconds, cpu = [one.seconds for one in starts], statistics.median(one.cpu_s for one in starts)
    return {
        "best_s": round(min(seconds), 2),
        "median_s": round(statistics.median(seconds), 2),
        "hub_cpu_s": round(cpu, 2),
        "ratio": round(statistics.median(seconds) * 1000 / statistics.median(spins), 1),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    sys.exit(uvloop.run(_main(given.rounds)))

"""MLLP in → stored → ACK: messages a second and latency, on 64 connections and on one.

python -m bench.ingest [--seconds 10]
"""

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

import uvloop

from bench.machine import Hub, adt, free_port, percentile, report, seeded


class _Client(asyncio.Protocol):
    """One sender: the next message goes out when the last one is acknowledged."""

    def __init__(self, tag: str, until: float, size: int) -> None:
        self._tag, self._until, self._size = tag, until, size
        self._body = adt("@@@@@@@@@@@@", size)
        self.latencies: list[float] = []
        self.bad = 0
        self._count = 0
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._buffer = b""
        self._send()

    def _send(self) -> None:
        self._began = time.perf_counter()
        if self._began > self._until:
            self._transport.close()
            return
        self._count += 1
        body = self._body.replace(b"@@@@@@@@@@@@", f"{self._tag}{self._count:08d}".encode())
        self._transport.write(b"\x0b" + body + b"\x1c\r")  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._buffer.endswith(b"\x1c\r"):
            self.latencies.append(time.perf_counter() - self._began)
            self.bad += b"MSA|AA|" not in self._buffer
            self._buffer = b""
            self._send()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)


async def _load(hub: Hub, port: int, connections: int, seconds: float, tag: str, size: int) -> dict[str, float]:
    loop = asyncio.get_running_loop()
    began, cpu = time.perf_counter(), hub.cpu_s()
    clients = [(await loop.create_connection(lambda n=n: _Client(f"{tag}{n:03d}", began + seconds, size), "127.0.0.1", port))[1] for n in range(connections)]
    await asyncio.gather(*(client.done for client in clients))
    took, cpu = time.perf_counter() - began, hub.cpu_s() - cpu
    latencies = [value for client in clients for value in client.latencies]
    return {
        "connections": connections,
        "messages": len(latencies),
        "per_second": round(len(latencies) / took, 1),
        "hub_cpu_us_each": round(cpu * 1_000_000 / len(latencies), 1),
        "p50_ms": round(percentile(latencies, 0.5) * 1000, 2),
        "p99_ms": round(percentile(latencies, 0.99) * 1000, 2),
        "not_AA": sum(client.bad for client in clients),
    }


async def _main(seconds: float, size: int) -> None:
    with tempfile.TemporaryDirectory(prefix="carelane-bench-") as folder:
        data, port = Path(folder), free_port()
        data.chmod(0o755)
        async with seeded(data, [port], f"http://127.0.0.1:{free_port()}/nobody"):
            pass
        hub = Hub(data, free_port())
        await hub.start(port)
        rest = hub.rss_mb()
        try:
            await _load(hub, port, 64, 2, "W", size)
            many = await _load(hub, port, 64, seconds, "M", size)
            one = await _load(hub, port, 1, seconds, "S", size)
            report("ingest", {"message_bytes": size, "many": many, "one": one, "rss_mb_rest": round(rest, 1), "rss_mb_after": round(hub.rss_mb(), 1)})
        finally:
            await hub.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--size", type=int, default=2048)
    given = parser.parse_args()
    uvloop.run(_main(given.seconds, given.size))

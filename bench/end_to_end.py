"""MLLP in → HL7v2 → PatientAdmin → webhook out: sustained rate, and whether the queue grows.

    python -m bench.end_to_end [--seconds 60] [--rate 1300] [--lanes 16] [--senders 16]

The rate is offered open-loop over as many connections (senders) and lanes as asked, senders spread evenly over the lanes; each lane keeps strict
order. ``--rate 0`` lets every sender send its next message as soon as the last was acknowledged.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

import uvloop

from bench.machine import Hub, adt, free_port, report, seeded


class Sink(asyncio.Protocol):
    """The cheapest honest webhook receiver: reads a whole request, counts it, answers 200."""

    count = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 : head.find(b"\r\n", at) if head.find(b"\r\n", at) > 0 else None])
            if len(self._buffer) < end + 4 + length:
                return
            self._buffer = self._buffer[end + 4 + length :]
            Sink.count += 1
            self._transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")  # type: ignore[attr-defined]


async def _feed(port: int, rate: float, seconds: float, tag: str) -> int:
    """Offer messages at a rate over one connection; returns how many were acknowledged."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = adt("@@@@@@@@@@@@", 2048)
    began, sent = time.perf_counter(), 0
    while (now := time.perf_counter() - began) < seconds:
        if rate and sent >= now * rate:
            await asyncio.sleep(0.002)
            continue
        writer.write(b"\x0b" + body.replace(b"@@@@@@@@@@@@", f"{tag}{sent:08d}".encode()) + b"\x1c\r")
        await reader.readuntil(b"\x1c\r")
        sent += 1
    writer.close()
    return sent


async def _sample(seconds: float) -> list[int]:
    counts = []
    for _ in range(int(seconds)):
        await asyncio.sleep(1)
        counts.append(Sink.count)
    return counts


async def _main(seconds: float, rate: float, lanes: int, senders: int) -> None:
    with tempfile.TemporaryDirectory(prefix="carelane-bench-") as folder:
        data, sink_port = Path(folder), free_port()
        data.chmod(0o755)
        ports = [free_port() for _ in range(lanes)]
        server = await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", sink_port)
        async with seeded(data, ports, f"http://127.0.0.1:{sink_port}/hook"):
            pass
        hub = Hub(data, free_port())
        await hub.start(ports[-1])
        try:
            began, cpu = time.perf_counter(), hub.cpu_s()
            sampler = asyncio.create_task(_sample(seconds))
            sent = sum(await asyncio.gather(*(_feed(ports[n % lanes], rate / senders, seconds, f"F{n:03d}") for n in range(senders))))
            took = time.perf_counter() - began
            at_end, cpu = Sink.count, hub.cpu_s() - cpu
            counts = await sampler
            for _ in range(300):
                if Sink.count >= sent:
                    break
                await asyncio.sleep(0.1)
            half = len(counts) // 2
            report(
                "end_to_end",
                {
                    "lanes": lanes,
                    "senders": senders,
                    "offered_per_second": rate,
                    "acknowledged": sent,
                    "acknowledged_per_second": round(sent / took, 1),
                    "delivered_per_second": round(at_end / took, 1),
                    "second_half_per_second": round((counts[-1] - counts[half]) / max(1, len(counts) - 1 - half), 1),
                    "hub_cpu_s": round(cpu, 2),
                    "hub_cpu_ms_per_delivered": round(cpu * 1000 / max(1, at_end), 3),
                    "waiting_at_end": sent - at_end,
                    "delivered": Sink.count,
                    "lost": max(0, sent - Sink.count),
                    "repeats": max(0, Sink.count - sent),
                    "rss_mb": round(hub.rss_mb(), 1),
                },
            )
        finally:
            await hub.stop()
            server.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rate", type=float, default=1300)
    parser.add_argument("--lanes", type=int, default=16)
    parser.add_argument("--senders", type=int, default=0, help="connections; as many as lanes when not given")
    given = parser.parse_args()
    sys.exit(uvloop.run(_main(given.seconds, given.rate, given.lanes, given.senders or given.lanes)))

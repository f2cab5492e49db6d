"""Hubs for whole trips: the real node on a fresh database, with real sockets."""

import random
import socket
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from carelane.assembly import RunningHub, _join
from carelane.exchange.ingest import Ingest
from carelane.exchange.node import Shelf
from carelane.kit.clock import SystemClock
from carelane.ops.settings import Settings
from carelane.plugins import FormatShelf
from carelane.store.snapshot import read_snapshot
from carelane.store.store import Store
from carelane.transports.mllp import Listener


@asynccontextmanager
async def running_hub(store: Store, **settings: object):
    """Run a hub on an open store; drains at the end."""
    with TemporaryDirectory() as folder:
        made = Settings(**{"data": Path(folder), "allowed_networks": "127.0.0.0/8", "low_water_mb": 0, "listen_ports": "0-65535", **settings})
        running = _join(made, store, alone=True)
        await running.node.start()
        try:
            yield running
        finally:
            await running.node.stop(grace_s=3)
            await running.tools.http.close()


def mllp_port(running: RunningHub, source: int) -> int:
    """Return the port a source's listener got."""
    listener = running.doors.listener(source)
    assert isinstance(listener, Listener)
    return listener.port


def free_port() -> int:
    """Return a port nobody uses."""
    [port] = free_ports(1)
    return port


def free_ports(count: int) -> list[int]:
    """Return ports on which nobody listens, from a range that systems do not take the ports of outgoing connections from."""
    found: list[int] = []
    while len(found) < count:
        port = random.SystemRandom().randrange(20_000, 30_000)
        with socket.socket() as probe:
            if port not in found and probe.connect_ex(("127.0.0.1", port)) != 0:
                found.append(port)
    return found


async def ingest_into(store: Store, ledger, world, raw: bytes):
    """Take one message without a running node."""
    shelf = Shelf(await read_snapshot(store.database, store.keyring))
    ingest = Ingest(ledger, shelf, FormatShelf(), store.keyring, SystemClock(), lambda *_: None)
    return await ingest.accept(world.source, raw)

"""What befalls a hub and its embedded database: killed, frozen, restarted, cut off. Each takes the bed it happens on, and returns when it is done."""

import asyncio
import contextlib
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg

from bench.cluster.program import kill_all, living_in
from bench.events import Event
from bench.machine import Hub
from bench.people import Person
from bench.sinks import Receivers
from bench.traffic import Sender
from carelane.exchange.shards import LEASE_S
from carelane.store.embedded import live_postmaster
from carelane.store.place import DATABASE, SUPERUSER, Place

MOST_THOUGHT_S = 0.3
_END = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"


@dataclass
class Bed:
    """The hub, its surroundings, and what happened so far. ``sink.crashes`` is odd from the beginning of an event until every sender was acknowledged."""

    hub: Hub
    place: Place
    sink: Receivers
    senders: list[Sender]
    person: Person
    dice: random.Random
    seen: list[Event] = field(default_factory=list)
    frozen: list[int] = field(default_factory=list)
    struck: float = 0.0
    """When the last event began; kills and freezes note their very moment."""
    held_otherwise: Counter[str] = field(default_factory=Counter)

    @property
    def process(self) -> asyncio.subprocess.Process:
        """The hub's process."""
        assert self.hub.process is not None
        return self.hub.process

    def server(self) -> list[int]:
        """The process id of the database server, if it runs."""
        return [pid for pid in [live_postmaster(self.place.cluster)] if pid is not None]

    @contextlib.contextmanager
    def still(self, pids: Callable[[], Sequence[int]]) -> Iterator[None]:
        """Stop processes where they stand (with those they just made), and let them go on afterwards."""
        try:
            while set(found := pids()) - set(self.frozen):
                kill_all(found, signal.SIGSTOP)
                self.frozen += found
            yield
        finally:
            kill_all(self.frozen, signal.SIGCONT)
            self.frozen.clear()


async def kill_hub(bed: Bed) -> None:
    """Kill -9 the hub; its database stays."""
    async with _sends_under_way(bed):
        bed.process.kill()
    await bed.process.wait()
    await bed.hub.launch()


async def kill_both(bed: Bed) -> None:
    """Kill -9 the hub and its database."""
    async with _sends_under_way(bed):
        servers = bed.server()
        bed.process.kill()
        kill_all(servers)
    await bed.process.wait()
    await bed.hub.launch()


async def restart(bed: Bed) -> None:
    """Ask the hub to end, and start it again."""
    await bed.hub.stop()
    await bed.hub.launch()


async def freeze_hub(bed: Bed) -> None:
    """Stop the hub where it stands for less than a lease."""
    await _frozen(bed, lambda: [bed.process.pid], bed.dice.uniform(0.5, 6))


async def freeze_hub_long(bed: Bed) -> None:
    """Stop the hub where it stands until its lease has run out."""
    await _frozen(bed, lambda: [bed.process.pid], LEASE_S + bed.dice.uniform(1, 5))


async def freeze_database(bed: Bed) -> None:
    """Stop the database server and all its processes where they stand, as a stalled disk would."""
    await _frozen(bed, lambda: living_in(bed.place.cluster), bed.dice.uniform(2, 15))


async def kill_database(bed: Bed) -> None:
    """Kill -9 the database server; the hub starts it again."""
    async with _sends_under_way(bed):
        kill_all(bed.server())


async def kill_backend(bed: Bed) -> None:
    """Kill -9 the process of one connection: the server throws out all others and recovers."""
    async with _sends_under_way(bed):
        backends = [pid for pid in living_in(bed.place.cluster) if b"carelane_" in _title(pid)]
        kill_all([bed.dice.choice(sorted(backends))] if backends else [])


async def end_connections(bed: Bed) -> None:
    """End every connection, as an administrator can."""
    connection = await asyncpg.connect(bed.place.dsn(SUPERUSER, DATABASE))
    try:
        async with _sends_under_way(bed):
            await connection.execute(_END)
    finally:
        await connection.close()


FAULTS: dict[str, tuple[Callable[[Bed], Awaitable[None]], int]] = {
    "kill-hub": (kill_hub, 1), "kill-both": (kill_both, 1), "restart": (restart, 0), "freeze-hub": (freeze_hub, 1), "freeze-hub-long": (freeze_hub_long, 1),
    "freeze-database": (freeze_database, 0), "kill-database": (kill_database, 0), "kill-backend": (kill_backend, 0), "end-connections": (end_connections, 0),
}  # fmt: skip
"""What can be done, and how often each lane may repeat its head after it: once where the hub's process ended or stood still, else never."""


@contextlib.asynccontextmanager
async def _sends_under_way(bed: Bed) -> AsyncIterator[None]:
    """Do something while receivers have taken messages and not answered yet: the answers come right after it."""
    async with bed.sink.thinking(bed.dice.uniform(0, MOST_THOUGHT_S)):
        yield
        bed.struck = time.monotonic()


async def _frozen(bed: Bed, pids: Callable[[], Sequence[int]], seconds: float) -> None:
    async with contextlib.AsyncExitStack() as thinking:
        await thinking.enter_async_context(_sends_under_way(bed))
        with bed.still(pids):
            await thinking.aclose()
            await asyncio.sleep(seconds)


def _title(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""

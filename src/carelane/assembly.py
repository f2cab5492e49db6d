"""Joins concrete parts into a hub that takes messages; ``front.py`` joins what people see of it. No other file names concrete parts."""

import asyncio
import gc
import os
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from carelane.domain.endpoint import Snapshot
from carelane.domain.message import Problem
from carelane.exchange.attempt import Bench
from carelane.exchange.delivery import Delivery, Outside, join_delivery
from carelane.exchange.doors import Doors
from carelane.exchange.ingest import Ingest
from carelane.exchange.node import Chore, Node, Shelf
from carelane.exchange.ports import Tools
from carelane.exchange.shards import LEASE_S
from carelane.formats.hl7v2.overlays import keep_overlays
from carelane.kit.clock import SystemClock, utc_now
from carelane.kit.http import Guard, HttpClient, networks
from carelane.ops.disk import NO_ROOM, short_of_space
from carelane.ops.logs import IntakeLog, tell
from carelane.ops.settings import Settings
from carelane.ops.signals import Ending
from carelane.ops.troubles import note_troubles
from carelane.plugins import FormatShelf, TransportShelf
from carelane.store.bell import Bell
from carelane.store.chores import Chores
from carelane.store.ground import Ground, hold_ground
from carelane.store.inbox import Inbox
from carelane.store.keyuse import KeyUse
from carelane.store.leases import Leases
from carelane.store.ledger import Ledger
from carelane.store.retention import drop_old_days, kinds
from carelane.store.samples import take_samples
from carelane.store.snapshot import read_snapshot
from carelane.store.store import Store, open_on

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from carelane.exchange.hub import Hub
    from carelane.front import Front
    from carelane.web.server import WebServer

_HOUR_S, _MINUTE_S, _LAST_S, _LOOK_S = 3600.0, 60.0, 5.0, 1.0


@dataclass
class RunningHub:
    """A hub that takes messages: its node and the store below; what people see of it is made when somebody asks for it."""

    node: Node
    store: Store
    delivery: Delivery
    doors: Doors
    tools: Tools
    make_front: Callable[[], "Front"]
    beside: list["WebServer"] = field(default_factory=list)
    """Web servers that are closed together with the listeners."""

    @cached_property
    def front(self) -> "Front":
        """The facade and the web application."""
        return self.make_front()

    @property
    def hub(self) -> "Hub":
        """What pages, API and commands ask for."""
        return self.front.hub

    @property
    def app(self) -> "Starlette":
        """The web application."""
        return self.front.app


@asynccontextmanager
async def run_hub(settings: Settings, ending: Ending | None = None, held: Ground | None = None, workers: int = 1) -> AsyncIterator[RunningHub]:
    """Start a hub without its web server; drain and stop it at the end, within what ``ending`` grants.

    The order of stopping: nothing new is taken and what was taken is answered; sends in flight end and are settled; leases are given back;
    connections to the database are closed; the embedded database is stopped (by whoever ``held`` the ground).
    """
    url, ending = settings.database_url.get_secret_value() or None, ending or Ending(settings.grace_s)
    holding = nullcontext(held) if held else hold_ground(settings.data, url, serve=True, tell=tell)
    async with holding as ground, open_on(ground, settings.master_key.get_secret_value() or None) as store:
        running = _join(settings, store, alone=ground.alone, workers=workers)
        note_troubles(settings.data, ())
        try:
            await running.node.start()
            gc.collect()
            gc.freeze()  # what start-up made lives for ever: the collector need not walk it again and again under load
            gc.set_threshold(20_000, 20, 50)
            yield running
        finally:
            ending.minded.set()
            ending.begin()
            await _in_order(ending, running.node.stop(ending.left_s(), ending.cut), *(server.close(ending.cut) for server in running.beside))
            await running.tools.http.close()
            note_troubles(settings.data, ())


@asynccontextmanager
async def run_hub_with_web(settings: Settings, ending: Ending, held: Ground | None = None, workers: int = 1) -> AsyncIterator[tuple[RunningHub, int]]:
    """Start a hub with its web server; yields it and the server's port. Listeners take messages while the pages are still being made."""
    async with run_hub(settings, ending, held, workers) as running:
        await asyncio.to_thread(lambda: running.front)
        from carelane.web.server import open_web  # noqa: PLC0415  (imported by then)

        server = await open_web(running.app, settings.host, settings.port, settings.request_timeout_s, shared=workers > 1)
        running.beside.append(server)
        yield running, server.port


async def _in_order(ending: Ending, *work: Coroutine[object, object, None]) -> None:
    """Wait for what closes; what still hangs a while after the cut is left behind, so that the database is stopped in any case."""
    closing: asyncio.Future[Any] = asyncio.gather(*work, return_exceptions=True)
    cutting: asyncio.Future[Any] = asyncio.get_running_loop().create_task(_after(ending.cut))
    await asyncio.wait({closing, cutting}, return_when=asyncio.FIRST_COMPLETED)
    cutting.cancel()
    if not closing.done():
        tell("hub.cut", f"something did not end {_LAST_S:g} s after the cut")
        closing.cancel()
        await asyncio.wait({closing}, timeout=1)
        return
    for failed in closing.result():
        if isinstance(failed, Exception):
            tell("hub.cut", f"something did not close: {type(failed).__name__}")


async def _after(cut: asyncio.Event) -> None:
    await cut.wait()
    await SystemClock().sleep(_LAST_S)


def _join(settings: Settings, store: Store, *, alone: bool, workers: int = 1) -> RunningHub:
    clock, shelf, formats, transports = SystemClock(), Shelf(), FormatShelf(), TransportShelf(settings.listening)
    guard = Guard(networks(settings.allowed_networks.split(",")))
    tools = Tools(HttpClient(guard), guard, clock, Inbox(store.database, store.keyring).put, workers, tell=tell)
    ledger = Ledger(store.database)
    bell = Bell(store.database)
    name = f"{settings.node or socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
    leases = Leases(store.database, name, LEASE_S)
    delivery = join_delivery(Outside(ledger, leases, bell, shelf, transports, tools, tell), Bench(formats, store.keyring, clock))
    ingest = Ingest(ledger, shelf, formats, store.keyring, clock, delivery.rings.ring, delivery.lanes.pace.give_way)

    def told(event: str, detail: str) -> None:
        tell(event, detail)
        if (failed := note_troubles(settings.data, doors.troubles.items())) is not None:
            tell("listener.not_noted", failed)

    doors = Doors(shelf, transports, ingest.accept, tools, told)

    used, intake = KeyUse(store.database), IntakeLog()

    async def snapshot() -> Snapshot:
        found = await read_snapshot(store.database, store.keyring)
        keep_overlays(found.overlays())
        return found

    async def revive() -> bool:
        return store.server is not None and await store.server.revive(unreachable=bool(store.database.pulse.trouble))

    async def trouble() -> Problem | None:
        await store.database.look_for_room()
        found = NO_ROOM if store.database.pulse.full else short_of_space(settings.data.resolve(), settings.low_water_mb * 1024 * 1024)
        intake.note(found.code if found else store.database.pulse.trouble)
        return found

    node = Node(leases, delivery, ingest, doors, bell, shelf, clock, snapshot, revive, trouble, _chores(settings, store, used, name), tell, alone=alone)

    def front() -> "Front":
        from carelane.front import make_front  # noqa: PLC0415  (half of all imports: messages are taken before pages are there)

        return make_front(settings, store, node, tools, used)

    return RunningHub(node, store, delivery, doors, tools, front)


def _chores(settings: Settings, store: Store, used: KeyUse, name: str) -> list[Chore]:
    """Upkeep beside the journey: what writes to shared tables is done by one node at a time."""
    database, once = store.database, Chores(store.database, name).do
    old = kinds(settings.keep_bodies_days, settings.keep_metadata_days)

    async def retention() -> None:
        await drop_old_days(database, old, utc_now().date(), tell)

    single = (
        ("samples", _MINUTE_S, partial(take_samples, database)),
        ("partitions", _HOUR_S, database.ensure_partitions),
        ("retention", _HOUR_S, retention),
    )
    chores = [Chore(chore, every_s, partial(once, chore, every_s, work)) for chore, every_s, work in single]
    return [*chores, Chore("key use", _MINUTE_S, used.write)]

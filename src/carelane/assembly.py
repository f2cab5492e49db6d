"""The only file that names concrete parts and joins them into a hub."""

import asyncio
import gc
import hashlib
import os
import secrets
import socket
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from starlette.applications import Starlette

from carelane.domain.endpoint import Snapshot, Source
from carelane.domain.message import Problem
from carelane.exchange.attempt import Bench
from carelane.exchange.delivery import Delivery, Outside, join_delivery
from carelane.exchange.devtools import DevTools
from carelane.exchange.doors import Doors
from carelane.exchange.hub import Hub
from carelane.exchange.ingest import Ingest
from carelane.exchange.node import Chore, Node, Shelf
from carelane.exchange.operations import Operations
from carelane.exchange.ports import Tools
from carelane.exchange.replay import Replay
from carelane.exchange.shards import LEASE_S
from carelane.formats.hl7v2.packs import check_overlay
from carelane.kit.clock import SystemClock, utc_now
from carelane.kit.http import Guard, HttpClient, networks
from carelane.models.schemas import model_events
from carelane.ops.disk import NO_ROOM, short_of_space
from carelane.ops.logs import tell
from carelane.ops.mail import Mailer
from carelane.ops.settings import Settings
from carelane.ops.signals import Ending
from carelane.ops.troubles import note_troubles
from carelane.plugins import EndpointShelf, FormatShelf, TransportShelf
from carelane.store.bell import Bell
from carelane.store.chores import Chores
from carelane.store.desk import Desk
from carelane.store.ground import Ground, hold_ground
from carelane.store.inbox import Inbox
from carelane.store.keyuse import KeyUse
from carelane.store.leases import Leases
from carelane.store.ledger import Ledger
from carelane.store.office.endpoints import Endpoints
from carelane.store.office.operator import Operator
from carelane.store.office.partners import Notify, Partners
from carelane.store.office.personal import Answers, PersonalKeys
from carelane.store.office.subscriptions import Subscriptions
from carelane.store.office.team import Team
from carelane.store.replay import Archive
from carelane.store.retention import drop_old_days, kinds
from carelane.store.samples import take_samples
from carelane.store.snapshot import read_snapshot
from carelane.store.store import Store, open_on, open_store
from carelane.transports.http import routes
from carelane.web.app import make_app
from carelane.web.server import WebServer, open_web

_HOUR_S, _MINUTE_S, _LAST_S, _LOOK_S = 3600.0, 60.0, 5.0, 1.0


@dataclass
class RunningHub:
    """A hub that takes messages: its facade, its node, its web application and the store below."""

    hub: Hub
    node: Node
    app: Starlette
    store: Store
    delivery: Delivery
    doors: Doors
    tools: Tools
    beside: list[WebServer] = field(default_factory=list)
    """Web servers that are closed together with the listeners."""


@asynccontextmanager
async def open_desk(settings: Settings) -> AsyncIterator[tuple[Store, Desk]]:
    """Open the store for a command, beside a running hub or alone."""
    async with open_store(
        settings.data, settings.database_url.get_secret_value() or None, settings.master_key.get_secret_value() or None, serve=False
    ) as store:
        yield store, Desk(store.database, store.keyring)


@asynccontextmanager
async def open_replay(settings: Settings) -> AsyncIterator[Replay]:
    """Open the store for replaying, with the catalogue as it is now: beside a running hub, which is rung, or alone."""
    async with open_store(
        settings.data, settings.database_url.get_secret_value() or None, settings.master_key.get_secret_value() or None, serve=False
    ) as store:
        shelf = Shelf(await read_snapshot(store.database, store.keyring))
        yield make_replay(store, shelf, FormatShelf())


@asynccontextmanager
async def open_operator(settings: Settings, actor: str) -> AsyncIterator[Operator]:
    """Open the store for the operator's own commands."""
    async with open_store(
        settings.data, settings.database_url.get_secret_value() or None, settings.master_key.get_secret_value() or None, serve=False
    ) as store:
        notify = Mailer(settings.smtp_url.get_secret_value(), settings.mail_from).send
        yield Operator(store.database, make_team(store, notify), actor)


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
    """Start a hub with its web server; yields it and the server's port."""
    async with run_hub(settings, ending, held, workers) as running:
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
    tools = Tools(HttpClient(guard, limit_per_host=256), guard, clock, Inbox(store.database, store.keyring).put, workers)
    ledger = Ledger(store.database)
    bell = Bell(store.database)
    name = f"{settings.node or socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
    leases = Leases(store.database, name, LEASE_S)
    delivery = join_delivery(Outside(ledger, leases, bell, shelf, transports, tools, tell), Bench(formats, store.keyring, clock))
    ingest = Ingest(ledger, shelf, formats, store.keyring, clock, delivery.rings.ring, delivery.turns.pace.give_way)

    def told(event: str, detail: str) -> None:
        tell(event, detail)
        if (failed := note_troubles(settings.data, doors.troubles.items())) is not None:
            tell("listener.not_noted", failed)

    doors = Doors(shelf, transports, ingest.accept, tools, told)

    used = KeyUse(store.database)

    async def snapshot() -> Snapshot:
        return await read_snapshot(store.database, store.keyring)

    async def revive() -> bool:
        return store.server is not None and await store.server.revive(unreachable=bool(store.database.pulse.trouble))

    async def trouble() -> Problem | None:
        await store.database.look_for_room()
        return NO_ROOM if store.database.pulse.full else short_of_space(settings.data.resolve(), settings.low_water_mb * 1024 * 1024)

    node = Node(leases, delivery, ingest, doors, bell, shelf, clock, snapshot, revive, trouble, _chores(settings, store, used, name), tell, alone=alone)
    hub = _hub(settings, store, node, EndpointShelf(tools), formats)

    def find_source(token: str) -> Source | None:
        digest = hashlib.sha256(token.encode()).digest()
        found = hub.source_of_key(digest) if token else None
        if found is not None:
            used.note(digest)
        return found

    app = make_app(hub, routes(ingest.accept, find_source), secure_cookies=settings.host not in ("127.0.0.1", "localhost", "::1"), open_to_all=settings.sign_up)
    return RunningHub(hub, node, app, store, delivery, doors, tools)


def make_replay(store: Store, shelf: Shelf, formats: FormatShelf) -> Replay:
    """Join what replays messages."""
    return Replay(Archive(store.database), lambda: shelf.snapshot, lambda: read_snapshot(store.database, store.keyring), formats, store.keyring)


def _hub(settings: Settings, store: Store, node: Node, methods: EndpointShelf, formats: FormatShelf) -> Hub:
    """What pages, API and commands ask for."""
    ingest, shelf, doors = node.ingest, node.shelf, node.doors
    notify = Mailer(settings.smtp_url.get_secret_value(), settings.mail_from).send
    desk = Desk(store.database, store.keyring)
    return Hub(
        desk,
        ingest.accept,
        formats,
        lambda: shelf.snapshot,
        lambda: {int(key): text for key, text in doors.troubles.items()},
        lambda: ingest.refusing.code if ingest.refusing else store.database.pulse.trouble,
        make_team(store, notify),
        Partners(store.database, notify),
        Subscriptions(store.database, lambda text: check_overlay(text).title),
        Endpoints(store.database, store.keyring, methods, settings.listening),
        DevTools(ingest.accept, lambda: shelf.snapshot),
        methods,
        Operations(desk, make_replay(store, shelf, formats)),
        PersonalKeys(store.database),
        Answers(store.database, store.keyring),
    )


def make_team(store: Store, notify: Notify) -> Team:
    """Join the office's people part: its default connections carry every data model this hub knows."""
    return Team(store.database, store.keyring, notify, tuple(model_events()))


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

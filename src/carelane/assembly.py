"""The only file that names concrete parts and joins them into a hub."""

import asyncio
import gc
import hashlib
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from starlette.applications import Starlette

from carelane.domain.endpoint import Snapshot, Source
from carelane.domain.message import Problem
from carelane.exchange.devtools import DevTools
from carelane.exchange.doors import Doors
from carelane.exchange.hub import Hub
from carelane.exchange.ingest import Ingest
from carelane.exchange.lane import Bench
from carelane.exchange.node import Node, Shelf
from carelane.exchange.operations import Operations
from carelane.exchange.ports import Tools
from carelane.exchange.run import Runner
from carelane.formats.hl7v2.overlays import check_overlay, keep_overlays
from carelane.kit.clock import SystemClock
from carelane.kit.http import Guard, HttpClient, networks
from carelane.models.schemas import model_events
from carelane.ops.disk import short_of_space
from carelane.ops.logs import tell
from carelane.ops.mail import Mailer
from carelane.ops.settings import Settings
from carelane.plugins import EndpointShelf, FormatShelf, TransportShelf
from carelane.store.desk import Desk
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
from carelane.store.samples import take_samples
from carelane.store.snapshot import Bell, read_snapshot
from carelane.store.store import Store, open_store
from carelane.transports.http import routes
from carelane.web.app import make_app
from carelane.web.server import serve_app

_PARTITIONS_EVERY_S, _SAMPLES_EVERY_S = 3600.0, 60.0


@dataclass
class RunningHub:
    """A hub that takes messages: its facade, its node, its web application and the store below."""

    hub: Hub
    node: Node
    app: Starlette
    store: Store
    runner: Runner
    doors: Doors
    tools: Tools


@asynccontextmanager
async def open_desk(settings: Settings) -> AsyncIterator[tuple[Store, Desk]]:
    """Open the store for a command, beside a running hub or alone."""
    async with open_store(
        settings.data, settings.database_url.get_secret_value() or None, settings.master_key.get_secret_value() or None, serve=False
    ) as store:
        yield store, Desk(store.database, store.keyring, Ledger(store.database))


@asynccontextmanager
async def open_operator(settings: Settings, actor: str) -> AsyncIterator[Operator]:
    """Open the store for the operator's own commands."""
    async with open_store(
        settings.data, settings.database_url.get_secret_value() or None, settings.master_key.get_secret_value() or None, serve=False
    ) as store:
        notify = Mailer(settings.smtp_url.get_secret_value(), settings.mail_from).send
        yield Operator(store.database, make_team(store, notify), actor)


@asynccontextmanager
async def run_hub(settings: Settings) -> AsyncIterator[RunningHub]:
    """Start a hub without its web server; drain and stop it at the end."""
    url = settings.database_url.get_secret_value() or None
    async with open_store(settings.data, url, settings.master_key.get_secret_value() or None, serve=True) as store:
        running = _join(settings, store, alone=url is None)
        await running.node.start()
        gc.collect()
        gc.freeze()  # what start-up made lives for ever: the collector need not walk it again and again under load
        gc.set_threshold(20_000, 20, 50)
        for source, text in running.doors.troubles.items():
            tell("listener.trouble", f"source {source}: {text}")
        try:
            yield running
        finally:
            tell("hub.stopping")
            await running.node.stop()
            await running.tools.http.close()


def _join(settings: Settings, store: Store, *, alone: bool) -> RunningHub:
    clock, shelf, formats, transports = SystemClock(), Shelf(), FormatShelf(), TransportShelf()
    guard = Guard(networks(settings.allowed_networks.split(",")))
    tools = Tools(HttpClient(guard, limit_per_host=256), guard, clock, Inbox(store.database, store.keyring).put)
    ledger = Ledger(store.database)
    leases = Leases(store.database, settings.node or f"{socket.gethostname()}-{os.getpid()}")
    runner = Runner(ledger, leases, shelf, transports, Bench(formats, store.keyring, clock), tools)
    ingest = Ingest(ledger, shelf, formats, store.keyring, clock, runner.ring)
    doors = Doors(shelf, transports, ingest.accept, tools)

    used = KeyUse(store.database)

    async def snapshot() -> Snapshot:
        found = await read_snapshot(store.database, store.keyring)
        keep_overlays(found.overlays())
        return found

    async def revive() -> bool:
        return await store.server.revive() if store.server is not None else False

    node = Node(leases, runner, ingest, doors, Bell(store.database), shelf, clock, snapshot, revive, _upkeep(settings, store, used), tell, alone=alone)
    notify = Mailer(settings.smtp_url.get_secret_value(), settings.mail_from).send
    methods = EndpointShelf(tools)
    desk = Desk(store.database, store.keyring, ledger)
    hub = Hub(
        desk,
        ingest.accept,
        formats,
        lambda: shelf.snapshot,
        lambda: {int(key): text for key, text in doors.troubles.items()},
        lambda: ingest.refusing is None,
        make_team(store, notify),
        Partners(store.database, notify),
        Subscriptions(store.database, name_overlay),
        Endpoints(store.database, store.keyring, methods),
        DevTools(ingest.accept, lambda: shelf.snapshot),
        methods,
        Operations(desk),
        PersonalKeys(store.database),
        Answers(store.database, store.keyring),
    )

    def find_source(token: str) -> Source | None:
        digest = hashlib.sha256(token.encode()).digest()
        found = hub.source_of_key(digest) if token else None
        if found is not None:
            used.note(digest)
        return found

    app = make_app(hub, routes(ingest.accept, find_source), secure_cookies=settings.host not in ("127.0.0.1", "localhost", "::1"), open_to_all=settings.sign_up)
    return RunningHub(hub, node, app, store, runner, doors, tools)


async def name_overlay(text: str) -> str:
    """Check an overlay in a thread, for it takes a moment; return its name and version. Raises ``PackBroken``."""
    return (await asyncio.to_thread(check_overlay, text)).title


def make_team(store: Store, notify: Notify) -> Team:
    """Join the office's people part: its default connections carry every data model this hub knows."""
    return Team(store.database, store.keyring, notify, tuple(model_events()))


def _upkeep(settings: Settings, store: Store, used: KeyUse) -> Callable[[], Awaitable[Problem | None]]:
    """Partitions ahead of time, and an eye on the disk."""
    folder: Path = settings.data.resolve()

    clock, due, sample_due = SystemClock(), 0.0, 0.0

    async def upkeep() -> Problem | None:
        nonlocal due, sample_due
        if clock.monotonic() >= sample_due:
            await take_samples(store.database)
            await used.write()
            sample_due = clock.monotonic() + _SAMPLES_EVERY_S
        if clock.monotonic() >= due:  # partitions are a week ahead, so once an hour is plenty
            await store.database.ensure_partitions()
            due = clock.monotonic() + _PARTITIONS_EVERY_S
        return short_of_space(folder, settings.low_water_mb * 1024 * 1024)

    return upkeep


async def serve(settings: Settings) -> None:
    """Run a hub with its web server until a signal comes."""
    async with run_hub(settings) as running:
        tell("hub.started", f"http://{settings.host}:{settings.port}")
        await serve_app(running.app, settings.host, settings.port, settings.request_timeout_s)
    tell("hub.stopped")

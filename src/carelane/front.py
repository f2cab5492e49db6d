"""Joins what people see of a hub: the office, the pages, the platform API, the commands. Imported when messages are taken already."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from starlette.applications import Starlette

from carelane.domain.endpoint import Source
from carelane.exchange.devtools import DevTools
from carelane.exchange.hub import Hub
from carelane.exchange.node import Node, Shelf
from carelane.exchange.operations import Operations
from carelane.exchange.ports import Tools
from carelane.exchange.replay import Replay
from carelane.formats.hl7v2.overlays import check_overlay
from carelane.models.schemas import model_events
from carelane.ops.mail import Mailer
from carelane.ops.settings import Settings
from carelane.plugins import EndpointShelf, FormatShelf
from carelane.store.desk import Desk
from carelane.store.keyuse import KeyUse
from carelane.store.office.endpoints import Endpoints
from carelane.store.office.operator import Operator
from carelane.store.office.partners import Notify, Partners
from carelane.store.office.personal import Answers, PersonalKeys
from carelane.store.office.subscriptions import Subscriptions
from carelane.store.office.team import Team
from carelane.store.replay import Archive
from carelane.store.snapshot import read_snapshot
from carelane.store.store import Store, open_store
from carelane.transports.http import routes
from carelane.web.app import make_app


@dataclass(frozen=True)
class Front:
    """The facade, and the web application that speaks to it."""

    hub: Hub
    app: Starlette


def make_front(settings: Settings, store: Store, node: Node, tools: Tools, used: KeyUse) -> Front:
    """Join it for a node."""
    hub = _hub(settings, store, node, EndpointShelf(tools))

    def find_source(token: str) -> Source | None:
        digest = hashlib.sha256(token.encode()).digest()
        found = hub.source_of_key(digest) if token else None
        if found is not None:
            used.note(digest)
        return found

    secure = settings.host not in ("127.0.0.1", "localhost", "::1")
    return Front(hub, make_app(hub, routes(node.ingest.accept, find_source), secure_cookies=secure, open_to_all=settings.sign_up))


def _hub(settings: Settings, store: Store, node: Node, methods: EndpointShelf) -> Hub:
    """What pages, API and commands ask for."""
    ingest, shelf, doors, formats = node.ingest, node.shelf, node.doors, FormatShelf()
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
        Subscriptions(store.database, name_overlay),
        Endpoints(store.database, store.keyring, methods, settings.listening),
        DevTools(ingest.accept, lambda: shelf.snapshot),
        methods,
        Operations(desk, make_replay(store, shelf, formats)),
        PersonalKeys(store.database),
        Answers(store.database, store.keyring),
    )


async def name_overlay(text: str) -> str:
    """Check an overlay in a thread, for it takes a moment; return its name and version. Raises ``PackBroken``."""
    return (await asyncio.to_thread(check_overlay, text)).title


def make_replay(store: Store, shelf: Shelf, formats: FormatShelf) -> Replay:
    """Join what replays messages."""
    return Replay(Archive(store.database), lambda: shelf.snapshot, lambda: read_snapshot(store.database, store.keyring), formats, store.keyring)


def make_team(store: Store, notify: Notify) -> Team:
    """Join the office's people part: its default connections carry every data model this hub knows."""
    return Team(store.database, store.keyring, notify, tuple(model_events()))


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

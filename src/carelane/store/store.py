"""Opens the store for a process: the hub that serves, or a command that visits."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from carelane.store.database import Database
from carelane.store.embedded import EmbeddedServer
from carelane.store.ground import Ground, hold_ground
from carelane.store.keys import Keyring, load_master_key
from carelane.store.migrate import migrate


@dataclass
class Store:
    """An open database with its keys; ``server`` is ours only in embedded mode."""

    database: Database
    keyring: Keyring
    server: EmbeddedServer | None = None


@asynccontextmanager
async def open_store(data: Path, url: str | None, master_key: str | None, *, serve: bool) -> AsyncIterator[Store]:
    """Open the store; the hub (``serve``) holds the data folder alone, commands may visit beside it.

    Raises:
        Conflict: another hub serves this folder.
        Misconfigured, StoreLost: see the parts.
    """
    async with hold_ground(data, url, serve=serve) as ground, open_on(ground, master_key) as store:
        yield store


@asynccontextmanager
async def open_on(ground: Ground, master_key: str | None) -> AsyncIterator[Store]:
    """Open the store on a ground that is held: wait for its server, bring the schema up to date, load the keys."""
    await ground.ready()
    database, master = Database(ground.dsn), load_master_key(ground.data / "keys", master_key)
    await database.check()
    await migrate(database)
    await database.ensure_partitions()
    await database.open()
    try:
        keyring = Keyring(master)
        await keyring.load(database)
        yield Store(database, keyring, ground.server)
    finally:
        await database.close()

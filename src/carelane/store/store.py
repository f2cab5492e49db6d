"""Opens the store for a process: the hub that serves, or a command that visits."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from carelane.domain.errors import Conflict
from carelane.kit.locks import AlreadyLocked, FolderLock
from carelane.kit.seal import Key
from carelane.store.database import Database
from carelane.store.embedded import EmbeddedServer, find_place, live_postmaster
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
    data = _made(data)
    lock = FolderLock(data / "hub.lock")
    locked = _acquire(lock, data, serve=serve)
    server = None
    try:
        dsn = url
        if dsn is None:
            place = find_place(data)
            if locked:
                server = EmbeddedServer(place)
                await server.start()
            elif live_postmaster(place.cluster) is None:
                raise Conflict(f"the hub on {data} is starting or stopping; try again in a moment")
            dsn = place.dsn()
        async with _opened(Database(dsn), load_master_key(data / "keys", master_key)) as store:
            store.server = server
            yield store
    finally:
        if server is not None:
            await asyncio.shield(server.stop())
        lock.release()


@asynccontextmanager
async def _opened(database: Database, master: Key) -> AsyncIterator[Store]:
    await database.check()
    await migrate(database)
    await database.ensure_partitions()
    await database.open()
    try:
        keyring = Keyring(master)
        await keyring.load(database)
        yield Store(database, keyring)
    finally:
        await database.close()


def _made(folder: Path) -> Path:
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _acquire(lock: FolderLock, data: Path, *, serve: bool) -> bool:
    try:
        lock.acquire()
    except AlreadyLocked as busy:
        if serve:
            raise Conflict(f"another hub (process {busy.holder}) serves {data}; stop it, or choose another folder with CARELANE_DATA") from None
        return False
    return True

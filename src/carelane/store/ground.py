"""What a store stands on: the data folder's lock, and a PostgreSQL server that is ours, somebody else's, or already there."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from carelane.domain.errors import Conflict
from carelane.kit.locks import AlreadyLocked, FolderLock
from carelane.store.embedded import EmbeddedServer, Tell, find_place, live_postmaster, silent

_WORKERS = "workers.lock"


@dataclass(frozen=True)
class Ground:
    """A folder that is ours to use and the URL of its database; ``server`` is ours only in embedded mode."""

    data: Path
    dsn: str
    server: EmbeddedServer | None = None
    alone: bool = False
    """Whether no other node can live on this database: it is embedded, the folder is ours, and no worker of a former hub is left on it."""

    async def ready(self) -> None:
        """Wait until our server answers."""
        if self.server is not None:
            await self.server.ready()


@asynccontextmanager
async def hold_ground(data: Path, url: str | None, *, serve: bool, tell: Tell = silent) -> AsyncIterator[Ground]:
    """Lock the folder and set the server going, without waiting for it; it is stopped at the end, the last thing of all.

    The hub (``serve``) holds the folder alone, commands may visit beside it.

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
                server = EmbeddedServer(place, tell)
                await server.launch()
            elif live_postmaster(place.cluster) is None:
                raise Conflict(f"the hub on {data} is starting or stopping; try again in a moment")
            dsn = place.dsn()
        yield Ground(data, dsn, server, alone=serve and url is None and locked and _no_worker(data))
    finally:
        if server is not None:
            await asyncio.shield(server.stop())
        lock.release()


@contextmanager
def hold_as_worker(data: Path) -> Iterator[None]:
    """Let it be seen that a worker lives on this folder, for as long as it does."""
    lock = FolderLock(_made(data) / _WORKERS).acquire(shared=True)
    try:
        yield
    finally:
        lock.release()


def _no_worker(data: Path) -> bool:
    lock = FolderLock(data / _WORKERS)
    try:
        lock.acquire()
    except AlreadyLocked:
        return False
    lock.release()
    return True


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

"""What a store stands on: the data folder's lock, and a PostgreSQL server that is ours, somebody else's, or already there."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from carelane.domain.errors import Conflict
from carelane.kit.locks import AlreadyLocked, FolderLock
from carelane.store.embedded import EmbeddedServer, Tell, find_place, live_postmaster, silent


@dataclass(frozen=True)
class Ground:
    """A folder that is ours to use and the URL of its database; ``server`` is ours only in embedded mode."""

    data: Path
    dsn: str
    server: EmbeddedServer | None = None

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
        yield Ground(data, dsn, server)
    finally:
        if server is not None:
            await asyncio.shield(server.stop())
        lock.release()


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

"""Writes and reads beside a hub, through pools opened as the hub opens its own, and notes what it is told."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import asyncpg
from sqlalchemy.exc import DBAPIError

from carelane.domain.errors import StoreLost
from carelane.domain.ids import OrgId
from carelane.store.database import ENGINE_ROLE, Database

_EVERY_S = 0.1


class Probe:
    """One pool for the journey and one for people; ``faults`` is what neither could do."""

    def __init__(self, dsn: str) -> None:
        self._database = Database(dsn)
        self._failures: list[tuple[float, str]] = []
        self.written = 0

    async def run(self) -> None:
        """Write and read until cancelled."""
        await self._database.open()
        try:
            while True:
                await asyncio.gather(self._noting(self._write), self._noting(self._read))
                await asyncio.sleep(_EVERY_S)
        finally:
            await self._database.close()

    def faults(self, since: float) -> dict[str, int]:
        """What went wrong since then, by SQLSTATE or the error's name, and how often."""
        return dict(Counter(fault for at, fault in self._failures if at > since))

    async def _write(self) -> str | None:
        await self._database.engine.execute("INSERT INTO cluster_probe DEFAULT VALUES")
        self.written += 1
        return None

    async def _read(self) -> str | None:
        async with self._database.as_org(OrgId(0)) as connection:
            stale = (await connection.exec_driver_sql("SELECT pg_is_in_recovery()")).scalar()
        return "read from a standby" if stale else None

    async def _noting(self, call: Callable[[], Awaitable[str | None]]) -> None:
        try:
            fault = await call()
        except (asyncpg.PostgresError, DBAPIError) as error:
            told = error.orig if isinstance(error, DBAPIError) else error
            fault = str(getattr(told, "sqlstate", None) or type(error).__name__)
        except (StoreLost, OSError, asyncpg.InterfaceError, TimeoutError) as error:
            fault = type(error).__name__
        if fault is not None:
            self._failures.append((time.monotonic(), fault))


@asynccontextmanager
async def probing(dsn: str) -> AsyncIterator[Probe]:
    """Let a probe run beside whatever is done meanwhile."""
    owner = await Database(dsn).connect_owner()
    await owner.execute(f"CREATE TABLE IF NOT EXISTS cluster_probe (at timestamptz DEFAULT now()); GRANT INSERT ON cluster_probe TO {ENGINE_ROLE}")
    await owner.close()
    probe = Probe(dsn)
    running = asyncio.create_task(probe.run())
    while not probe.written and not running.done():
        await asyncio.sleep(0.02)
    try:
        yield probe
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

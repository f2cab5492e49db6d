"""The journey's connections: what becomes of them, and what their callers see, when the database is in trouble.

When a server is demoted, restarted or gone, every connection of that time is given up, and the next call connects afresh, to whichever
host takes writes by then; the caller gets ``StoreLost`` and may try again. Waiting for a connection ends; a statement that was sent is
never cut short by us.
"""

import asyncio
import contextlib
from typing import Any

import asyncpg

from carelane.store.connecting import Connection, EngineConnection, connect
from carelane.store.trouble import AGAIN, LOST, SHORT, Pulse, has_state, is_gone, is_lost, lost

ACQUIRE_S = 10.0


class Pool:
    """Connections shared by many callers. Waiting for one ends after ten seconds; a statement that was sent is never cut short by us."""

    def __init__(self, dsn: str, size: int, settings: dict[str, str], pulse: Pulse) -> None:
        self._pulse = pulse
        self._era = 0
        self._size, self._wanted = size, 0
        self._pool = asyncpg.create_pool(
            dsn,
            connect=self._connect,
            connection_class=EngineConnection,
            min_size=0,
            max_size=size,
            max_inactive_connection_lifetime=0,
            server_settings=settings,
        )

    async def open(self) -> "Pool":
        """Make ready; connections are made when they are asked for."""
        await self._pool
        return self

    def acquire(self) -> "_Loan":
        """Lend a connection to a server that takes writes, with ``async with``.

        Raises:
            StoreLost: there is none in time, or the server went away while it was used; whether it committed is unknown then.
        """
        return _Loan(self)

    async def fetch(self, statement: str, *values: object) -> list[asyncpg.Record]:
        """Run one statement; return its rows."""
        async with self.acquire() as connection:
            found: list[asyncpg.Record] = await connection.fetch(statement, *values)
            return found

    async def fetchrow(self, statement: str, *values: object) -> asyncpg.Record | None:
        """Run one statement; return its first row."""
        async with self.acquire() as connection:
            return await connection.fetchrow(statement, *values)

    async def fetchval(self, statement: str, *values: object) -> Any:
        """Run one statement; return the first value of its first row."""
        async with self.acquire() as connection:
            return await connection.fetchval(statement, *values)

    async def execute(self, statement: str, *values: object) -> str:
        """Run one statement; return what the server said about it."""
        async with self.acquire() as connection:
            return str(await connection.execute(statement, *values))

    async def close(self, patience_s: float = 5.0) -> None:
        """Close every connection, waiting briefly for calls in flight."""
        try:
            await asyncio.wait_for(self._pool.close(), patience_s)
        except (TimeoutError, *LOST):
            self._pool.terminate()

    async def lend(self) -> asyncpg.Connection:
        """Take a connection out of the pool. Raises ``StoreLost``."""
        self._wanted += 1
        try:
            return await self._pool.acquire(timeout=ACQUIRE_S if self._wanted > self._size else None)  # where one is free nobody need look at the clock
        except BaseException as error:
            self._wanted -= 1
            if not isinstance(error, Exception):
                raise
            raise self._judge(error, gone=is_lost(error)) from None

    async def take_back(self, connection: asyncpg.Connection, era: int, error: BaseException | None) -> Exception | None:
        """Put a connection back; return what its borrower is to see instead of the error it met."""
        told: Exception | None = None
        try:
            if isinstance(error, Exception):
                gone = is_gone(error, closed=_is_closed(connection))
                if gone:
                    await self._give_up(connection, era)
                told = self._judge(error, gone=gone)
            elif error is None:
                self._pulse.well()
        finally:
            self._wanted -= 1
            with contextlib.suppress(*LOST):  # what was asked is answered; a connection that breaks on its way back is thrown away
                await self._pool.release(connection, timeout=None if error is None else ACQUIRE_S)
        return told

    async def _connect(self, *args: Any, **kwargs: Any) -> Connection:
        era = self._era
        kwargs.pop("loop", None)
        made = await connect(*args, **kwargs)
        made.era = era
        return made

    def _judge(self, error: Exception, *, gone: bool) -> Exception:
        """Return what the caller is to see of an error."""
        if gone or has_state(error, SHORT):
            self._pulse.ill(error)
        elif isinstance(error, asyncpg.PostgresError):
            self._pulse.well()
        return lost(error) if gone or has_state(error, SHORT + AGAIN) else error

    async def _give_up(self, connection: Any, era: int) -> None:
        """Throw this connection away, and with it all that were made before the trouble was known."""
        if not _is_closed(connection):
            connection.terminate()
        if era == self._era:
            self._era += 1
            await self._pool.expire_connections()


class _Loan:
    """A connection lent for a while; as a class, because every commit of the journey passes here."""

    __slots__ = ("_connection", "_era", "_pool")

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def __aenter__(self) -> asyncpg.Connection:
        self._connection = await self._pool.lend()
        self._era = self._connection.era
        return self._connection

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        told = await self._pool.take_back(self._connection, self._era, error)
        if told is not None and told is not error:
            raise told from None


def _is_closed(connection: Any) -> bool:
    try:
        return bool(connection.is_closed())
    except asyncpg.InterfaceError:  # the pool took it back when it broke
        return True

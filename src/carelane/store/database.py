"""Connections to PostgreSQL by role: the engine for the journey, web for people, the owner for upkeep."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import asyncpg
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from carelane.domain.errors import Misconfigured, StoreLost
from carelane.domain.ids import OrgId
from carelane.kit.clock import utc_now

ENGINE_ROLE, WEB_ROLE = "carelane_engine", "carelane_web"
_DAYS_AHEAD = 7
_OLDEST_VERSION = 150000
LOST = (OSError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError, asyncpg.CannotConnectNowError, asyncpg.AdminShutdownError, TimeoutError)
"""What asyncpg raises when the server went away, or never came."""


class _EngineConnection(asyncpg.Connection):  # type: ignore[misc]
    """A connection whose session never changes: no LISTEN, no session locks, no SET; so nothing is to be reset when it goes back to the pool.

    asyncpg asks the server for a reset after every use otherwise: one more round trip for every statement of the journey.
    """

    def get_reset_query(self) -> str:
        """Nothing to reset; an open transaction is rolled back all the same."""
        return ""


@dataclass
class Database:
    """Opened once per process; closed at the end. ``dsn`` signs in as the owner of the schema."""

    dsn: str = field(repr=False)
    _engine: asyncpg.Pool | None = field(default=None, repr=False)
    _web: AsyncEngine | None = field(default=None, repr=False)

    async def open(self) -> "Database":
        """Connect by role; the schema must be there (``migrate``)."""
        self._engine = await asyncpg.create_pool(
            self.dsn,
            connection_class=_EngineConnection,
            min_size=2,
            max_size=12,
            command_timeout=None,
            max_inactive_connection_lifetime=0,
            server_settings={
                "role": ENGINE_ROLE,
                "application_name": "carelane-engine",
                "search_path": "public",
                "timezone": "UTC",
                "lock_timeout": "30s",
                "jit": "off",
                # Plans are made once, while the tables are still empty: they must be the ones that suit full tables with a partition a day.
                "plan_cache_mode": "force_generic_plan",
                "enable_seqscan": "off",
                "enable_hashjoin": "off",
                "enable_mergejoin": "off",
            },
        )
        self._web = self.sqlalchemy(WEB_ROLE)
        return self

    def sqlalchemy(self, role: str | None) -> AsyncEngine:
        """Make an SQLAlchemy engine for a role; the schema's owner when None."""
        settings = {"application_name": f"carelane-{role or 'owner'}", "search_path": "public", "timezone": "UTC"}
        if role:
            settings |= {"role": role, "statement_timeout": "15s", "lock_timeout": "5s"}
        return create_async_engine(
            "postgresql+asyncpg://",
            poolclass=AsyncAdaptedQueuePool,
            pool_size=4,
            max_overflow=4,
            async_creator=lambda: asyncpg.connect(self.dsn, server_settings=settings),
        )

    @property
    def engine(self) -> asyncpg.Pool:
        """The pool of the journey."""
        if self._engine is None:
            raise StoreLost("the database is not open")
        return self._engine

    @asynccontextmanager
    async def as_org(self, org: OrgId) -> AsyncIterator[AsyncConnection]:
        """Open a read transaction that sees what this organization may see, and nothing else."""
        if self._web is None:
            raise StoreLost("the database is not open")
        async with self._web.begin() as connection:
            await connection.exec_driver_sql("SELECT set_config('carelane.org', $1, true)", (str(org),))
            yield connection

    async def connect_owner(self) -> asyncpg.Connection:
        """Open one connection as the owner of the schema; the caller closes it."""
        return await asyncpg.connect(self.dsn, server_settings={"application_name": "carelane-owner", "search_path": "public", "timezone": "UTC"})

    async def ensure_partitions(self) -> int:
        """Make the day partitions from yesterday to a week ahead; return how many were missing."""
        today = utc_now().date()
        connection = await self.connect_owner()
        try:
            made = await connection.fetchval("SELECT ensure_partitions($1, $2)", today - timedelta(days=1), today + timedelta(days=_DAYS_AHEAD))
        finally:
            await connection.close()
        return int(made)

    async def reset(self) -> None:
        """Drop every pooled connection after the server went away; the next call connects afresh."""
        if self._engine is not None:
            await self._engine.expire_connections()

    async def close(self) -> None:
        """Close every connection, waiting briefly for calls in flight."""
        if self._engine is not None:
            try:
                await asyncio.wait_for(self._engine.close(), 5)
            except TimeoutError:
                self._engine.terminate()
            self._engine = None
        if self._web is not None:
            await self._web.dispose()
            self._web = None

    async def check(self) -> None:
        """Refuse a server that may lose what it acknowledged.

        Raises:
            Misconfigured: the server is too old or not durable; the setting is named.
            StoreLost: it cannot be reached.
        """
        try:
            connection = await self.connect_owner()
        except LOST as error:
            raise StoreLost(f"the database cannot be reached: {type(error).__name__}") from error
        except asyncpg.PostgresError as error:
            raise Misconfigured(f"the database refuses us: {error.sqlstate} {type(error).__name__}; check CARELANE_DATABASE_URL") from error
        try:
            if int(await connection.fetchval("SHOW server_version_num")) < _OLDEST_VERSION:
                raise Misconfigured("the database server is older than PostgreSQL 15")
            for setting, allowed in _DURABLE.items():
                value = await connection.fetchval(f"SHOW {setting}")
                if value not in allowed:
                    raise Misconfigured(f"the database has {setting} = {value}: acknowledged messages could be lost. Set it to {allowed[0]}")
        finally:
            await connection.close()


_DURABLE = {"fsync": ("on",), "full_page_writes": ("on",), "synchronous_commit": ("on", "remote_apply")}

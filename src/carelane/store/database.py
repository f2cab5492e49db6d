"""Connections to PostgreSQL by role: the engine for the journey, web for people, the owner for upkeep."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

import asyncpg

from carelane.domain.errors import Misconfigured, StoreLost
from carelane.domain.ids import OrgId
from carelane.kit.clock import utc_now
from carelane.store.connecting import connect
from carelane.store.pool import Pool
from carelane.store.trouble import LOST, Pulse, is_gone, is_lost, lost

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

ENGINE_ROLE, WEB_ROLE = "carelane_engine", "carelane_web"
_DAYS_AHEAD = 7
_OLDEST_VERSION = 150000
_ENGINE_CONNECTIONS = 12
_ENGINE = {
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
}
_OWNER = {"application_name": "carelane-owner", "search_path": "public", "timezone": "UTC"}
# Four megabytes that are asked for and given back: they fit, or the disk is still full.
_ROOM = "CREATE TEMPORARY TABLE room ON COMMIT DROP AS SELECT n, repeat('x', 1000) FROM generate_series(1, 4000) n"


@dataclass
class Database:
    """Opened once per process; closed at the end. ``dsn`` signs in as the owner of the schema."""

    dsn: str = field(repr=False)
    pulse: Pulse = field(default_factory=Pulse, repr=False)
    _engine: Pool | None = field(default=None, repr=False)
    _web: "AsyncEngine | None" = field(default=None, repr=False)

    async def open(self) -> "Database":
        """Make the pools ready; the schema must be there (``migrate``)."""
        self._engine = await Pool(self.dsn, _ENGINE_CONNECTIONS, _ENGINE, self.pulse).open()
        return self

    @property
    def engine(self) -> Pool:
        """The pool of the journey."""
        if self._engine is None:
            raise StoreLost("the database is not open")
        return self._engine

    @asynccontextmanager
    async def as_org(self, org: OrgId) -> AsyncIterator["AsyncConnection"]:
        """Open a read transaction that sees what this organization may see, and nothing else.

        Raises:
            StoreLost: the database is away.
        """
        from carelane.store.web_pool import lost_or_raised, web_engine  # noqa: PLC0415  (a heavy library that the journey does without)

        if self._engine is None:
            raise StoreLost("the database is not open")
        self._web = self._web or web_engine(self.dsn, WEB_ROLE)
        async with lost_or_raised(), self._web.begin() as connection:
            await connection.exec_driver_sql("SELECT set_config('carelane.org', $1, true)", (str(org),))
            yield connection

    async def connect_owner(self) -> asyncpg.Connection:
        """Open one connection as the owner of the schema; the caller closes it.

        Raises:
            StoreLost: there is no server that takes writes.
        """
        try:
            return await connect(self.dsn, server_settings=_OWNER)
        except LOST as error:
            if not is_lost(error):
                raise
            raise lost(error) from None

    @asynccontextmanager
    async def as_owner(self) -> AsyncIterator[asyncpg.Connection]:
        """Lend a connection as the owner of the schema, for upkeep.

        Raises:
            StoreLost: the database is away.
        """
        connection = await self.connect_owner()
        try:
            yield connection
        except Exception as error:
            raise lost(error) if is_gone(error, closed=connection.is_closed()) else error from None
        finally:
            with suppress(*LOST):
                await connection.close(timeout=2)

    async def look_for_room(self) -> None:
        """After a statement failed for want of space: try whether there is some again."""
        if self.pulse.full:
            with suppress(asyncpg.DiskFullError):
                async with self.as_owner() as connection:
                    await connection.execute(_ROOM)
                self.pulse.full = False

    async def ensure_partitions(self) -> int:
        """Make the day partitions from yesterday to a week ahead; return how many were missing."""
        today = utc_now().date()
        async with self.as_owner() as connection:
            made = await connection.fetchval("SELECT ensure_partitions($1, $2)", today - timedelta(days=1), today + timedelta(days=_DAYS_AHEAD))
        return int(made)

    async def close(self) -> None:
        """Close every connection, waiting briefly for calls in flight."""
        engine, self._engine = self._engine, None
        web, self._web = self._web, None
        if engine is not None:
            await engine.close()
        if web is not None:
            await web.dispose()

    async def check(self) -> None:
        """Refuse a server that may lose what it acknowledged.

        Raises:
            Misconfigured: the server is too old or not durable; the setting is named.
            StoreLost: it cannot be reached.
        """
        try:
            connection = await self.connect_owner()
        except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            state = getattr(error, "sqlstate", None) or ""
            raise Misconfigured(f"the database refuses us: {state} {type(error).__name__}; check CARELANE_DATABASE_URL") from error
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

"""Brings the schema to this version of the code; the heavy library is imported only when there is something to do."""

from pathlib import Path
from typing import TYPE_CHECKING

from carelane.domain.errors import Misconfigured
from carelane.store.database import Database

if TYPE_CHECKING:
    from sqlalchemy import Connection

_FOLDER = Path(__file__).parent / "migrations"
HEAD = max(path.name[1:5] for path in (_FOLDER / "versions").glob("r[0-9]*.py"))
"""The newest step: its number begins its file's name."""
_TAKE_TURNS = "SET lock_timeout = 0; SELECT pg_advisory_lock(7263000)"
"""Held by the session, so it ends with it; the node before may be at a long step."""


async def migrate(database: Database) -> bool:
    """Apply what is missing, each step in its own transaction; say whether anything was. Nodes that start together do it one after another.

    Raises:
        Misconfigured: the database was written by a newer version.
    """
    if not await _is_behind(database):
        return False
    async with database.as_owner() as turn:
        await turn.execute(_TAKE_TURNS)
        if not await _is_behind(database):
            return False
        from carelane.store.web_pool import web_engine  # noqa: PLC0415  (a heavy library that a normal start does without)

        engine = web_engine(database.dsn, None)
        try:
            async with engine.connect() as connection:
                await connection.run_sync(_upgrade)
                await connection.commit()
        finally:
            await engine.dispose()
    return True


async def _is_behind(database: Database) -> bool:
    current = await version_of(database)
    if current is not None and current > HEAD:
        raise Misconfigured(f"the database has schema {current}, this version knows up to {HEAD}; run the newer version or restore a backup")
    return current != HEAD


async def version_of(database: Database) -> str | None:
    """Return the schema version in the database; None when it is empty."""
    async with database.as_owner() as connection:
        if await connection.fetchval("SELECT to_regclass('alembic_version')") is None:
            return None
        found = await connection.fetchval("SELECT version_num FROM alembic_version")
    return str(found) if found is not None else None


def _upgrade(connection: "Connection") -> None:
    from alembic import command  # noqa: PLC0415  (half a second of imports that a normal start does without)
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")

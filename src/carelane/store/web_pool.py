"""The connections that pages read through: SQLAlchemy's pool, held to the same judgement as the journey's (``store/pool.py``)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.exc import TimeoutError as NoneFree
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from carelane.store.connecting import connect
from carelane.store.pool import ACQUIRE_S
from carelane.store.trouble import LOST, is_gone, is_lost, lost


def web_engine(dsn: str, role: str | None) -> AsyncEngine:
    """Make an SQLAlchemy engine for a role; the schema's owner when None."""
    settings = {"application_name": f"carelane-{role or 'owner'}", "search_path": "public", "timezone": "UTC"}
    if role:
        settings |= {"role": role, "statement_timeout": "15s", "lock_timeout": "5s"}
    made = create_async_engine(
        "postgresql+asyncpg://",
        poolclass=AsyncAdaptedQueuePool,
        pool_size=4,
        max_overflow=4,
        pool_timeout=ACQUIRE_S,
        async_creator=lambda: connect(dsn, server_settings=settings),
    )
    event.listen(made.sync_engine, "checkout", _refuse_closed)
    event.listen(made.sync_engine, "handle_error", _notice)
    return made


@asynccontextmanager
async def lost_or_raised() -> AsyncIterator[None]:
    """Say ``StoreLost`` of whatever SQLAlchemy raises when the server went away, and nothing else."""
    try:
        yield
    except NoneFree as error:
        raise lost(error) from None
    except DBAPIError as error:
        if error.connection_invalidated:
            raise lost(_cause(error)) from None
        raise
    except LOST as error:
        if is_lost(error):
            raise lost(error) from None
        raise


def _refuse_closed(connection: Any, _record: object, _proxy: object) -> None:
    """A connection that broke while it lay idle is replaced before anybody meets the error."""
    if connection.driver_connection.is_closed():
        raise DisconnectionError("the connection broke while it lay idle")


def _notice(context: ExceptionContext) -> None:
    error = _cause(context.original_exception)
    if is_gone(error, closed=bool(context.is_disconnect)):
        context.is_disconnect = True


def _cause(error: BaseException) -> BaseException:
    """Return what asyncpg said; SQLAlchemy wraps it twice."""
    while (inner := error.__cause__) is not None:
        error = inner
    return error

"""Frees space: days that are old enough are dropped whole, unless something on them is still to be delivered, replayed or kept."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import asyncpg

from carelane.store.database import ENGINE_ROLE, Database

Tell = Callable[[str, str], None]

# Old enough, and nothing else: the partition's day is written in its name, as ``ensure_partitions`` makes it.
_DAYS = """
SELECT c.relname AS name, to_date(right(c.relname, 8), 'YYYYMMDD') AS day FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = to_regclass($1) AND c.relname ~ '_[0-9]{8}$' AND to_date(right(c.relname, 8), 'YYYYMMDD') < $2 ORDER BY 2
"""
# A lane needs every day from the one its open deliveries, or their messages, begin with.
_LANES = """
SELECT 'lane_' || t.lane_id FROM lane_tail t JOIN lane l ON l.id = t.lane_id
WHERE t.tail_seq > l.head_seq AND t.open_day <= $1 ORDER BY t.open_day, t.lane_id LIMIT 5
"""
_LETTERS = "SELECT 'a dead letter of lane_' || lane_id FROM dead_letter WHERE message_day = $1 ORDER BY lane_id, seq LIMIT 5"
_BURIED = "SELECT lane_id, seq FROM dead_letter"
_HELD = "SELECT org_id FROM legal_hold WHERE lifted_at IS NULL ORDER BY org_id"
_GUARD = "SELECT pg_advisory_xact_lock(7263002)"
GUARD_SHARED = "SELECT pg_advisory_xact_lock_shared(7263002)"
"""Taken by whoever queues a stored message again: its day must not go at that moment."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A partitioned table: how long its days are kept, and what else may keep them."""

    table: str
    days: int
    needed: bool = True
    """Whether open deliveries need it."""
    buried: bool = False
    """Whether dead letters are found by their place on a lane."""
    held: bool = True
    """Whether a legal hold keeps rows of it."""


def kinds(bodies_days: int, metadata_days: int) -> tuple[Kind, ...]:
    """Return what is kept for how long."""
    return (
        Kind("message_body", bodies_days),
        Kind("inbox", bodies_days, needed=False),
        Kind("attempt", metadata_days, buried=True),
        Kind("delivery", metadata_days, buried=True),
        Kind("message", metadata_days),
        Kind("dedup", _DEDUP_DAYS, needed=False, held=False),
    )


_DEDUP_DAYS = 7


async def drop_old_days(database: Database, wanted: Sequence[Kind], today: date, tell: Tell) -> list[str]:
    """Drop what is old enough; return the partitions that went. What is kept although it is old is told, with who keeps it."""
    dropped: list[str] = []
    async with database.as_owner() as connection:
        for kind in wanted:
            for row in await connection.fetch(_DAYS, kind.table, today - timedelta(days=kind.days)):
                async with connection.transaction():
                    keepers = await _drop(connection, kind, row["name"], row["day"])
                if keepers:
                    tell("retention.kept", f"{row['name']} is kept by {', '.join(keepers)}")
                else:
                    dropped.append(row["name"])
        for kind in wanted:
            if kind.held:
                await _let_go(connection, kind, today)
    if dropped:
        tell("retention.dropped", ", ".join(dropped))
    return dropped


async def _drop(connection: asyncpg.Connection, kind: Kind, name: str, day: date) -> list[str]:
    """Drop one day, or say who keeps it. The names are ours: made by ``ensure_partitions``, found in the catalogue."""
    await connection.execute("SET LOCAL lock_timeout = '2s'")
    await connection.execute(_GUARD)
    await connection.execute(f"SET LOCAL ROLE {ENGINE_ROLE}")
    keepers = [row[0] for row in await connection.fetch(_LANES, day)] if kind.needed else []
    if kind.needed and not kind.buried:
        keepers += [row[0] for row in await connection.fetch(_LETTERS, day)]
    held = [row["org_id"] for row in await connection.fetch(_HELD)] if kind.held else []
    buried = await connection.fetch(_BURIED) if kind.buried else []
    await connection.execute("RESET ROLE")
    if buried:
        keepers += [row[0] for row in await connection.fetch(_here(name), [row["lane_id"] for row in buried], [row["seq"] for row in buried])]
    if keepers:
        return keepers
    await connection.execute(f"ALTER TABLE {kind.table} DETACH PARTITION {name}")
    if held:
        await connection.execute(f"INSERT INTO {kind.table}_kept SELECT * FROM {name} WHERE org_id = ANY($1::bigint[])", held)  # noqa: S608  (our own names)
    await connection.execute(f"DROP TABLE {name}")
    return []


def _here(name: str) -> str:
    return f"""
SELECT DISTINCT 'a dead letter of lane_' || p.lane_id FROM {name} p
JOIN unnest($1::bigint[], $2::bigint[]) AS d(lane_id, seq) ON d.lane_id = p.lane_id AND d.seq = p.seq ORDER BY 1 LIMIT 5
"""  # noqa: S608  (our own names)


async def _let_go(connection: asyncpg.Connection, kind: Kind, today: date) -> None:
    """Delete what was kept for holds that were lifted: the one place where rows are deleted, and few of them."""
    async with connection.transaction():
        await connection.execute(f"SET LOCAL ROLE {ENGINE_ROLE}")
        held = [row["org_id"] for row in await connection.fetch(_HELD)]
        await connection.execute("RESET ROLE")
        past = today - timedelta(days=kind.days)
        await connection.execute(f"DELETE FROM {kind.table}_kept WHERE NOT org_id = ANY($1::bigint[]) AND day < $2", held, past)  # noqa: S608  (our own names)

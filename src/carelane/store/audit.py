"""The audit trail: one hash chain per organization, written in the same transaction as the change it tells of."""

import hashlib
from collections.abc import Mapping
from datetime import UTC

import asyncpg
import orjson

from carelane.kit.clock import utc_now

_GENESIS = b"\0" * 32
LAST = "SELECT n, hash FROM audit WHERE org_id = $1 ORDER BY n DESC LIMIT 1"
WRITE = """
INSERT INTO audit (org_id, n, at, actor, action, subject, body, prev, hash) VALUES ($1, $2, $3, $4, $5, $6, $7::jsonb, $8, $9)
"""
CHAIN = "SELECT n, at, actor, action, subject, body, prev, hash FROM audit WHERE org_id = $1 ORDER BY n"


async def record(connection: asyncpg.Connection, org: int, actor: str, action: str, subject: str, body: Mapping[str, object]) -> None:
    """Append an entry; the connection must be inside the transaction of the change."""
    await connection.execute("SELECT pg_advisory_xact_lock(7263002, $1::int)", org % 2**31)
    last = await connection.fetchrow(LAST, org)
    number, prev = (last["n"] + 1, last["hash"]) if last else (1, _GENESIS)
    at = utc_now()
    await connection.execute(
        WRITE, org, number, at, actor, action, subject, orjson.dumps(body).decode(), prev, link(prev, org, number, at.isoformat(), actor, action, subject, body)
    )


def link(prev: bytes, org: int, number: int, at: str, actor: str, action: str, subject: str, body: Mapping[str, object]) -> bytes:
    """Return the hash of an entry: SHA-256 over the one before and the entry in canonical JSON."""
    entry = orjson.dumps([org, number, at, actor, action, subject, body], option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(prev + entry).digest()


async def verify(connection: asyncpg.Connection, org: int) -> int | None:
    """Walk the chain; return the number of the first entry that does not fit, or None."""
    prev = _GENESIS
    for expected, row in enumerate(await connection.fetch(CHAIN, org), start=1):
        body = orjson.loads(row["body"])
        at = row["at"].astimezone(UTC).isoformat()
        fits = row["n"] == expected and row["prev"] == prev
        if not fits or row["hash"] != link(prev, org, expected, at, row["actor"], row["action"], row["subject"], body):
            return expected
        prev = row["hash"]
    return None

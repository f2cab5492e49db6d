"""Whose a listen port is: one source's from the moment it is saved, then its organization's until the operator frees it."""

from dataclasses import dataclass

import asyncpg

from carelane.domain.errors import Conflict, Misconfigured
from carelane.domain.ids import OrgId
from carelane.domain.listening import ListenPorts

_ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(7263004, $1::int)"
_OTHERS = "SELECT count(*) FROM listen_port WHERE org_id = $1 AND port <> $2"
_TAKE = """
INSERT INTO listen_port (port, org_id, source_id) VALUES ($1, $2, $3)
ON CONFLICT (port) DO UPDATE SET source_id = $3, since = now() WHERE listen_port.org_id = $2 AND listen_port.source_id IS NULL
RETURNING port
"""
_SOURCE = "SELECT source_id FROM listen_port WHERE port = $1"
_HOLDER = "SELECT org_id, source_id FROM listen_port WHERE port = $1"
_RESERVE = "UPDATE listen_port SET source_id = NULL, since = now() WHERE source_id = $1 AND port <> $2"
_FREE = """
SELECT one.port FROM unnest($1::int[], $2::int[]) AS allowed (low, high), generate_series(greatest(low, 1), high) AS one (port)
WHERE one.port <> ALL ($3::int[])
  AND NOT EXISTS (SELECT 1 FROM listen_port taken WHERE taken.port = one.port AND (taken.org_id <> $4 OR taken.source_id IS NOT NULL))
ORDER BY one.port LIMIT 3
"""


@dataclass(frozen=True, slots=True)
class Claim:
    """The port a source is to listen on, and the ports the operator allows."""

    port: int
    allowed: ListenPorts


async def claim(connection: asyncpg.Connection, org: OrgId, source: int, wanted: Claim) -> None:
    """Make a port the source's, inside the transaction that saves the source; what it held before stays reserved for the organization.

    Raises:
        Conflict: the port is another's, or the organization holds as many as it may.
        Misconfigured: the operator does not allow it.
    """
    if wanted.port not in wanted.allowed:
        raise Misconfigured(f"port {wanted.port} is not among the ports of this hub ({wanted.allowed}); {await _free(connection, org, wanted.allowed)}")
    if wanted.port:
        await connection.execute(_ONE_AT_A_TIME, org % 2**31)
        if await connection.fetchval(_OTHERS, org, wanted.port) >= wanted.allowed.each:
            raise Conflict(
                f"Your organization holds {wanted.allowed.each} listen ports already, those of its deleted sources among them; "
                "ask the operator to free some: carelane admin ports free PORT"
            )
        if not await take(connection, org, source, wanted):
            raise Conflict(await _refusal(connection, org, wanted))
    await release(connection, source, but=wanted.port)


async def take(connection: asyncpg.Connection, org: OrgId, source: int, wanted: Claim) -> bool:
    """Make a port the source's when it is nobody's or reserved for its organization; say whether it is the source's now."""
    if wanted.port == 0 or wanted.port not in wanted.allowed:
        return False
    holder = await connection.fetchval(_TAKE, wanted.port, org, source)
    return holder is not None or await connection.fetchval(_SOURCE, wanted.port) == source


async def release(connection: asyncpg.Connection, source: int, *, but: int = 0) -> None:
    """Reserve the ports of a source for its organization, all but one."""
    await connection.execute(_RESERVE, source, but)


async def free_ports(connection: asyncpg.Connection, org: OrgId, allowed: ListenPorts) -> list[int]:
    """Return the first ports an organization could have."""
    lows, highs = [low for low, _ in allowed.ranges], [high for _, high in allowed.ranges]
    return [row["port"] for row in await connection.fetch(_FREE, lows, highs, sorted(allowed.but), org)]


async def _refusal(connection: asyncpg.Connection, org: OrgId, wanted: Claim) -> str:
    """Say why a port cannot be had, and never whose it is, unless it is one's own."""
    holder = await connection.fetchrow(_HOLDER, wanted.port)
    free = await _free(connection, org, wanted.allowed)
    if holder is None or holder["source_id"] is not None:
        taken = "taken by another source of yours" if holder is not None and holder["org_id"] == org else "taken"
        return f"Port {wanted.port} is {taken}; {free}."
    return f"Port {wanted.port} is reserved; {free}, or ask the operator: carelane admin ports free {wanted.port}"


async def _free(connection: asyncpg.Connection, org: OrgId, allowed: ListenPorts) -> str:
    found = ", ".join(map(str, await free_ports(connection, org, allowed)))
    return f"free ports in your range: {found}" if found else "no port is free: ask the operator to widen CARELANE_LISTEN_PORTS"

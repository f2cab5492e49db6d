"""Which node owns which lanes: 1,024 shards, leased for ten seconds, fenced by an epoch on every lane row."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from carelane.domain.delivery import LaneRow
from carelane.domain.errors import StoreLost
from carelane.domain.ids import LaneId, OrgId
from carelane.store.database import Database
from carelane.store.trouble import LOST

LEASE_S = 10.0

TAKE = """
UPDATE shard_lease SET owner = $1, epoch = epoch + 1, expires_at = now() + interval '10 s',
       quiet_until = CASE WHEN owner IS NULL OR $3 THEN now() ELSE greatest(expires_at, now()) + make_interval(secs => $2) END
 WHERE shard IN (SELECT shard FROM shard_lease WHERE owner IS NULL OR expires_at < now() OR $3 ORDER BY shard FOR UPDATE SKIP LOCKED)
RETURNING shard, epoch, quiet_until
"""
# Waits for settles in flight, and is also the load scan.
FENCE = """
WITH o AS (SELECT l.id, s.epoch FROM lane l JOIN unnest($1::int[], $2::bigint[]) AS s(shard, epoch) ON s.shard = l.shard ORDER BY l.id FOR UPDATE OF l)
UPDATE lane SET epoch = o.epoch FROM o WHERE lane.id = o.id RETURNING lane.*
"""
RENEW = """
UPDATE shard_lease SET expires_at = now() + interval '10 s' WHERE owner = $1 AND shard = ANY($2::int[]) AND expires_at > now() RETURNING shard
"""
GIVE_BACK = "UPDATE shard_lease SET owner = NULL, expires_at = NULL, quiet_until = NULL WHERE owner = $1"
LANES = "SELECT * FROM lane WHERE id = ANY($1::bigint[])"
# What moved without us knowing: a lost hint costs latency, never a message.
STIRRED = """
SELECT * FROM lane WHERE shard = ANY($1::int[]) AND (tail_seq > head_seq OR held IS NOT NULL OR paused IS NOT NULL)
"""
PENDING_OF = "SELECT count(*) AS lanes, coalesce(sum(tail_seq - head_seq), 0) AS pending FROM lane"


@dataclass(frozen=True, slots=True)
class Shard:
    """A leased shard: nothing may be sent on its lanes before ``quiet_until``."""

    number: int
    epoch: int
    quiet_until: datetime


def lane_row(row: asyncpg.Record) -> LaneRow:
    """Read a lane as the journey sees it."""
    return LaneRow(
        LaneId(row["id"]),
        OrgId(row["org_id"]),
        OrgId(row["dest_org_id"]),
        row["subscription_id"],
        row["shard"],
        row["epoch"],
        row["tail_seq"],
        row["head_seq"],
        row["attempts"],
        row["next_attempt_at"],
        row["held"],
        row["paused"],
        row["failing_since"],
    )


class Leases:
    """Taken at start, renewed every three seconds, given back after a graceful drain."""

    def __init__(self, database: Database, node: str) -> None:
        self._database = database
        self._node = node

    async def take(self, longest_send_s: float, *, alone: bool) -> tuple[list[Shard], list[LaneRow]]:
        """Lease every free or expired shard and fence its lanes with the new epoch.

        ``alone`` is for the embedded database: we hold the folder's lock, so whoever held the leases is dead, and so
        are its sends.
        """
        try:
            async with self._database.engine.acquire() as connection, connection.transaction():
                taken = await connection.fetch(TAKE, self._node, longest_send_s, alone)
                shards = [Shard(row["shard"], row["epoch"], row["quiet_until"]) for row in taken]
                rows = await connection.fetch(FENCE, [s.number for s in shards], [s.epoch for s in shards]) if shards else []
        except LOST as error:
            raise StoreLost(f"the database went away: {type(error).__name__}") from error
        return shards, [lane_row(row) for row in rows]

    async def renew(self, shards: Sequence[int]) -> set[int]:
        """Prolong our leases; a shard missing from the result is lost: stop its lanes at once."""
        return {row["shard"] for row in await self._fetch(RENEW, self._node, list(shards))}

    async def give_back(self) -> None:
        """Let the next node start at once: call it only when nothing is being sent any more."""
        await self._fetch(GIVE_BACK, self._node)

    async def lanes(self, ids: Sequence[LaneId]) -> list[LaneRow]:
        """Read lanes afresh."""
        return [lane_row(row) for row in await self._fetch(LANES, list(ids))]

    async def stirred(self, shards: Sequence[int]) -> list[LaneRow]:
        """Read our lanes that hold something, for the slow correctness poll."""
        return [lane_row(row) for row in await self._fetch(STIRRED, list(shards))]

    async def _fetch(self, statement: str, *values: object) -> list[asyncpg.Record]:
        try:
            found: list[asyncpg.Record] = await self._database.engine.fetch(statement, *values)
        except LOST as error:
            raise StoreLost(f"the database went away: {type(error).__name__}") from error
        return found

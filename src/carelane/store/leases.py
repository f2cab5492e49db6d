"""Which node owns which lanes: 1,024 shards, held for as long as their node renews its lease, fenced by an epoch on every lane row."""

from collections.abc import Sequence

import asyncpg

from carelane.domain.delivery import Holding, LaneRow, Shares, Standing
from carelane.domain.ids import LaneId, OrgId
from carelane.store.database import Database
from carelane.store.trouble import LOST, lost

RENEW = """
INSERT INTO node AS n (name, expires_at) VALUES ($1, now() + make_interval(secs => $2))
ON CONFLICT (name) DO UPDATE SET expires_at = excluded.expires_at RETURNING n.xmax = 0 AS joined
"""
# A statement of its own: it must see what a take-over that held the node's row up has done.
HELD = """
SELECT shard, epoch, extract(epoch FROM now() - cut_at)::float AS cut_s, EXISTS (SELECT FROM lane l WHERE l.shard = s.shard) AS used
FROM shard_lease s WHERE owner = $1
"""
LIVE = """
WITH s AS (
  SELECT EXISTS (SELECT FROM lane l WHERE l.shard = s.shard) AS used, NOT EXISTS (SELECT FROM node o WHERE o.name = s.owner AND o.expires_at > now()) AS free
  FROM shard_lease s),
shards AS (SELECT count(*) FILTER (WHERE used) AS used, count(*) FILTER (WHERE free AND used) AS free_used, count(*) FILTER (WHERE free) AS free FROM s)
SELECT n.*, shards.*, (SELECT version FROM catalogue_version) AS catalogue
FROM (SELECT count(*) AS live, count(*) FILTER (WHERE name < $1) AS rank FROM node WHERE expires_at > now()) n, shards
"""
# The rows of nodes that did not renew are locked first: one that renews at this moment keeps its shards, or finds them gone.
EXPIRED = "SELECT name FROM node WHERE name <> $1 AND expires_at <= now() ORDER BY name FOR UPDATE"
ALONE = "DELETE FROM node WHERE name <> $1"
TAKE = """
WITH free AS (
  SELECT s.shard, CASE WHEN $3 THEN NULL WHEN s.owner IS NULL THEN s.cut_at ELSE coalesce(n.expires_at, now()) END AS cut_at
  FROM shard_lease s LEFT JOIN node n ON n.name = s.owner
  WHERE (s.owner IS NULL OR n.name IS NULL OR (n.expires_at <= now() AND n.name <> $1)) AND EXISTS (SELECT FROM lane l WHERE l.shard = s.shard) = $4
  ORDER BY s.shard LIMIT $2 FOR UPDATE OF s SKIP LOCKED)
UPDATE shard_lease s SET owner = $1, epoch = s.epoch + 1, cut_at = free.cut_at FROM free WHERE s.shard = free.shard RETURNING s.shard, s.epoch
"""
# Waits for settlements in flight: after it, none of the former owner's can match.
FENCE = """
WITH o AS (SELECT l.id, s.epoch FROM lane l JOIN unnest($1::int[], $2::bigint[]) AS s(shard, epoch) ON s.shard = l.shard ORDER BY l.id FOR UPDATE OF l)
UPDATE lane SET epoch = o.epoch FROM o WHERE lane.id = o.id
"""
GIVE_BACK = "UPDATE shard_lease SET owner = NULL WHERE owner = $1 AND ($2::int[] IS NULL OR shard = ANY($2::int[]))"
LEAVE = "DELETE FROM node WHERE name = $1 OR (expires_at < now() - interval '1 hour' AND NOT EXISTS (SELECT FROM shard_lease WHERE owner = node.name))"
ANNOUNCE = "SELECT pg_notify('carelane_shards', '')"
LANES = "SELECT * FROM lane_now WHERE id = ANY($1::bigint[])"
LANES_OF = "SELECT * FROM lane_now WHERE shard = ANY($1::int[])"
# What moved without us knowing: a lost ring costs time, never a message.
STIRRED = "SELECT * FROM lane_now WHERE shard = ANY($1::int[]) AND (tail_seq > head_seq OR held IS NOT NULL OR paused IS NOT NULL)"


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
        row["tries"],
        row["next_attempt_at"],
        row["held"],
        row["paused"],
        row["failing_since"],
    )


class Leases:
    """One node's view of the leases; ``node`` must be a name no other process has or had."""

    def __init__(self, database: Database, node: str, lease_s: float) -> None:
        self._database = database
        self._node = node
        self._lease_s = lease_s

    async def renew(self) -> Standing:
        """Live on for another lease, and learn what is held: what nobody took meanwhile is kept, however late this comes."""
        try:
            async with self._database.engine.acquire() as connection, connection.transaction():
                joined = await connection.fetchval(RENEW, self._node, self._lease_s)
                held = await connection.fetch(HELD, self._node)
                live = await connection.fetchrow(LIVE, self._node)
                if joined:
                    await connection.execute(ANNOUNCE)
        except LOST as error:
            raise lost(error) from None
        holdings = {row["shard"]: Holding(row["epoch"], row["cut_s"], row["used"]) for row in held}
        free = Shares(live["free_used"], live["free"] - live["free_used"])
        return Standing(holdings, max(1, live["live"]), live["rank"], free, live["used"], live["catalogue"])

    async def take(self, most: Shares, *, alone: bool) -> int:
        """Take up to so many shards of each kind that no live node holds, and fence their lanes; return how many. ``renew`` tells which.

        ``alone`` is for a node that holds the folder of an embedded database: whoever held the leases is dead, and so are its sends.
        """
        try:
            async with self._database.engine.acquire() as connection, connection.transaction():
                await connection.execute(ALONE if alone else EXPIRED, self._node)
                taken = await connection.fetch(TAKE, self._node, most.used, alone, True)
                taken += await connection.fetch(TAKE, self._node, most.empty, alone, False)
                if taken:
                    await connection.execute(FENCE, [row["shard"] for row in taken], [row["epoch"] for row in taken])
        except LOST as error:
            raise lost(error) from None
        return len(taken)

    async def give_back(self, shards: Sequence[int]) -> None:
        """Let other nodes have these at once: call it only when nothing is being sent on them any more."""
        await self._announced(GIVE_BACK, self._node, list(shards))

    async def leave(self) -> None:
        """Give everything back and be a node no more; only after a drain."""
        await self._announced(GIVE_BACK, self._node, None)
        await self._fetch(LEAVE, self._node)

    async def lanes(self, ids: Sequence[LaneId]) -> list[LaneRow]:
        """Read lanes afresh."""
        return [lane_row(row) for row in await self._fetch(LANES, list(ids))]

    async def lanes_of(self, shards: Sequence[int]) -> list[LaneRow]:
        """Read every lane of shards: after they were taken."""
        return [lane_row(row) for row in await self._fetch(LANES_OF, list(shards))]

    async def stirred(self, shards: Sequence[int]) -> list[LaneRow]:
        """Read the lanes of shards that hold something or stand: the slow poll behind lost rings."""
        return [lane_row(row) for row in await self._fetch(STIRRED, list(shards))]

    async def _announced(self, statement: str, *values: object) -> None:
        try:
            async with self._database.engine.acquire() as connection, connection.transaction():
                await connection.execute(statement, *values)
                await connection.execute(ANNOUNCE)
        except LOST as error:
            raise lost(error) from None

    async def _fetch(self, statement: str, *values: object) -> list[asyncpg.Record]:
        try:
            found: list[asyncpg.Record] = await self._database.engine.fetch(statement, *values)
        except LOST as error:
            raise lost(error) from None
        return found

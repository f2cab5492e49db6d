"""The store's side of replay: see ``exchange.replay``. Queuing, audit entry and ring are one transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from carelane.domain.errors import Conflict
from carelane.domain.ids import LaneId, OrgId, SourceId, delivery_id
from carelane.exchange.replay import Kept
from carelane.kit.clock import utc_now
from carelane.kit.ids import born_on, public
from carelane.store import audit
from carelane.store.database import Database
from carelane.store.retention import GUARD_SHARED
from carelane.store.statements import REQUEUE

_FIND = """
SELECT m.id, m.org_id, m.source_id, m.key_id, b.body, m.heading->>'format' AS format, m.heading->>'whole' AS whole FROM message m
LEFT JOIN message_body b ON b.day = m.day AND b.id = m.id WHERE m.day = $1 AND m.id = $2 AND ($3::bigint IS NULL OR m.org_id = $3)
"""
_KEPT = "SELECT FROM message_body WHERE day = $1 AND id = $2"
_VERSION = "SELECT version FROM catalogue_version"
_RING = "SELECT pg_notify('carelane_lane', lane::text) FROM unnest($1::bigint[]) AS lane"


@dataclass(frozen=True)
class Archive:
    """Stored messages, and the way back to their lanes."""

    database: Database

    async def find(self, org: OrgId | None, message: UUID) -> Kept | None:
        """Return a message, its body still sealed; raises ``Conflict`` when it was kept long enough and is gone."""
        row = await self.database.engine.fetchrow(_FIND, born_on(message), message, org)
        if row is None:
            return None
        if row["body"] is None:
            raise _gone(message)
        return Kept(row["id"], OrgId(row["org_id"]), SourceId(row["source_id"]), row["key_id"], row["body"], row["format"], row["whole"] != "false")

    async def requeue(self, message: Kept, lanes: Sequence[LaneId], version: int, actor: str) -> Mapping[LaneId, int] | None:
        """Queue, record and ring, or nothing of it."""
        try:
            return await self._requeue(message, lanes, version, actor)
        except asyncpg.CheckViolationError:  # no partition for this day
            await self.database.ensure_partitions()
            return await self._requeue(message, lanes, version, actor)

    async def _requeue(self, message: Kept, lanes: Sequence[LaneId], version: int, actor: str) -> Mapping[LaneId, int] | None:
        async with self.database.engine.acquire() as connection, connection.transaction():
            await connection.execute(GUARD_SHARED)  # its day must not be dropped at this moment
            if await connection.fetchrow(_KEPT, born_on(message.id), message.id) is None:
                raise _gone(message.id)
            if await connection.fetchval(_VERSION) != version:
                return None
            rows = await connection.fetch(REQUEUE, list(lanes), message.id, born_on(message.id), utc_now().date())
            tails = {LaneId(row["lane_id"]): int(row["seq"]) for row in rows}
            if set(tails) != set(lanes):
                raise Conflict(f"a lane of {public('msg', message.id)} is gone; nothing was queued, try again")
            deliveries = [delivery_id(lane, seq) for lane, seq in sorted(tails.items())]
            await audit.record(connection, message.org_id, actor, "message.replay", public("msg", message.id), {"deliveries": deliveries})
            await connection.execute(_RING, list(tails))
        return tails


def _gone(message: UUID) -> Conflict:
    return Conflict(f"{public('msg', message)} is too old: its content was dropped when its time was over (CARELANE_KEEP_BODIES_DAYS)")

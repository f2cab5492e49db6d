"""What an operator does to a lane: pause, resume, release, skip. Each is one audited transaction and rings its owner."""

from collections.abc import Sequence

import asyncpg

from carelane.domain.errors import Conflict, NotFound
from carelane.domain.ids import LaneId, OrgId
from carelane.domain.views import LaneView
from carelane.kit.ids import born_on
from carelane.store import audit
from carelane.store.database import Database

_ONE = """
SELECT l.*, (SELECT tail_seq FROM lane_tail t WHERE t.lane_id = l.id) AS tail_seq FROM lane l
WHERE id = $1 AND ($2::bigint IS NULL OR $2 IN (org_id, dest_org_id)) FOR UPDATE OF l
"""
_PAUSE = "UPDATE lane SET paused = $2 WHERE id = $1"
_RESUME = "UPDATE lane SET paused = NULL WHERE id = $1"
_RELEASE = "UPDATE lane SET held = NULL, attempts = 0, next_attempt_at = NULL, failing_since = NULL WHERE id = $1"
_HEAD = """
SELECT d.message_id, d.message_day FROM delivery d JOIN lane_now l ON l.id = d.lane_id
WHERE d.lane_id = $1 AND d.seq = $2 AND d.day >= coalesce(l.open_day, current_date)
"""
_BURY = """
INSERT INTO dead_letter (org_id, dest_org_id, lane_id, seq, message_id, message_day, reason, by) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
"""
_SKIP = """
UPDATE lane SET head_seq = head_seq + 1, attempts = 0, tries = 0, next_attempt_at = NULL, held = NULL, failing_since = NULL
WHERE id = $1
"""
_LIST = """
SELECT l.id, l.org_id, l.dest_org_id, l.tail_seq, l.head_seq, l.delivered, l.attempts, l.next_attempt_at, l.held, l.paused, l.failing_since,
       s.uid AS subscription, s.name, s.data_model, s.environment, s.state, src.name AS source, dst.name AS destination,
       so.name AS source_org, dor.name AS dest_org, dst.transport,
       (SELECT d.queued_at FROM delivery d WHERE d.lane_id = l.id AND d.seq = l.head_seq + 1 AND d.day >= coalesce(l.open_day, current_date)) AS oldest
FROM lane_now l JOIN subscription s ON s.id = l.subscription_id JOIN source src ON src.id = s.source_id JOIN destination dst ON dst.id = s.destination_id
JOIN organization so ON so.id = l.org_id JOIN organization dor ON dor.id = l.dest_org_id
WHERE $1::bigint IS NULL OR $1 IN (l.org_id, l.dest_org_id) ORDER BY l.id
"""


async def list_lanes(database: Database, org: OrgId | None) -> list[LaneView]:
    """Return the lanes of an organization, either end; all of them for the operator (None)."""
    return [
        LaneView(
            LaneId(row["id"]),
            row["org_id"],
            row["dest_org_id"],
            row["name"],
            row["data_model"],
            row["environment"],
            row["source"],
            row["source_org"],
            row["destination"],
            row["dest_org"],
            row["transport"],
            row["tail_seq"],
            row["head_seq"],
            row["delivered"],
            row["attempts"],
            row["next_attempt_at"],
            row["held"],
            row["paused"],
            row["failing_since"],
            row["oldest"],
        )
        for row in await database.engine.fetch(_LIST, org)
    ]


async def pause(database: Database, lane: LaneId, org: OrgId | None, actor: str) -> None:
    """Stop sending; messages go on queuing."""
    async with database.engine.acquire() as connection, connection.transaction():
        await _locked(connection, lane, org)
        await connection.execute(_PAUSE, lane, actor)
        await _tell(connection, lane, actor, "lane.pause", {})


async def resume(database: Database, lane: LaneId, org: OrgId | None, actor: str) -> None:
    """Send again after a pause.

    Raises:
        Conflict: the lane is not paused.
    """
    async with database.engine.acquire() as connection, connection.transaction():
        row = await _locked(connection, lane, org)
        if row["paused"] is None:
            raise Conflict(f"lane_{lane} is not paused" + (" but held: use release" if row["held"] else ""))
        await connection.execute(_RESUME, lane)
        await _tell(connection, lane, actor, "lane.resume", {})


async def release(database: Database, lane: LaneId, org: OrgId | None, actor: str) -> None:
    """Try the head again now, after it was held or while it waits for its next attempt.

    Raises:
        Conflict: nothing is wrong with the head.
    """
    async with database.engine.acquire() as connection, connection.transaction():
        row = await _locked(connection, lane, org)
        if row["held"] is None and row["attempts"] == 0:
            raise Conflict(f"lane_{lane} is neither held nor retrying" + (": use resume" if row["paused"] else ""))
        await connection.execute(_RELEASE, lane)
        await _tell(connection, lane, actor, "lane.release", {"seq": row["head_seq"] + 1, "held": row["held"]})


async def skip(database: Database, lane: LaneId, org: OrgId | None, actor: str, reason: str) -> int:
    """Put the head into the dead letters and go on with the next; return the skipped number.

    Raises:
        Conflict: the lane is empty, or neither held, paused nor failing (skipping a healthy head would lose a message).
    """
    async with database.engine.acquire() as connection, connection.transaction():
        row = await _locked(connection, lane, org)
        seq = row["head_seq"] + 1
        if row["tail_seq"] < seq:
            raise Conflict(f"lane_{lane} is empty: there is nothing to skip")
        if not (row["held"] or row["paused"] or row["attempts"]):
            raise Conflict(f"the head of lane_{lane} is healthy; pause the lane first if you really want to skip it")
        head = await connection.fetchrow(_HEAD, lane, seq)
        await connection.execute(_BURY, row["org_id"], row["dest_org_id"], lane, seq, head["message_id"], born_on(head["message_id"]), reason, actor)
        await connection.execute(_SKIP, lane)
        await _tell(connection, lane, actor, "lane.skip", {"seq": seq, "reason": reason})
        return int(seq)


async def _locked(connection: asyncpg.Connection, lane: LaneId, org: OrgId | None) -> asyncpg.Record:
    row = await connection.fetchrow(_ONE, lane, org)
    if row is None:
        raise NotFound(f"there is no lane_{lane} here", pointer="carelane lanes list")
    return row


async def _tell(connection: asyncpg.Connection, lane: LaneId, actor: str, action: str, body: dict[str, object]) -> None:
    """Both parties' trails get the entry; the owner of the lane hears of it at commit."""
    orgs: Sequence[int] = [
        row["org"] for row in await connection.fetch("SELECT DISTINCT unnest(ARRAY[org_id, dest_org_id]) AS org FROM lane WHERE id = $1 ORDER BY 1", lane)
    ]
    for org in orgs:
        await audit.record(connection, org, actor, action, f"lane_{lane}", body)
    await connection.execute("SELECT pg_notify('carelane_lane', $1)", str(lane))

"""The two logs and their cursors: append, claim, settle. Static, set-based SQL; only inserts into the logs."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

import asyncpg
import orjson

from carelane.domain.delivery import Entry, Settlement
from carelane.domain.errors import StoreLost
from carelane.domain.ids import LaneId, OrgId
from carelane.domain.message import Incoming
from carelane.kit.ids import born_on
from carelane.store.database import Database
from carelane.store.trouble import LOST

# One statement is one transaction: message stored and queued on its lanes, or neither. Lane rows are locked in id
# order, so two appenders cannot deadlock and numbers become visible in the order they were given.
APPEND = """
WITH given AS (
  SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::uuid[], $4::date[], $5::timestamptz[], $6::text[], $7::boolean[], $8::bytea[], $9::bytea[],
                       $10::int[], $11::bytea[], $12::bytea[], $13::text[], $14::uuid[]) WITH ORDINALITY
    AS t(org_id, source_id, id, day, received_at, heading, readable, body, body_sha256, key_id, dedup_key, reply, tokens, replay_of, ord)),
fresh AS (
  INSERT INTO dedup (org_id, day, source_id, key, message_id)
  SELECT org_id, day, source_id, dedup_key, id FROM given g
  WHERE NOT EXISTS (SELECT FROM dedup d WHERE d.source_id = g.source_id AND d.key = g.dedup_key AND d.day >= $17::date AND d.day < $18::date)
  ORDER BY ord
  ON CONFLICT DO NOTHING RETURNING message_id),
stored AS (
  INSERT INTO message (org_id, day, id, source_id, received_at, heading, readable, body, body_sha256, key_id, reply, tokens, replay_of)
  SELECT org_id, day, id, source_id, received_at, heading::jsonb, readable, body, body_sha256, key_id, reply, tokens::bigint[], replay_of
  FROM given JOIN fresh ON fresh.message_id = given.id),
want AS (
  SELECT w.lane_id, g.ord, g.id AS message_id, g.day AS message_day
  FROM unnest($15::bigint[], $16::int[]) AS w(lane_id, ord) JOIN given g ON g.ord = w.ord JOIN fresh ON fresh.message_id = g.id),
locked AS (SELECT id, org_id, dest_org_id, tail_seq FROM lane WHERE id IN (SELECT lane_id FROM want) ORDER BY id FOR UPDATE),
numbered AS (
  SELECT l.org_id, l.dest_org_id, w.lane_id, w.message_id, w.message_day, l.tail_seq + row_number() OVER (PARTITION BY w.lane_id ORDER BY w.ord) AS seq
  FROM want w JOIN locked l ON l.id = w.lane_id),
bump AS (
  UPDATE lane l SET tail_seq = n.top, arrived_at = now(), head_day = least(l.head_day, n.oldest, $18::date)
  FROM (SELECT lane_id, max(seq) AS top, min(message_day) AS oldest FROM numbered GROUP BY lane_id) n WHERE l.id = n.lane_id),
queued AS (
  INSERT INTO delivery (org_id, dest_org_id, day, lane_id, seq, message_id, message_day)
  SELECT org_id, dest_org_id, $18::date, lane_id, seq, message_id, message_day FROM numbered RETURNING lane_id, seq)
SELECT message_id, NULL::bigint AS lane_id, NULL::bigint AS tail FROM fresh
UNION ALL SELECT NULL, lane_id, max(seq) FROM queued GROUP BY lane_id
"""

STORED_REPLIES = """
SELECT w.ord, m.id, m.org_id, m.key_id, m.reply
FROM unnest($1::bigint[], $2::bytea[], $3::int[]) AS w(source_id, key, ord)
JOIN dedup d ON d.source_id = w.source_id AND d.key = w.key AND d.day >= $4::date
JOIN message m ON m.day = d.day AND m.id = d.message_id
"""

REQUEUE = """
WITH locked AS (SELECT id, org_id, dest_org_id, tail_seq FROM lane WHERE id = ANY($1::bigint[]) ORDER BY id FOR UPDATE),
bump AS (UPDATE lane l SET tail_seq = l.tail_seq + 1, head_day = least(l.head_day, $3::date, $4::date) FROM locked WHERE l.id = locked.id)
INSERT INTO delivery (org_id, dest_org_id, day, lane_id, seq, message_id, message_day)
SELECT org_id, dest_org_id, $4::date, id, tail_seq + 1, $2, $3 FROM locked RETURNING lane_id, seq
"""

# The window: up to $3 entries of a lane, cut where their bodies pass $4 bytes; the first one always comes.
CLAIM = """
SELECT w.lane_id, e.* FROM unnest($1::bigint[], $2::bigint[]) AS w(lane_id, after)
JOIN lane l ON l.id = w.lane_id
CROSS JOIN LATERAL (
  SELECT * FROM (
    SELECT d.seq, d.queued_at, m.id, m.org_id, m.source_id, m.received_at, m.body, m.key_id, (m.heading->>'test')::boolean AS test,
           m.heading->>'format' AS format, m.heading->>'dataModel' AS data_model,
           sum(octet_length(m.body)) OVER (ORDER BY d.seq) - octet_length(m.body) AS before
    FROM (SELECT * FROM delivery WHERE lane_id = w.lane_id AND seq > w.after AND day >= coalesce(l.head_day, current_date) ORDER BY seq LIMIT $3) d
    JOIN message m ON m.day = d.message_day AND m.id = d.message_id) s
  WHERE s.before < $4 OR s.seq = w.after + 1) e
ORDER BY w.lane_id, e.seq
"""

SETTLE = """
WITH v AS (
  SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::timestamptz[], $6::text[], $7::int[], $8::bytea[])
    AS t(lane_id, seq, epoch, verdict, next_at, reason, took_ms, detail)),
mine AS (
  SELECT l.id, l.tries + 1 AS n FROM lane l JOIN v ON v.lane_id = l.id
  WHERE l.epoch = v.epoch AND l.head_seq = v.seq - 1 ORDER BY l.id FOR UPDATE OF l),
moved AS (
  UPDATE lane l SET
    head_seq = CASE WHEN v.verdict IN ('delivered', 'filtered') THEN v.seq ELSE l.head_seq END,
    delivered_at = CASE WHEN v.verdict = 'delivered' THEN now() ELSE l.delivered_at END,
    attempts = CASE WHEN v.verdict IN ('delivered', 'filtered') THEN 0 ELSE l.attempts + 1 END,
    tries = CASE WHEN v.verdict IN ('delivered', 'filtered') THEN 0 ELSE mine.n END,
    next_attempt_at = CASE WHEN v.verdict = 'again' THEN v.next_at END,
    held = CASE WHEN v.verdict = 'held' THEN v.reason ELSE l.held END,
    failing_since = CASE WHEN v.verdict IN ('delivered', 'filtered') THEN NULL ELSE coalesce(l.failing_since, now()) END,
    head_day = CASE WHEN v.verdict IN ('delivered', 'filtered') AND v.seq = l.tail_seq THEN NULL ELSE l.head_day END
  FROM v JOIN mine ON mine.id = v.lane_id
  WHERE l.id = v.lane_id
  RETURNING l.id, l.org_id, l.dest_org_id, v.seq, mine.n, v.verdict, v.took_ms, v.reason, v.detail)
INSERT INTO attempt (org_id, dest_org_id, day, lane_id, seq, n, at, verdict, took_ms, reason, detail)
SELECT org_id, dest_org_id, $9::date, id, seq, n, now(), verdict, took_ms, reason, detail FROM moved
RETURNING lane_id
"""


@dataclass(frozen=True, slots=True)
class StoredReply:
    """What an earlier copy of a message was answered, still sealed."""

    message_id: UUID
    org_id: OrgId
    key_id: int
    reply: bytes


@dataclass(frozen=True, slots=True)
class Appended:
    """What became of one batch: earlier replies for the duplicates, and the new tail of each lane."""

    duplicates: dict[UUID, StoredReply]
    tails: dict[LaneId, int]


class Ledger:
    """The truth about messages and deliveries.

    Every method is one transaction. None may be cancelled while its commit is under way: an error means the outcome
    is unknown, and the caller must not acknowledge.
    """

    def __init__(self, database: Database, dedup_days: int = 3) -> None:
        self._database = database
        self._dedup_days = dedup_days

    async def append(self, batch: Sequence[Incoming]) -> Appended:
        """Store messages and queue them on their lanes, or none of it.

        Raises:
            StoreLost: the database is away or its answer is unknown; acknowledge nothing.
        """
        today = max(born_on(item.id) for item in batch)
        since = today - timedelta(days=self._dedup_days)
        lanes = [(lane, ord_) for ord_, item in enumerate(batch, start=1) for lane in item.lanes]
        rows = await self._fetch(
            APPEND,
            [item.org_id for item in batch],
            [item.source_id for item in batch],
            [item.id for item in batch],
            [born_on(item.id) for item in batch],
            [item.received_at for item in batch],
            [orjson.dumps(item.heading).decode() for item in batch],
            [item.readable for item in batch],
            [item.body for item in batch],
            [item.body_sha256 for item in batch],
            [item.key_id for item in batch],
            [item.dedup_key for item in batch],
            [item.reply for item in batch],
            ["{" + ",".join(map(str, item.tokens)) + "}" for item in batch],
            [item.replay_of for item in batch],
            [lane for lane, _ in lanes],
            [ord_ for _, ord_ in lanes],
            since,
            today,
        )
        fresh = {row["message_id"] for row in rows if row["message_id"] is not None}
        tails = {LaneId(row["lane_id"]): int(row["tail"]) for row in rows if row["lane_id"] is not None}
        repeats = [item for item in batch if item.id not in fresh]
        return Appended(await self._earlier(repeats, since) if repeats else {}, tails)

    async def _earlier(self, repeats: Sequence[Incoming], since: date) -> dict[UUID, StoredReply]:
        rows = await self._fetch(STORED_REPLIES, [item.source_id for item in repeats], [item.dedup_key for item in repeats], list(range(len(repeats))), since)
        return {repeats[row["ord"]].id: StoredReply(row["id"], OrgId(row["org_id"]), row["key_id"], row["reply"] or b"") for row in rows}

    async def requeue(self, message_id: UUID, lanes: Sequence[int], today: datetime) -> dict[LaneId, int]:
        """Queue a stored message again, at the tail of these lanes; return the new tails."""
        rows = await self._fetch(REQUEUE, list(lanes), message_id, born_on(message_id), today.date())
        return {LaneId(row["lane_id"]): int(row["seq"]) for row in rows}

    async def claim(self, wanted: Sequence[tuple[LaneId, int]], most: int, most_bytes: int) -> dict[LaneId, list[Entry]]:
        """Read the next entries of several lanes at once, each after the given number.

        Raises:
            StoreLost: the database is away.
        """
        rows = await self._fetch(CLAIM, [lane for lane, _ in wanted], [after for _, after in wanted], most, most_bytes)
        found: dict[LaneId, list[Entry]] = {lane: [] for lane, _ in wanted}
        for row in rows:
            lane = LaneId(row["lane_id"])
            found[lane].append(
                Entry(
                    lane,
                    row["seq"],
                    row["id"],
                    OrgId(row["org_id"]),
                    row["source_id"],
                    row["received_at"],
                    row["queued_at"],
                    row["body"],
                    row["key_id"],
                    bool(row["test"]),
                    row["format"],
                    row["data_model"],
                )
            )
        return found

    async def settle(self, batch: Sequence[Settlement], today: datetime) -> set[LaneId]:
        """Record attempts and move cursors; return the lanes that were still ours.

        A lane missing from the result was taken over or moved by an operator: stop it and read it again.

        Raises:
            StoreLost: the database is away or its answer is unknown; nothing more may be sent before it is read again.
        """
        rows = await self._fetch(
            SETTLE,
            [item.lane_id for item in batch],
            [item.seq for item in batch],
            [item.epoch for item in batch],
            [str(item.verdict) for item in batch],
            [item.next_attempt_at for item in batch],
            [item.reason for item in batch],
            [item.took_ms for item in batch],
            [item.detail for item in batch],
            today.date(),
        )
        return {LaneId(row["lane_id"]) for row in rows}

    async def _fetch(self, statement: str, *values: object) -> list[asyncpg.Record]:
        return await asyncio.shield(self._fetch_whole(statement, values))

    async def _fetch_whole(self, statement: str, values: Sequence[object]) -> list[asyncpg.Record]:
        try:
            return await self._try(statement, values)
        except asyncpg.CheckViolationError:  # no partition for this day: the clock jumped, or we slept for a week
            await self._database.ensure_partitions()
            return await self._try(statement, values)

    async def _try(self, statement: str, values: Sequence[object]) -> list[asyncpg.Record]:
        try:
            async with self._database.engine.acquire() as connection:
                found: list[asyncpg.Record] = await connection.fetch(statement, *values)
                return found
        except LOST as error:
            raise StoreLost(f"the database went away: {type(error).__name__}") from error
        except asyncpg.CheckViolationError:
            raise
        except asyncpg.PostgresError as error:  # never its text: a failing row's values stand in it
            raise StoreLost(f"the database refused a statement: {error.sqlstate} {type(error).__name__}") from None

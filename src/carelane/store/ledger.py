"""The two logs and their cursors: append, claim, settle. Static, set-based SQL; only inserts into the logs."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

import asyncpg
import orjson

from carelane.domain.delivery import Entry, Settlement, Verdict
from carelane.domain.errors import StoreLost, Unstorable
from carelane.domain.ids import LaneId, OrgId
from carelane.domain.message import Incoming
from carelane.kit.ids import born_on
from carelane.store.database import Database
from carelane.store.statements import APPEND, CLAIM, SETTLE, STORED_REPLIES
from carelane.store.trouble import LOST

_VALUES = ("22", "23", "54", "0A")
"""Classes of SQLSTATE that are about the values of a statement: it did nothing, and would do nothing the next time."""


@dataclass(frozen=True, slots=True)
class StoredReply:
    """What an earlier copy of a message was answered, still sealed, and what the copy was."""

    message_id: UUID
    org_id: OrgId
    key_id: int
    reply: bytes
    body_sha256: bytes


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
            Unstorable: it refused a value of some message; nothing was stored, and the others may be tried again.
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
        found = await self._earlier(repeats, since) if repeats else {}
        if len(found) < len(repeats):  # neither stored now nor found from before: nobody may be told that it is here
            raise Unstorable(f"{len(repeats) - len(found)} messages count as repeats of messages that are not there")
        return Appended(found, tails)

    async def _earlier(self, repeats: Sequence[Incoming], since: date) -> dict[UUID, StoredReply]:
        rows = await self._fetch(STORED_REPLIES, [item.source_id for item in repeats], [item.dedup_key for item in repeats], list(range(len(repeats))), since)
        return {repeats[row["ord"]].id: StoredReply(row["id"], OrgId(row["org_id"]), row["key_id"], row["reply"] or b"", row["body_sha256"]) for row in rows}

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

    async def settle(self, batch: Sequence[Settlement], today: datetime) -> set[tuple[LaneId, int, int]]:
        """Record attempts and move cursors; return what was recorded, as (lane, epoch, head).

        What is missing from the result changed nothing: the lane was taken over, moved by an operator, or this settlement is in the store already.

        Raises:
            StoreLost: the database is away or its answer is unknown; settle the same again, or read the lane, before anything more is sent.
        """
        earlier = [(item, tried) for item in batch for tried in item.tried[:-1]]
        rows = await self._fetch(
            SETTLE,
            [item.lane_id for item in batch],
            [item.epoch for item in batch],
            [item.head for item in batch],
            [item.tries for item in batch],
            [item.taken for item in batch],
            [sum(tried.verdict is Verdict.DELIVERED for tried in item.tried) for item in batch],
            [str(item.tried[-1].verdict) for item in batch],
            [item.next_attempt_at for item in batch],
            [item.tried[-1].reason for item in batch],
            [item.tried[-1].took_ms for item in batch],
            [item.tried[-1].detail for item in batch],
            [item.lane_id for item, _ in earlier],
            [item.epoch for item, _ in earlier],
            [tried.seq for _, tried in earlier],
            [str(tried.verdict) for _, tried in earlier],
            [tried.took_ms for _, tried in earlier],
            [tried.reason for _, tried in earlier],
            [tried.detail for _, tried in earlier],
            today.date(),
        )
        return {(LaneId(row["lane_id"]), int(row["epoch"]), int(row["head"])) for row in rows}

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
        except ValueError as error:  # asyncpg could not even write an argument; before LOST, for it is an InterfaceError too
            raise Unstorable(f"a value cannot be written to the database: {type(error).__name__}") from None
        except LOST as error:
            raise StoreLost(f"the database went away: {type(error).__name__}") from error
        except asyncpg.CheckViolationError:
            raise
        except asyncpg.PostgresError as error:  # never its text: a failing row's values stand in it
            kind = Unstorable if (error.sqlstate or "")[:2] in _VALUES else StoreLost
            raise kind(f"the database refused a statement: {error.sqlstate} {type(error).__name__}") from None

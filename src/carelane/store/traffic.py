"""What people look up: messages, their deliveries and attempts, under the organization's row-level security."""

from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Column,
    Date,
    DateTime,
    FromClause,
    Integer,
    LargeBinary,
    MetaData,
    Select,
    String,
    Table,
    Uuid,
    and_,
    desc,
    or_,
    select,
    true,
    tuple_,
    union,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from carelane.domain.ids import OrgId
from carelane.domain.views import AttemptView, DeliveryView, MessageView, Search
from carelane.kit.ids import born_on
from carelane.store.database import Database

_META = MetaData()
MESSAGE = Table(
    "message",
    _META,
    Column("org_id", BigInteger),
    Column("day", Date),
    Column("id", Uuid),
    Column("source_id", BigInteger),
    Column("received_at", DateTime(timezone=True)),
    Column("heading", JSONB),
    Column("key_id", Integer),
    Column("tokens", ARRAY(BigInteger)),
    Column("replay_of", Uuid),
)
BODY = Table("message_body", _META, Column("day", Date), Column("id", Uuid), Column("body", LargeBinary), Column("reply", LargeBinary))
DELIVERY = Table(
    "delivery",
    _META,
    Column("org_id", BigInteger),
    Column("dest_org_id", BigInteger),
    Column("day", Date),
    Column("lane_id", BigInteger),
    Column("seq", BigInteger),
    Column("message_id", Uuid),
    Column("message_day", Date),
    Column("queued_at", DateTime(timezone=True)),
)
LANE = Table(
    "lane_now",
    _META,
    Column("id", BigInteger),
    Column("org_id", BigInteger),
    Column("dest_org_id", BigInteger),
    Column("subscription_id", BigInteger),
    Column("head_seq", BigInteger),
    Column("tail_seq", BigInteger),
    Column("attempts", Integer),
    Column("held", String),
    Column("paused", String),
)
ATTEMPT = Table(
    "attempt",
    _META,
    Column("lane_id", BigInteger),
    Column("seq", BigInteger),
    Column("n", Integer),
    Column("at", DateTime(timezone=True)),
    Column("verdict", String),
    Column("took_ms", Integer),
    Column("reason", String),
    Column("detail", LargeBinary),
)
SUBSCRIPTION = Table(
    "subscription",
    _META,
    Column("id", BigInteger),
    Column("name", String),
    Column("data_model", String),
    Column("environment", String),
    Column("source_id", BigInteger),
    Column("destination_id", BigInteger),
)
SOURCE = Table(
    "source",
    _META,
    Column("id", BigInteger),
    Column("name", String),
    Column("org_id", BigInteger),
    Column("format", String),
    Column("environment", String),
)
DESTINATION = Table("destination", _META, Column("id", BigInteger), Column("name", String), Column("org_id", BigInteger))


# Row-level security lets no index look into an array (its operator is not leakproof), so the engine finds the ids, for one
# organization and with its own keyed hashes; the rows are then read under the organization's rights like any others.
_BY_TOKEN = """
SELECT m.day, m.id FROM message m WHERE m.org_id = $1 AND m.tokens && $2::bigint[] AND ($3::uuid IS NULL OR m.id < $3)
  AND ($4::text IS NULL OR m.heading->>'dataModel' = $4) AND ($5::bigint IS NULL OR m.source_id = $5)
  AND ($6::text[] IS NULL OR m.source_id IN (SELECT s.id FROM source s WHERE s.org_id = $1 AND s.environment = ANY($6)))
ORDER BY m.id DESC LIMIT 1000
"""


async def find_messages(database: Database, org: OrgId, search: Search) -> list[MessageView]:
    """Return messages the organization sent or received, newest first."""
    listing = _listing(org, search)
    if search.tokens:
        known = await database.engine.fetch(_BY_TOKEN, org, list(search.tokens), search.before, search.data_model, search.source_id, search.environments)
        if not known:
            return []
        listing = _these([(row["day"], row["id"]) for row in known[: search.most]], search.most)
    async with database.as_org(org) as connection:
        rows = (await connection.execute(listing)).mappings().all()
    return [
        MessageView(
            row["id"],
            OrgId(row["org_id"]),
            row["source_id"],
            row["source"] or "",
            row["received_at"],
            row["heading"],
            row["replay_of"],
            environment=row["environment"] or "",
        )
        for row in rows
    ]


def _listing(org: OrgId, search: Search) -> Select[Any]:
    """The newest of what was sent, and the newest of each lane that leads here: never a walk over all messages."""
    ids = union(_sent(org, search), _received(org, search)).subquery("found")
    return _rows(ids.join(MESSAGE, and_(MESSAGE.c.day == ids.c.day, MESSAGE.c.id == ids.c.id)), search.most)


def _these(known: list[tuple[date, UUID]], most: int) -> Select[Any]:
    return _rows(MESSAGE, most).where(tuple_(MESSAGE.c.day, MESSAGE.c.id).in_(known))


def _rows(found: FromClause, most: int) -> Select[Any]:
    columns = [
        MESSAGE.c.id,
        MESSAGE.c.org_id,
        MESSAGE.c.source_id,
        MESSAGE.c.received_at,
        MESSAGE.c.heading,
        MESSAGE.c.replay_of,
        SOURCE.c.name.label("source"),
        SOURCE.c.environment,
    ]
    return select(*columns).select_from(found.outerjoin(SOURCE, SOURCE.c.id == MESSAGE.c.source_id)).order_by(desc(MESSAGE.c.id)).limit(most)


def _sent(org: OrgId, search: Search) -> Select[Any]:
    wanted = [MESSAGE.c.org_id == org]
    if search.data_model:
        wanted.append(MESSAGE.c.heading["dataModel"].astext == search.data_model)
    if search.source_id:
        wanted.append(MESSAGE.c.source_id == search.source_id)
    if search.environments is not None:
        wanted.append(MESSAGE.c.source_id.in_(select(SOURCE.c.id).where(SOURCE.c.org_id == org, SOURCE.c.environment.in_(search.environments))))
    if search.before:
        wanted.append(and_(MESSAGE.c.day <= born_on(search.before), MESSAGE.c.id < search.before))
    newest = select(MESSAGE.c.id, MESSAGE.c.day).where(*wanted).order_by(desc(MESSAGE.c.id)).limit(search.most).subquery("sent")
    return select(newest.c.id, newest.c.day)


def _received(org: OrgId, search: Search) -> Select[Any]:
    lanes = [LANE.c.dest_org_id == org, LANE.c.org_id != org, LANE.c.tail_seq > 0]
    if search.data_model:
        lanes.append(SUBSCRIPTION.c.data_model == search.data_model)
    if search.source_id:
        lanes.append(SUBSCRIPTION.c.source_id == search.source_id)
    if search.environments is not None:
        lanes.append(SUBSCRIPTION.c.environment.in_(search.environments))
    newest = select(DELIVERY.c.message_id.label("id"), DELIVERY.c.message_day.label("day")).where(DELIVERY.c.lane_id == LANE.c.id)
    if search.before:
        newest = newest.where(DELIVERY.c.message_id < search.before)
    each = newest.order_by(desc(DELIVERY.c.seq)).limit(search.most).lateral("each")
    return select(each.c.id, each.c.day).select_from(LANE.join(SUBSCRIPTION, SUBSCRIPTION.c.id == LANE.c.subscription_id).join(each, true())).where(*lanes)


async def read_message(database: Database, org: OrgId, message: UUID) -> MessageView | None:
    """Return one message, its body still sealed; None when there is none or it is not this organization's to see."""
    query = (
        select(MESSAGE, BODY.c.body, BODY.c.reply, SOURCE.c.name.label("source"), SOURCE.c.format.label("format"), SOURCE.c.environment)
        .select_from(
            MESSAGE.outerjoin(BODY, and_(BODY.c.day == MESSAGE.c.day, BODY.c.id == MESSAGE.c.id)).outerjoin(SOURCE, SOURCE.c.id == MESSAGE.c.source_id)
        )
        .where(MESSAGE.c.day == born_on(message), MESSAGE.c.id == message)
    )
    async with database.as_org(org) as connection:
        row = (await connection.execute(query)).mappings().first()
    if row is None:
        return None
    return MessageView(
        row["id"],
        OrgId(row["org_id"]),
        row["source_id"],
        row["source"] or "",
        row["received_at"],
        row["heading"],
        row["replay_of"],
        row["key_id"],
        row["body"],
        row["reply"],
        row["format"] or "",
        row["environment"] or "",
    )


async def read_deliveries(database: Database, org: OrgId, message: UUID) -> list[DeliveryView]:
    """Return where a message went and every attempt, oldest first."""
    deliveries = (
        select(
            DELIVERY,
            SUBSCRIPTION.c.name,
            SUBSCRIPTION.c.data_model,
            DESTINATION.c.name.label("destination"),
            LANE.c.head_seq,
            LANE.c.held,
            LANE.c.paused,
            LANE.c.attempts,
        )
        .select_from(
            DELIVERY.join(LANE, LANE.c.id == DELIVERY.c.lane_id)
            .join(SUBSCRIPTION, SUBSCRIPTION.c.id == LANE.c.subscription_id)
            .outerjoin(DESTINATION, DESTINATION.c.id == SUBSCRIPTION.c.destination_id)
        )
        .where(DELIVERY.c.message_id == message)
        .order_by(DELIVERY.c.lane_id, DELIVERY.c.seq)
    )
    async with database.as_org(org) as connection:
        rows = (await connection.execute(deliveries)).mappings().all()
        wanted = [and_(ATTEMPT.c.lane_id == row["lane_id"], ATTEMPT.c.seq == row["seq"]) for row in rows]
        tries = (await connection.execute(select(ATTEMPT).where(or_(*wanted)).order_by(ATTEMPT.c.n))).mappings().all() if wanted else []
    return [
        DeliveryView(
            row["lane_id"],
            row["seq"],
            row["queued_at"],
            row["name"],
            row["data_model"],
            row["destination"] or "",
            row["dest_org_id"],
            _state(row),
            [
                AttemptView(t["n"], t["at"], t["verdict"], t["took_ms"], t["reason"], t["detail"])
                for t in tries
                if t["lane_id"] == row["lane_id"] and t["seq"] == row["seq"]
            ],
            again=any(row["lane_id"] == before["lane_id"] and row["seq"] > before["seq"] for before in rows),
        )
        for row in rows
    ]


def _state(row: Any) -> str:
    if row["seq"] <= row["head_seq"]:
        return "settled"
    if row["seq"] > row["head_seq"] + 1:
        return "queued"
    return "paused" if row["paused"] else "held" if row["held"] else "retrying" if row["attempts"] else "next"

"""Subscriptions: listed, proposed, accepted, paused, drained, renamed, ended. The database enforces the rules; the errors explain them."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy import ColumnElement, RowMapping, and_, column, func, or_, select, text

from carelane.domain.errors import Conflict, PackBroken, Stale
from carelane.domain.office import Filter, Page, PartnerCard, Subscription, flow_word
from carelane.domain.permissions import Right, demand, nothing_here
from carelane.domain.states import next_connection_state, next_subscription_state
from carelane.domain.views import Person
from carelane.kit.ids import public, uuid7
from carelane.store import audit
from carelane.store.catalogue.subscription import WHY, add_lane
from carelane.store.database import Database
from carelane.store.office.reading import ORGANIZATION, fetch, organization_of

_VIEW = """
SELECT s.uid, l.id AS lane_id, s.name, s.data_model, s.working_model, s.environment, s.state, s.drain, c.uid AS connection,
       coalesce(c.state, '') AS connection_state, coalesce(p.name, 'Yourself') AS partner, p.uid AS partner_uid, s.org_id = :org AS outward,
       s.org_id = s.dest_org_id AS one_party, src.name AS source, src.uid AS source_uid, dst.name AS destination, dst.uid AS destination_uid,
       s.org_id = :org AS mine_source, s.dest_org_id = :org AS mine_destination, s.state = 'proposed' AND s.proposed_by_org <> :org AS awaiting_me,
       (extract(epoch FROM s.retry_for) / 3600)::int AS retry_hours, s.created_at, s.activated_at, coalesce(l.tail_seq, 0) AS tail,
       coalesce(l.head_seq, 0) AS head, coalesce(l.delivered, 0) AS delivered, coalesce(l.attempts, 0) AS attempts,
       l.held, l.paused, l.next_attempt_at, l.delivered_at, l.arrived_at,
       CASE WHEN l.tail_seq > l.head_seq THEN (SELECT d.queued_at FROM delivery d
         WHERE d.lane_id = l.id AND d.seq = l.head_seq + 1 AND d.day >= coalesce(l.open_day, current_date)) END AS oldest, s.version,
       CASE WHEN l.attempts > 0 THEN (SELECT a.reason FROM attempt a
         WHERE a.lane_id = l.id AND a.seq = l.head_seq + 1 AND a.day >= coalesce(l.open_day, current_date) ORDER BY a.n DESC LIMIT 1) END AS last_error,
       s.overlay
FROM subscription s JOIN source src ON src.id = s.source_id JOIN destination dst ON dst.id = s.destination_id
LEFT JOIN lane_now l ON l.subscription_id = s.id LEFT JOIN connection c ON c.id = s.connection_id
LEFT JOIN organization p ON p.id = CASE WHEN s.org_id = :org THEN s.dest_org_id ELSE s.org_id END AND s.connection_id IS NOT NULL
WHERE :org IN (s.org_id, s.dest_org_id)
"""
_TEXTS = ("name", "data_model", "environment", "state", "partner", "source", "destination")
_COLUMNS = (
    "uid", "lane_id", "name", "data_model", "working_model", "environment", "state", "drain", "connection", "connection_state", "partner", "partner_uid",
    "outward", "one_party", "source", "source_uid", "destination", "destination_uid", "mine_source", "mine_destination", "awaiting_me", "retry_hours",
    "created_at", "activated_at", "tail", "head", "delivered", "attempts", "held", "paused", "next_attempt_at", "delivered_at", "arrived_at", "oldest",
    "version",
    "last_error", "overlay",
)  # fmt: skip
_WORDS = ("state", "drain", "connection_state", "paused", "held", "attempts", "queued", "settled")
SORTS = ("partner", "source", "name", "outward", "activated_at", "data_model", "destination", "environment", "state", "pending", "delivered_at", "uid")
_CARDS = f"""
WITH mine AS (
  SELECT s.connection_id, s.environment, s.state, l.id AS lane_id, l.held, l.paused, l.tail_seq, l.head_seq, l.arrived_at, l.delivered_at
  FROM subscription s LEFT JOIN lane_now l ON l.subscription_id = s.id WHERE s.connection_id IS NOT NULL AND s.state <> 'ended'),
sums AS (
  SELECT connection_id, array_agg(DISTINCT environment) AS environments, count(*) AS subscriptions, count(held) AS held,
         count(*) FILTER (WHERE paused IS NOT NULL OR state = 'paused') AS paused, sum(coalesce(tail_seq - head_seq, 0))::bigint AS pending,
         max(greatest(arrived_at, delivered_at)) AS last_at
  FROM mine GROUP BY connection_id),
seen AS (
  SELECT m.connection_id, a.lane_id, a.minute, a.tail_seq FROM lane_sample a JOIN mine m ON m.lane_id = a.lane_id
  WHERE a.minute > now() - interval '1 hour'
  UNION ALL SELECT connection_id, lane_id, now(), tail_seq FROM mine WHERE lane_id IS NOT NULL
  UNION ALL SELECT m.connection_id, m.lane_id, b.minute, b.tail_seq FROM mine m CROSS JOIN LATERAL (
    SELECT minute, tail_seq FROM lane_sample WHERE lane_id = m.lane_id AND minute <= now() - interval '1 hour' ORDER BY minute DESC LIMIT 1) b),
steps AS (
  SELECT connection_id, width_bucket(extract(epoch FROM now() - minute), 0, 3600, 12) AS bucket,
         tail_seq - coalesce(lag(tail_seq) OVER (PARTITION BY lane_id ORDER BY minute), 0) AS moved
  FROM seen),
sparks AS (
  SELECT connection_id, jsonb_object_agg(bucket, moved) AS spark
  FROM (SELECT connection_id, bucket, sum(moved)::bigint AS moved FROM steps WHERE bucket BETWEEN 1 AND 12 GROUP BY connection_id, bucket) x
  GROUP BY connection_id)
SELECT c.uid, c.state, {ORGANIZATION.format("p")}, sums.*, sparks.spark
FROM sums JOIN connection c ON c.id = sums.connection_id JOIN organization p ON p.id = CASE WHEN c.org_id = :org THEN c.partner_org_id ELSE c.org_id END
LEFT JOIN sparks ON sparks.connection_id = sums.connection_id ORDER BY (p.kind = 'built-in'), lower(p.name)
"""  # noqa: S608  (fixed columns)
_LIVE = """
SELECT l.id, l.tail_seq AS queued, l.head_seq AS settled, l.delivered, l.attempts, l.held, l.paused, s.state, s.drain, coalesce(c.state, '') AS connection_state
FROM subscription s JOIN lane_now l ON l.subscription_id = s.id LEFT JOIN connection c ON c.id = s.connection_id
WHERE (CAST(:connection AS uuid) IS NULL OR c.uid = :connection) AND s.state <> 'ended' ORDER BY l.id LIMIT 1000
"""
_ENDS = """
SELECT s.id AS source_id, d.id AS destination_id, s.org_id, d.org_id AS dest_org_id, s.environment, d.environment AS dest_environment, s.name AS source,
       d.name AS destination, s.format AS source_format, d.format AS destination_format
FROM source s, destination d WHERE s.uid = $1 AND d.uid = $2 AND s.deleted_at IS NULL AND d.deleted_at IS NULL
"""
_CONNECTION_OF = """
SELECT id, uid, state FROM connection WHERE org_low = least($1::bigint, $2) AND org_high = greatest($1::bigint, $2)
AND state IN ('accepted', 'connected', 'suspended') FOR SHARE
"""
_NEW = """
INSERT INTO subscription (uid, name, connection_id, org_id, dest_org_id, environment, source_id, destination_id, data_model, working_model, state,
                          activated_at, proposed_by_org)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11::text, CASE WHEN $11::text IN ('active', 'paused') THEN now() END, $12) RETURNING id
"""
_LOCK = """
SELECT s.*, c.uid AS connection_uid, c.state AS connection_state FROM subscription s LEFT JOIN connection c ON c.id = s.connection_id
WHERE s.uid = $1 AND $2 IN (s.org_id, s.dest_org_id) FOR UPDATE OF s
"""
_STATE = """
UPDATE subscription SET state = $2::text, drain = $3, version = version + 1,
  activated_at = CASE WHEN $2::text = 'active' THEN coalesce(activated_at, now()) ELSE activated_at END,
  ended_at = CASE WHEN $2::text = 'ended' THEN now() END WHERE id = $1
"""
_CHANGE = """
UPDATE subscription SET name = coalesce($2, name), retry_for = coalesce($3, retry_for), overlay = coalesce($4, overlay), version = version + 1 WHERE id = $1
"""


@dataclass(frozen=True)
class Subscriptions:
    """The bridges of an organization."""

    database: Database
    name_overlay: Callable[[str], Awaitable[str]]
    """Reads an overlay and returns its name and version, without holding up anybody; raises ``PackBroken`` for one that does not fit its map."""

    async def cards(self, person: Person) -> list[PartnerCard]:
        """Return a card per connected partner that has a subscription; figures come from samples, messages are not counted."""
        demand(person, Right.SEE)
        return [_card(row) for row in await fetch(self.database, person.org_id, _CARDS)]

    async def live(self, person: Person, connection: UUID | None) -> dict[int, tuple[int, int, int, str]]:
        """Return the figures of each lane of a connection: queued, settled, delivered, and its state in one word."""
        rows = await fetch(self.database, person.org_id, _LIVE, connection=connection)
        return {row["id"]: (row["queued"], row["settled"], row["delivered"], flow_word(**{name: row[name] for name in _WORDS})) for row in rows}

    async def find(self, person: Person, wanted: Filter) -> Page:
        """Return a page of subscriptions."""
        demand(person, Right.SEE)
        view = text(_VIEW).columns(*(column(name) for name in _COLUMNS)).subquery("v")
        row = view.c
        conditions: list[ColumnElement[bool]] = [row.environment.in_(list(person.environments))]
        if not wanted.ended:
            conditions.append(row.state != "ended")
        conditions += [row[name] == value for name, value in _exact(wanted) if value]
        if wanted.after is not None:
            conditions.append(row.uid > wanted.after)
        for word in wanted.text.lower().split()[:8]:
            like = f"%{word.replace('%', '').replace('_', '')}%"
            conditions.append(or_(*(func.lower(row[name]).like(like) for name in _TEXTS)))
        down, name = wanted.sort.startswith("-"), wanted.sort.removeprefix("-")
        order: Any = row.tail - row.head if name == "pending" else row[name] if name in SORTS else row.partner
        order = func.lower(order) if name in ("partner", "source", "name", "destination") or name not in SORTS else order
        listing = (
            select(view, func.count().over().label("total"))
            .where(and_(*conditions))
            .order_by(order.desc().nulls_last() if down else order.asc().nulls_last(), row.source, row.destination, row.data_model, row.uid)
            .limit(wanted.size)
            .offset(max(wanted.page - 1, 0) * wanted.size)
        )
        rows = await fetch(self.database, person.org_id, listing, org=person.org_id)
        return Page(tuple(_subscription(found) for found in rows), rows[0]["total"] if rows else 0)

    async def one(self, person: Person, uid: UUID) -> Subscription:
        """Return one subscription.

        Raises:
            NotFound: there is none, or one's role does not reach it.
        """
        rows = await fetch(self.database, person.org_id, _VIEW + " AND s.uid = :uid", uid=uid)
        if not rows:
            raise nothing_here()
        demand(person, Right.SEE, rows[0]["environment"])
        return _subscription(rows[0])

    async def create(
        self, person: Person, *, source: UUID, destination: UUID, models: Sequence[str], name: str = "", paused: bool = False, working_model: str = "datamodel"
    ) -> list[UUID]:
        """Create one subscription per data model: active at once for one party, proposed to the other side for two.

        Raises:
            Conflict: a rule is broken; the sentence says which and what to do.
            NotFound: an end does not exist, or is out of reach.
        """
        if not models:
            raise Conflict("Choose at least one data model.")
        async with self.database.engine.acquire() as connection, connection.transaction():
            ends = await connection.fetchrow(_ENDS, source, destination)
            if ends is None or person.org_id not in (ends["org_id"], ends["dest_org_id"]):
                raise nothing_here()
            demand(person, Right.BUILD, ends["environment"] if ends["org_id"] == person.org_id else ends["dest_environment"])
            bridge = await self._bridge(connection, person, ends)
            made = []
            for model in dict.fromkeys(models):
                working = "fhir" if model.startswith("FHIR.") else working_model
                made.append(await self._create(connection, person, ends, bridge, model, name, working, paused=paused))
        return made

    async def _bridge(self, connection: asyncpg.Connection, person: Person, ends: asyncpg.Record) -> asyncpg.Record | None:
        """Return the connection between the two ends; None when both are one's own."""
        if ends["environment"] != ends["dest_environment"]:
            raise Conflict(
                f"{ends['source']} is in {ends['environment']} and {ends['destination']} in {ends['dest_environment']}: "
                "nothing crosses environments. Choose two ends of the same environment."
            )
        if ends["org_id"] == ends["dest_org_id"]:
            return None
        found = await connection.fetchrow(_CONNECTION_OF, ends["org_id"], ends["dest_org_id"])
        if found is None:
            raise nothing_here()
        if found["state"] == "suspended":
            raise Conflict("The connection is suspended: resume it before you add subscriptions.")
        return found

    async def _create(
        self,
        connection: asyncpg.Connection,
        person: Person,
        ends: asyncpg.Record,
        bridge: asyncpg.Record | None,
        model: str,
        name: str,
        working_model: str,
        *,
        paused: bool,
    ) -> UUID:
        uid = uuid7()
        built_in = bridge is not None and await connection.fetchval(
            "SELECT count(*) FROM organization WHERE id IN ($1, $2) AND kind = 'built-in'", ends["org_id"], ends["dest_org_id"]
        )
        at_once = bridge is None or built_in  # a built-in partner always says yes
        state = ("paused" if paused else "active") if at_once else "proposed"
        shown = name.strip() or f"{model}: {ends['source']} to {ends['destination']}"
        try:
            number = await connection.fetchval(
                _NEW, uid, shown[:200], bridge["id"] if bridge else None, ends["org_id"], ends["dest_org_id"], ends["environment"], ends["source_id"],
                ends["destination_id"], model, working_model, state, person.org_id,
            )  # fmt: skip
        except asyncpg.IntegrityConstraintViolationError as error:
            why = WHY.get(error.constraint_name or "", f"The rule {error.constraint_name} is broken.")
            raise Conflict(why.format(model=model, source=ends["source"], destination=ends["destination"])) from None
        if at_once:
            await add_lane(connection, number)
            await _mark_connected(connection, bridge)
        await self._tell(connection, person, ends, f"subscription.{'create' if at_once else 'propose'}", uid, bridge, {"dataModel": model, "name": shown})
        return uid

    async def accept(self, person: Person, uid: UUID) -> None:
        """Say yes to what the other side proposed: it begins to carry data.

        Raises:
            Conflict: it is no longer proposed, or its connection is suspended.
            NotFound: it is not proposed to one's own organization.
        """
        async with self.database.engine.acquire() as connection, connection.transaction():
            row = await self._locked(connection, person, uid, Right.BUILD)
            if row["state"] == "proposed" and row["proposed_by_org"] == person.org_id:
                raise Conflict("Your own organization proposed this: an engineer of the other side has to accept it.")
            await self._move(connection, person, row, "accept")
            await add_lane(connection, row["id"])
            await _mark_connected(connection, {"id": row["connection_id"]})

    async def pause(self, person: Person, uid: UUID) -> None:
        """Stop delivering; messages go on queuing."""
        await self._simple(person, uid, "pause", Right.OPERATE)

    async def resume(self, person: Person, uid: UUID) -> None:
        """Deliver again after a pause or a drain."""
        await self._simple(person, uid, "resume", Right.OPERATE)

    async def drain(self, person: Person, uid: UUID) -> None:
        """Take nothing new, deliver what is queued, then stand still until resumed or ended."""
        async with self.database.engine.acquire() as connection, connection.transaction():
            row = await self._locked(connection, person, uid, Right.BUILD)
            if row["state"] not in ("active", "paused") or row["drain"]:
                raise Conflict(f"This subscription is {'draining' if row['drain'] else row['state']} already; only an active or paused one can be drained.")
            await connection.execute(_STATE, row["id"], "paused", True)
            await self._tell(connection, person, row, "subscription.drain", row["uid"], None, {})

    async def end(self, person: Person, uid: UUID, *, drain: bool = False) -> None:
        """End it for good; what is queued is delivered first with ``drain``, else kept undelivered. History stays."""
        async with self.database.engine.acquire() as connection, connection.transaction():
            row = await self._locked(connection, person, uid, Right.BUILD)
            await self._move(connection, person, row, "end", drain=drain)

    async def change(
        self, person: Person, uid: UUID, *, name: str | None = None, retry_hours: int | None = None, overlay: str | None = None, version: int | None = None
    ) -> None:
        """Rename it, say how long a failing head is tried before the lane is held, or change the maps for it; an empty overlay takes the changes back.

        Raises:
            Conflict: the name is empty, the hours are none, or the overlay does not fit its map.
            Stale: it was changed since it was read.
        """
        if name is not None and not 1 <= len(name.strip()) <= 200:
            raise Conflict("A name has between 1 and 200 characters.")
        if retry_hours is not None and not 1 <= retry_hours <= 24 * 365:
            raise Conflict("A failing message is tried again for between 1 hour and 365 days.")
        named = await self._checked(overlay)
        async with self.database.engine.acquire() as connection, connection.transaction():
            row = await self._locked(connection, person, uid, Right.BUILD)
            if version is not None and version != row["version"]:
                raise Stale("Somebody changed this subscription since you read it.", pointer="Read it again, then repeat your change.")
            if overlay is not None and overlay.strip() == row["overlay"].strip():
                overlay, named = None, {}
            hours = timedelta(hours=retry_hours) if retry_hours else None
            await connection.execute(_CHANGE, row["id"], name.strip() if name else None, hours, overlay)
            await self._tell(connection, person, row, "subscription.change", row["uid"], None, {"name": name, "retryHours": retry_hours, **named})

    async def _checked(self, overlay: str | None) -> dict[str, object]:
        """Say what the trail tells of an overlay."""
        if overlay is None or not overlay.strip():
            return {} if overlay is None else {"overlay": "none"}
        try:
            return {"overlay": await self.name_overlay(overlay)}
        except PackBroken as error:
            raise Conflict(f"The overlay does not fit: {error}") from None

    async def _simple(self, person: Person, uid: UUID, verb: str, right: Right) -> None:
        async with self.database.engine.acquire() as connection, connection.transaction():
            await self._move(connection, person, await self._locked(connection, person, uid, right), verb)

    async def _locked(self, connection: asyncpg.Connection, person: Person, uid: UUID, right: Right) -> asyncpg.Record:
        row = await connection.fetchrow(_LOCK, uid, person.org_id)
        if row is None:
            raise nothing_here()
        demand(person, right, row["environment"])
        return row

    async def _move(self, connection: asyncpg.Connection, person: Person, row: asyncpg.Record, verb: str, *, drain: bool = False) -> None:
        state = next_subscription_state(row["state"], verb)
        if verb in ("accept", "resume") and row["connection_state"] == "suspended":
            raise Conflict("The connection is suspended: resume the connection first.")
        await connection.execute(_STATE, row["id"], state, drain)
        if verb == "resume":
            await connection.execute("UPDATE lane SET paused = NULL WHERE subscription_id = $1", row["id"])
        await self._tell(connection, person, row, f"subscription.{verb}", row["uid"], None, {"name": row["name"], "dataModel": row["data_model"]})

    async def _tell(
        self,
        connection: asyncpg.Connection,
        person: Person,
        ends: asyncpg.Record,
        action: str,
        uid: UUID,
        bridge: asyncpg.Record | None,
        body: dict[str, object],
    ) -> None:
        """Write both parties' trails; entries of a connection's timeline carry its id."""
        known = bridge["uid"] if bridge is not None else ends["connection_uid"] if "connection_uid" in ends else None  # noqa: SIM401  (a Record)
        body |= {"connection": public("con", known)} if known else {}
        for party in sorted({ends["org_id"], ends["dest_org_id"]}):
            await audit.record(connection, party, person.email, action, public("sub", uid), body)


async def _mark_connected(connection: asyncpg.Connection, bridge: Any) -> None:
    if bridge is None or bridge["id"] is None:
        return
    state = await connection.fetchval("SELECT state FROM connection WHERE id = $1 FOR UPDATE", bridge["id"])
    if state == "accepted":
        await connection.execute("UPDATE connection SET state = $2, version = version + 1 WHERE id = $1", bridge["id"], next_connection_state(state, "connect"))


def _exact(wanted: Filter) -> list[tuple[str, object]]:
    return [("environment", wanted.environment), ("data_model", wanted.data_model), ("state", wanted.state), ("connection", wanted.connection)]


def _subscription(row: RowMapping) -> Subscription:
    return Subscription(**{name: row[name] for name in _COLUMNS})


def _card(row: RowMapping) -> PartnerCard:
    spark: dict[str, int] = row["spark"] or {}
    return PartnerCard(
        row["uid"], row["state"], organization_of(row), tuple(row["environments"]), row["subscriptions"], row["held"], row["paused"], row["pending"],
        row["last_at"], tuple(int(spark.get(str(bucket), 0)) for bucket in range(12, 0, -1)),
    )  # fmt: skip

"""Connections and the subscriptions they hold. The database enforces the rules; the errors here explain them."""

import asyncpg

from carelane.domain.errors import Conflict
from carelane.domain.ids import ConnectionId, LaneId, OrgId, SubscriptionId
from carelane.domain.states import next_connection_state
from carelane.kit.ids import public, uuid7
from carelane.store import audit
from carelane.store.database import Database

_CONNECT = """
INSERT INTO connection (uid, org_id, partner_org_id, state, purpose, decided_at) VALUES ($1, $2, $3, 'accepted', $4, now()) RETURNING id
"""
_AGREE = "INSERT INTO agreement (connection_id, org_id, partner_org_id, data_model) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING"
_SUBSCRIBE = """
INSERT INTO subscription (uid, name, connection_id, org_id, dest_org_id, environment, source_id, destination_id, data_model, working_model, state, activated_at)
SELECT $1, $2, $3, s.org_id, d.org_id, s.environment, s.id, d.id, $6, $7, 'active', now() FROM source s, destination d WHERE s.id = $4 AND d.id = $5
RETURNING id, org_id, dest_org_id
"""
_LANE = """
WITH made AS (
  INSERT INTO lane (org_id, dest_org_id, subscription_id, destination_id) SELECT org_id, dest_org_id, id, destination_id FROM subscription WHERE id = $1
  RETURNING id, org_id, dest_org_id)
INSERT INTO lane_tail (lane_id, org_id, dest_org_id) SELECT id, org_id, dest_org_id FROM made RETURNING lane_id
"""
_FENCE = "UPDATE lane SET epoch = (SELECT epoch FROM shard_lease WHERE shard = lane.shard FOR SHARE) WHERE id = $1"
WHY = {
    "subscription_live": "There is a live subscription for {model} from {source} to {destination} already; end it first, or choose another data model.",
    "two_parties_need_a_connection": "A subscription between two organizations needs a connection; one with yourself has none.",
    "subscription_dest_org_id_environment_destination_id_fkey": "Source and destination must be in the same environment.",
    "subscription_connection_id_org_id_dest_org_id_data_model_fkey": "The agreement of your connection does not include {model} in this direction. "
    "Choose a data model that both sides signed.",
    "subscription_connection_id_org_low_org_high_fkey": "The connection is between other organizations.",
}
"""What a broken rule of the database means; ``{model}``, ``{source}``, ``{destination}`` are filled in."""


async def connect(database: Database, *, org: OrgId, partner: OrgId, models: list[tuple[OrgId, OrgId, str]], purpose: str, actor: str) -> ConnectionId:
    """Record a connection both sides accepted, with the data models (sender, receiver, model) they agreed on.

    Raises:
        Conflict: the two are connected already.
    """
    uid = uuid7()
    async with database.engine.acquire() as connection, connection.transaction():
        try:
            number = await connection.fetchval(_CONNECT, uid, org, partner, purpose)
        except asyncpg.UniqueViolationError:
            raise Conflict("these two organizations have a connection already") from None
        for sender, receiver, model in models:
            await connection.execute(_AGREE, number, sender, receiver, model)
        for party in (org, partner):
            await audit.record(connection, party, actor, "connection.accept", public("con", uid), {"models": sorted({m for _, _, m in models})})
    return ConnectionId(number)


async def subscribe(
    database: Database,
    *,
    name: str,
    connection_id: ConnectionId | None,
    source: int,
    destination: int,
    data_model: str,
    working_model: str = "datamodel",
    actor: str = "operator",
) -> tuple[SubscriptionId, LaneId]:
    """Create an active subscription and its lane; the connection becomes *connected* with its first one.

    Raises:
        Conflict: a rule of subscriptions is broken; the message says which.
    """
    uid = uuid7()
    async with database.engine.acquire() as connection, connection.transaction():
        try:
            working = "fhir" if data_model.startswith("FHIR.") else working_model
            row = await connection.fetchrow(_SUBSCRIBE, uid, name, connection_id, source, destination, data_model, working)
        except asyncpg.IntegrityConstraintViolationError as error:
            why = WHY.get(error.constraint_name or "", f"The rule {error.constraint_name} is broken.")
            raise Conflict(why.format(model=data_model, source=f"source {source}", destination=f"destination {destination}")) from None
        if row is None:
            raise Conflict("there is no such source or destination")
        lane = await add_lane(connection, row["id"])
        if connection_id is not None:
            await _mark_connected(connection, connection_id)
        for party in sorted({row["org_id"], row["dest_org_id"]}):
            await audit.record(connection, party, actor, "subscription.activate", public("sub", uid), {"dataModel": data_model, "name": name})
    return SubscriptionId(row["id"]), lane


async def add_lane(connection: asyncpg.Connection, subscription: int) -> LaneId:
    """Give a subscription its lane, fenced by its shard's lease, and ring the owner at commit."""
    lane = await connection.fetchval(_LANE, subscription)
    await connection.execute(_FENCE, lane)
    await connection.execute("SELECT pg_notify('carelane_lane', $1)", str(lane))
    return LaneId(lane)


async def _mark_connected(connection: asyncpg.Connection, connection_id: ConnectionId) -> None:
    state = await connection.fetchval("SELECT state FROM connection WHERE id = $1 FOR UPDATE", connection_id)
    if state != "connected":
        await connection.execute(
            "UPDATE connection SET state = $2, version = version + 1 WHERE id = $1", connection_id, next_connection_state(state, "connect")
        )

"""Reads the catalogue into the snapshot that routing uses."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import asyncpg
import orjson

from carelane.domain.endpoint import Destination, Route, Settings, Snapshot, Source
from carelane.domain.errors import StoreLost
from carelane.domain.ids import DestinationId, LaneId, OrgId, SourceId, SubscriptionId
from carelane.store.database import Database
from carelane.store.keys import Keyring
from carelane.store.trouble import LOST

_ENDPOINTS = "SELECT id, uid, org_id, environment, name, transport, format, settings, secrets, secrets_key, enabled FROM {} WHERE deleted_at IS NULL"
SOURCES = _ENDPOINTS.format("source")
DESTINATIONS = _ENDPOINTS.format("destination")
BUILT_IN = "SELECT id FROM organization WHERE kind = 'built-in'"
# A lane that takes is one messages are routed to; one that drains only delivers what is queued.
ROUTES = """
SELECT s.id, l.id AS lane_id, s.source_id, s.destination_id, s.data_model, s.working_model, extract(epoch FROM s.retry_for)::float AS retry_for_s, s.overlay,
       s.state IN ('active', 'paused') AND NOT s.drain AND coalesce(c.state = 'connected', true) AS takes, s.state = 'paused' AND NOT s.drain AS paused
FROM subscription s JOIN lane_now l ON l.subscription_id = s.id LEFT JOIN connection c ON c.id = s.connection_id
WHERE (s.state IN ('active', 'paused') AND coalesce(c.state = 'connected', true))
   OR (l.tail_seq > l.head_seq AND (s.drain OR c.state IN ('suspended', 'ended') AND c.on_stop = 'drain' AND s.state <> 'paused'))
ORDER BY s.id
"""
PORTS = "SELECT port, source_id FROM listen_port WHERE source_id IS NOT NULL"
KEYS = "SELECT token_sha256, source_id FROM api_key WHERE revoked_at IS NULL"


async def read_snapshot(database: Database, keyring: Keyring) -> Snapshot:
    """Read sources, destinations, live subscriptions and keys at one moment.

    Raises:
        StoreLost: the database is away.
    """
    try:
        async with database.engine.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
            version = await connection.fetchval("SELECT version FROM catalogue_version")
            sources = await connection.fetch(SOURCES)
            destinations = await connection.fetch(DESTINATIONS)
            built_in = {row["id"] for row in await connection.fetch(BUILT_IN)}
            routes = await connection.fetch(ROUTES)
            keys = await connection.fetch(KEYS)
            ports = await connection.fetch(PORTS)
        await keyring.load(database)
    except LOST as error:
        raise StoreLost(f"the database went away: {type(error).__name__}") from error
    by_source: dict[tuple[SourceId, str], list[Route]] = defaultdict(list)
    lanes: dict[LaneId, Route] = {}
    for row in routes:
        route = Route(
            SubscriptionId(row["id"]),
            LaneId(row["lane_id"]),
            SourceId(row["source_id"]),
            DestinationId(row["destination_id"]),
            row["data_model"],
            row["working_model"],
            row["paused"],
            row["retry_for_s"],
            row["overlay"],
        )
        lanes[route.lane_id] = route
        if row["takes"]:
            by_source[route.source_id, route.data_model].append(route)
    return Snapshot(
        version=version,
        sources={SourceId(row["id"]): replace(Source(*_endpoint(row, keyring, SourceId)), built_in=row["org_id"] in built_in) for row in sources},
        destinations={DestinationId(row["id"]): Destination(*_endpoint(row, keyring, DestinationId)) for row in destinations},
        routes={key: tuple(found) for key, found in by_source.items()},
        lanes=lanes,
        destination_uids={row["uid"]: DestinationId(row["id"]) for row in destinations},
        keys={bytes(row["token_sha256"]): SourceId(row["source_id"]) for row in keys},
        ports={row["port"]: SourceId(row["source_id"]) for row in ports},
    )


def _endpoint(row: asyncpg.Record, keyring: Keyring, kind: Callable[[int], object]) -> tuple[Any, ...]:
    settings: dict[str, object] = orjson.loads(row["settings"])
    if row["secrets"]:
        settings |= orjson.loads(keyring.unseal(OrgId(row["org_id"]), row["uid"], "secrets", row["secrets_key"], row["secrets"]))
    shown: Settings = settings
    return (kind(row["id"]), row["uid"], OrgId(row["org_id"]), row["name"], row["environment"], row["transport"], row["format"], shown, row["enabled"])

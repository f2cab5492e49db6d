"""A crowded database: organizations, subscriptions and messages by the thousand, written set by set.

python -m bench.fill FOLDER [--organizations 500] [--subscriptions 10000] [--messages 1000000]

The first organization has one connection of 200 subscriptions and a fifth of all messages; the one in the middle has few of both.
"""

import argparse
import hashlib
import sys
import time
from pathlib import Path

import orjson
import uvloop

from bench.lanes import LANES
from carelane.domain.ids import OrgId
from carelane.domain.message import Heading
from carelane.kit.ids import uuid7
from carelane.models.examples import example
from carelane.models.schemas import model_events
from carelane.store.catalogue.organization import create_organization
from carelane.store.office.defaults import add_defaults
from carelane.store.people import create_user
from carelane.store.store import Store, open_store

EMAIL, QUIET, PASSWORD = "busy@bench.example", "quiet@bench.example", "a long pass phrase"
_BIG = 200
_KINDS = ("provider", "health-tech vendor", "lab", "payer", "pharmacy")
_ENDS = """
INSERT INTO {0} (uid, org_id, environment, name, transport, format, settings)
SELECT gen_random_uuid(), o.id, 'development', '{1} ' || n, '{2}', 'datamodel', '{{}}' FROM unnest($1::bigint[]) AS o(id), generate_series(1, $2) n
"""
_CONNECT = """
INSERT INTO connection (uid, org_id, partner_org_id, state, purpose, decided_at, environments)
SELECT gen_random_uuid(), a, b, 'connected', 'bench', now(), ARRAY['development'] FROM unnest($1::bigint[], $2::bigint[]) AS t(a, b)
"""
_AGREE = """
INSERT INTO agreement (connection_id, org_id, partner_org_id, data_model)
SELECT c.id, c.org_id, c.partner_org_id, m FROM connection c, unnest($1::text[]) m WHERE c.purpose = 'bench'
"""
_SUBSCRIBE = """
INSERT INTO subscription (uid, name, connection_id, org_id, dest_org_id, environment, source_id, destination_id, data_model, working_model, state, activated_at)
SELECT gen_random_uuid(), m || ' from ' || s.name || ' to ' || d.name, c.id, c.org_id, c.partner_org_id, 'development', s.id, d.id, m, 'datamodel',
       'active', now()
FROM connection c
CROSS JOIN LATERAL (SELECT id, name FROM source WHERE org_id = c.org_id AND transport = 'mllp' ORDER BY id LIMIT $1) s
CROSS JOIN LATERAL (SELECT id, name FROM destination WHERE org_id = c.partner_org_id AND transport = 'webhook' ORDER BY id LIMIT $1) d
CROSS JOIN unnest($2::text[]) m WHERE c.id = ANY($3::bigint[]) LIMIT $4
"""
# Version 7 ids spread over six days; every message has one delivery and one attempt; the last of every fiftieth lane still waits.
_MESSAGES = """
WITH lanes AS (SELECT l.id, l.org_id, l.dest_org_id, s.source_id, s.data_model, row_number() OVER (ORDER BY l.id) - 1 AS n, l.tail_seq
               FROM lane_now l JOIN subscription s ON s.id = l.subscription_id WHERE l.id = ANY($1::bigint[])),
many AS (SELECT g, l.*, $3::bigint + (g * 518400000.0 / $2)::bigint AS ms, row_number() OVER (PARTITION BY l.id ORDER BY g) + l.tail_seq AS seq
         FROM generate_series(0, $2 - 1) g JOIN lanes l ON l.n = g % (SELECT count(*) FROM lanes)),
made AS (SELECT *, to_timestamp(ms / 1000.0) AS at, (to_timestamp(ms / 1000.0) AT TIME ZONE 'UTC')::date AS day,
         (lpad(to_hex(ms), 12, '0') || '7' || lpad(to_hex(g % 4096), 3, '0') || '8' || substr(md5(g::text || ':' || id), 1, 15))::uuid AS message FROM many),
stored AS (INSERT INTO message (org_id, day, id, source_id, received_at, heading, body_sha256, key_id, tokens)
  SELECT org_id, day, message, source_id, at, jsonb_build_object('format', 'datamodel', 'dataModel', data_model, 'eventType', 'Arrival',
         'controlId', g::text,
         'test', false, 'kind', 'Arrival', 'eventTime', NULL, 'problem', NULL),
         decode(md5(g::text), 'hex'), 1, ARRAY[g % 100000, g]::bigint[] FROM made),
kept AS (INSERT INTO message_body (org_id, day, id, body) SELECT org_id, day, message, decode(repeat(md5(g::text), 20), 'hex') FROM made),
queued AS (INSERT INTO delivery (org_id, dest_org_id, day, lane_id, seq, message_id, message_day, queued_at)
  SELECT org_id, dest_org_id, day, id, seq, message, day, at FROM made),
tried AS (INSERT INTO attempt (org_id, dest_org_id, day, lane_id, seq, n, at, verdict, took_ms)
  SELECT org_id, dest_org_id, day, id, seq, 1, at, 'delivered', 12 FROM made),
sums AS (SELECT id, max(seq) AS top, max(at) AS at, max(day) AS day FROM made GROUP BY id),
heads AS (
  UPDATE lane l SET head_seq = x.top - (l.id % 50 = 0)::int, delivered = x.top - (l.id % 50 = 0)::int, delivered_at = x.at FROM sums x WHERE l.id = x.id)
UPDATE lane_tail t SET tail_seq = x.top, arrived_at = x.at, open_day = x.day FROM sums x WHERE t.lane_id = x.id
"""
_READABLE = """
WITH told AS (INSERT INTO message (org_id, day, id, source_id, received_at, heading, body_sha256, key_id)
  SELECT $1, current_date, $2, s.id, now(), $3::jsonb, $5, $6 FROM source s WHERE s.org_id = $1 AND s.transport = 'http' LIMIT 1)
INSERT INTO message_body (org_id, day, id, body) VALUES ($1, current_date, $2, $4)
"""
_SAMPLES = """
INSERT INTO lane_sample (lane_id, minute, org_id, dest_org_id, tail_seq, head_seq)
SELECT id, date_trunc('minute', now()) - make_interval(mins => m), org_id, dest_org_id, greatest(tail_seq - m / 5, 0), greatest(tail_seq - m / 5, 0)
FROM lane_now, generate_series(0, 55, 5) m WHERE id % 4 = 0
"""


async def fill(store: Store, organizations: int, subscriptions: int, messages: int) -> None:
    """Write everything; progress goes to standard error."""
    orgs = await _organizations(store, organizations)
    engine, models = store.database.engine, list(model_events())
    await engine.execute(_ENDS.format("source", "Feed", "mllp"), orgs, 10)
    await engine.execute(_ENDS.format("destination", "Landing", "webhook"), orgs, 10)
    await engine.execute("UPDATE source SET enabled = false WHERE transport = 'mllp'")
    pairs = [(orgs[0], orgs[1])] + [(orgs[number], orgs[(number + step) % len(orgs)]) for number in range(2, len(orgs)) for step in (1, 7)]
    pairs = list({tuple(sorted(pair)): pair for pair in pairs if pair[0] != pair[1]}.values())
    await engine.execute(_CONNECT, [a for a, _ in pairs], [b for _, b in pairs])
    await engine.execute(_AGREE, models)
    numbers = [row["id"] for row in await engine.fetch("SELECT id FROM connection WHERE purpose = 'bench' ORDER BY id")]
    made = await engine.fetchval("SELECT count(*) FROM subscription")
    await engine.execute(_SUBSCRIBE, 10, models, numbers[:1], _BIG)
    await engine.execute(_SUBSCRIBE, 2, models, numbers[1:], max(subscriptions - made - _BIG, 0))
    lanes = [row["id"] for row in await engine.fetch(LANES)]
    _say(f"{await engine.fetchval('SELECT count(*) FROM subscription')} subscriptions")
    await _messages(store, lanes[:_BIG], messages // 5)
    await _messages(store, lanes[_BIG:], messages - messages // 5)
    for org in (orgs[0], orgs[len(orgs) // 2]):
        await _readable(store, org)
    await engine.execute(_SAMPLES)
    owner = await store.database.connect_owner()
    await owner.execute("ANALYZE")
    await owner.close()


async def _organizations(store: Store, count: int) -> list[OrgId]:
    found = []
    for number in range(count):
        kind = _KINDS[number % len(_KINDS)]
        profile: dict[str, object] = {"place": f"Town {number % 50}", "ehr": ("Epic", "Oracle Health", "MEDITECH")[number % 3], "offers": ["PatientAdmin"]}
        org = await create_organization(store.database, store.keyring, slug=f"bench-{number}", name=f"Organization {number:03d}", kind=kind, profile=profile)
        await add_defaults(store.database, store.keyring, org, tuple(model_events()))
        found.append(org)
        if number % 100 == 99:
            _say(f"{number + 1} organizations")
    await create_user(store.database, email=EMAIL, name="Busy", password=PASSWORD, orgs=[found[0]])
    await create_user(store.database, email=QUIET, name="Quiet", password=PASSWORD, orgs=[found[count // 2]])
    return found


async def _readable(store: Store, org: OrgId) -> None:
    """One message whose body can be opened: the bodies of the others are noise."""
    identity, raw = uuid7(), orjson.dumps(example("PatientAdmin", "Arrival"))
    key_id, body = store.keyring.seal(org, identity, "message", raw)
    heading = Heading("PatientAdmin", "Arrival", kind="Arrival").stored("datamodel")
    await store.database.engine.execute(_READABLE, org, identity, orjson.dumps(heading).decode(), body, hashlib.sha256(raw).digest(), key_id)


async def _messages(store: Store, lanes: list[int], count: int) -> None:
    owner = await store.database.connect_owner()
    await owner.execute("SELECT ensure_partitions(current_date - 7, current_date)")
    await owner.close()
    oldest = (int(time.time()) - 6 * 86400) * 1000
    step = 100_000
    for done in range(0, count, step):
        async with store.database.engine.acquire() as connection, connection.transaction():
            await connection.execute("SET LOCAL enable_hashjoin = on; SET LOCAL plan_cache_mode = force_custom_plan")  # the journey's own settings suit one row
            await connection.execute(_MESSAGES, lanes, min(step, count - done), oldest + done // step)
        _say(f"{min(done + step, count)} of {count} messages")


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


async def _main(folder: Path, organizations: int, subscriptions: int, messages: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    async with open_store(folder, None, None, serve=True) as store:
        began = time.monotonic()
        await fill(store, organizations, subscriptions, messages)
        sys.stdout.write(orjson.dumps({"bench": "fill", "seconds": round(time.monotonic() - began, 1)}).decode() + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--organizations", type=int, default=500)
    parser.add_argument("--subscriptions", type=int, default=10_000)
    parser.add_argument("--messages", type=int, default=1_000_000)
    given = parser.parse_args()
    uvloop.run(_main(given.folder, given.organizations, given.subscriptions, given.messages))

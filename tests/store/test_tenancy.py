"""Row-level security: nothing without an organization, either party its own, a stranger nothing."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from carelane.domain.views import Search
from carelane.store import traffic
from carelane.store.catalogue.organization import create_organization
from carelane.store.database import WEB_ROLE
from carelane.store.ledger import Ledger
from carelane.store.web_pool import web_engine
from carelane.testing.ledger_suite import incoming
from tests.world import make_world

SHARED_BY_BOTH = ("subscription", "lane", "delivery", "connection", "agreement", "message")
OWN = ("membership", "environment", "api_key", "inbox", "audit", "listen_port")


@pytest.fixture
async def world(store):
    made = await make_world(store)
    await store.database.engine.execute("INSERT INTO listen_port (port, org_id, source_id) VALUES (2575, $1, $2)", made.hospital, made.source)
    await Ledger(store.database).append([incoming("a", tuple(made.lanes.values()), org=made.hospital, source=made.source)])
    return made


async def count(store, org, table):
    async with store.database.as_org(org) as connection:
        return (await connection.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one()


@pytest.mark.parametrize("table", SHARED_BY_BOTH)
async def test_both_parties_see_what_they_share(store, world, table):
    assert 0 < await count(store, world.hospital, table) == await count(store, world.vendor, table)


@pytest.mark.parametrize("table", [*SHARED_BY_BOTH, "attempt", "dead_letter", "membership", "api_key", "inbox", "listen_port"])
async def test_a_stranger_sees_nothing(store, world, table):
    stranger = await create_organization(store.database, store.keyring, slug="stranger", name="Stranger", kind="payer", listed=False)
    assert 0 == await count(store, stranger, table)


@pytest.mark.parametrize(("who", "ports"), [("hospital", 1), ("vendor", 0)])
async def test_an_organization_sees_its_own_ports_and_not_its_partner_s(store, world, who, ports):
    assert ports == await count(store, getattr(world, who), "listen_port")


@pytest.mark.parametrize("table", ["source", "destination"])
async def test_a_partner_sees_only_the_endpoints_it_is_subscribed_to(store, world, table):
    async with store.database.as_org(world.vendor) as connection:
        assert 1 == (await connection.execute(text(f"SELECT count(id) FROM {table}"))).scalar_one()


@pytest.mark.parametrize("column", ["secrets", "secrets_key"])
async def test_the_web_role_never_reads_sealed_secrets(store, world, column):
    with pytest.raises(DBAPIError, match="permission denied"):
        async with store.database.as_org(world.hospital) as connection:
            await connection.execute(text(f"SELECT {column} FROM source"))


@pytest.mark.parametrize("table", [*SHARED_BY_BOTH, *OWN, "organization"])
async def test_without_an_organization_nothing_is_visible(store, world, table):
    engine = web_engine(store.database.dsn, WEB_ROLE)
    async with engine.begin() as connection:
        visible = (await connection.execute(text(f"SELECT count(*) FROM {table} " + ("WHERE NOT listed" if table == "organization" else "")))).scalar_one()
    await engine.dispose()
    assert 0 == visible


async def test_the_owner_of_the_tables_sees_nothing_either(store, world):
    owner = await store.database.connect_owner()
    found = [await owner.fetchval(f"SELECT count(*) FROM {table}") for table in ("message", "delivery", "source")]
    await owner.close()
    assert [0, 0, 0] == found


async def test_a_partition_cannot_be_read_around_its_table(store, world):
    owner = await store.database.connect_owner()
    partition = await owner.fetchval("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'message'::regclass LIMIT 1")
    await owner.close()
    with pytest.raises(DBAPIError, match="permission denied"):
        async with store.database.as_org(world.hospital) as connection:
            await connection.execute(text(f"SELECT 1 FROM {partition}"))


async def test_the_organization_does_not_outlive_its_transaction(store, world):
    async with store.database.as_org(world.hospital):
        pass
    async with store.database._web.begin() as connection:
        assert 0 == (await connection.execute(text("SELECT count(*) FROM message"))).scalar_one()


async def test_the_message_list_of_a_stranger_is_empty(store, world):
    stranger = await create_organization(store.database, store.keyring, slug="stranger", name="Stranger", kind="payer", listed=False)
    listed = [len(await traffic.find_messages(store.database, org, Search())) for org in (world.hospital, world.vendor, stranger)]
    assert [1, 1, 0] == listed

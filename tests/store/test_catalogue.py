import pytest

from carelane.domain.errors import Conflict
from carelane.store.catalogue.endpoint import create_endpoint
from carelane.store.catalogue.organization import create_organization
from carelane.store.catalogue.subscription import connect, subscribe
from carelane.store.snapshot import read_snapshot
from tests.world import make_world


async def endpoint(store, kind, org, environment, name):
    return (
        await create_endpoint(
            store.database, store.keyring, kind, org=org, environment=environment, name=name, transport="inbox", format="datamodel", settings={}
        )
    )[0]


async def test_an_organization_is_born_with_three_environments_and_its_own_keys(store):
    org = await create_organization(store.database, store.keyring, slug="new-org", name="New", kind="lab")
    kinds = await store.database.engine.fetch("SELECT kind FROM environment WHERE org_id = $1 ORDER BY kind", org)
    assert (["development", "production", "staging"], True) == ([row["kind"] for row in kinds], store.keyring.knows(org))


async def test_a_short_name_is_given_once(store):
    await create_organization(store.database, store.keyring, slug="new-org", name="New", kind="lab")
    with pytest.raises(Conflict, match="short name"):
        await create_organization(store.database, store.keyring, slug="new-org", name="Other", kind="lab")


async def test_a_live_subscription_is_unique_by_source_destination_and_model(store):
    world = await make_world(store)
    with pytest.raises(Conflict, match="There is a live subscription for Results"):
        await subscribe(store.database, name="x", connection_id=world.connection, source=world.source, destination=world.destination, data_model="Results")


async def test_nothing_crosses_environments(store):
    world = await make_world(store)
    staging = await endpoint(store, "destination", world.vendor, "staging", "staging inbox")
    with pytest.raises(Conflict, match="same environment"):
        await subscribe(store.database, name="x", connection_id=world.connection, source=world.source, destination=staging, data_model="Results")


async def test_the_model_must_be_in_the_agreement_in_this_direction(store):
    world = await make_world(store)
    with pytest.raises(Conflict, match="does not include"):
        await subscribe(store.database, name="x", connection_id=world.connection, source=world.source, destination=world.destination, data_model="Order")
    back = await endpoint(store, "source", world.vendor, "development", "vendor source")
    inbox = await endpoint(store, "destination", world.hospital, "development", "hospital inbox")
    with pytest.raises(Conflict, match="does not include"):
        await subscribe(store.database, name="x", connection_id=world.connection, source=back, destination=inbox, data_model="Results")


async def test_two_parties_need_a_connection_and_one_needs_none(store):
    world = await make_world(store)
    with pytest.raises(Conflict, match="needs a connection"):
        await subscribe(store.database, name="x", connection_id=None, source=world.source, destination=world.destination, data_model="Order")
    own = await endpoint(store, "destination", world.hospital, "development", "own inbox")
    await subscribe(store.database, name="own", connection_id=None, source=world.source, destination=own, data_model="Order")


async def test_a_connection_of_others_cannot_be_used(store):
    world = await make_world(store)
    third = await create_organization(store.database, store.keyring, slug="third", name="Third", kind="lab")
    other = await connect(store.database, org=third, partner=world.hospital, models=[(world.hospital, third, "Results")], purpose="", actor="t")
    with pytest.raises(Conflict, match=r"other organizations|agreement"):
        await subscribe(store.database, name="x", connection_id=other, source=world.source, destination=world.destination, data_model="Order")


async def test_two_organizations_have_one_live_connection(store):
    world = await make_world(store)
    with pytest.raises(Conflict, match="connection already"):
        await connect(store.database, org=world.hospital, partner=world.vendor, models=[], purpose="", actor="t")


async def test_the_snapshot_opens_secrets_and_follows_the_version(store):
    world = await make_world(store, settings={"url": "http://x"}, secret={"verification_token": "s3cret"})
    before = await read_snapshot(store.database, store.keyring)
    assert "s3cret" == before.destinations[world.destination].settings["verification_token"]
    stored = await store.database.engine.fetchrow("SELECT settings, secrets FROM destination WHERE id = $1", world.destination)
    assert "s3cret" not in stored["settings"] and b"s3cret" not in stored["secrets"]
    await endpoint(store, "source", world.hospital, "development", "another")
    assert (await read_snapshot(store.database, store.keyring)).version > before.version


async def test_a_suspended_connection_routes_nothing(store):
    world = await make_world(store)
    await store.database.engine.execute("UPDATE connection SET state = 'suspended'")
    assert {} == dict((await read_snapshot(store.database, store.keyring)).routes) and world.lanes

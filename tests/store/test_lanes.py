import pytest

from carelane.domain.delivery import Verdict
from carelane.domain.errors import Conflict, NotFound
from carelane.kit.clock import utc_now
from carelane.store import audit, lanes
from carelane.store.catalogue.organization import create_organization
from carelane.store.ledger import Ledger
from carelane.testing.ledger_suite import incoming, settlement
from tests.world import make_world


@pytest.fixture
async def world(store):
    made = await make_world(store)
    await store.database.engine.execute("UPDATE lane SET epoch = 1")
    made.lane = made.lanes["PatientAdmin"]
    await Ledger(store.database).append([incoming(text, (made.lane,), org=made.hospital, source=made.source) for text in ("a", "b")])
    return made


async def fail(store, world, verdict=Verdict.HELD):
    await Ledger(store.database).settle([settlement(world.lane, 1, verdict, reason="the receiver said no")], utc_now())


async def state(store, world):
    return next(lane for lane in await lanes.list_lanes(store.database, world.vendor) if lane.id == world.lane)


async def test_a_paused_lane_says_so_and_can_be_resumed(store, world):
    await lanes.pause(store.database, world.lane, world.vendor, "ann")
    assert ("paused", "ann") == ((await state(store, world)).state, (await state(store, world)).paused)
    await lanes.resume(store.database, world.lane, world.vendor, "ann")
    assert "queued" == (await state(store, world)).state


async def test_a_held_lane_says_why_and_can_be_released(store, world):
    await fail(store, world)
    assert ("held", "the receiver said no") == ((await state(store, world)).state, (await state(store, world)).held)
    await lanes.release(store.database, world.lane, world.hospital, "ann")
    assert None is (await state(store, world)).held


async def test_skipping_puts_the_head_into_the_dead_letters_and_moves_on(store, world):
    await fail(store, world)
    assert 1 == await lanes.skip(store.database, world.lane, world.hospital, "ann", "broken at the sender")
    assert (1, 1) == ((await state(store, world)).pending, await store.database.engine.fetchval("SELECT count(*) FROM dead_letter"))


async def test_a_healthy_head_is_not_skipped(store, world):
    with pytest.raises(Conflict, match="pause the lane first"):
        await lanes.skip(store.database, world.lane, None, "ann", "by mistake")


async def test_what_does_not_fit_the_state_is_refused_with_the_right_verb(store, world):
    with pytest.raises(Conflict, match="neither held nor retrying"):
        await lanes.release(store.database, world.lane, None, "ann")
    await fail(store, world)
    with pytest.raises(Conflict, match="use release"):
        await lanes.resume(store.database, world.lane, None, "ann")


async def test_a_strangers_lane_does_not_exist(store, world):
    stranger = await create_organization(store.database, store.keyring, slug="stranger", name="S", kind="payer")
    with pytest.raises(NotFound):
        await lanes.pause(store.database, world.lane, stranger, "eve")


async def test_every_verb_is_in_both_audit_trails_and_the_chains_verify(store, world):
    await lanes.pause(store.database, world.lane, None, "ann")
    for org in (world.hospital, world.vendor):
        last = await store.database.engine.fetchrow("SELECT action, actor, subject FROM audit WHERE org_id = $1 ORDER BY n DESC LIMIT 1", org)
        assert ("lane.pause", "ann", f"lane_{world.lane}") == tuple(last)
        async with store.database.engine.acquire() as connection:
            assert None is await audit.verify(connection, org)


async def test_a_changed_entry_breaks_the_chain_where_it_was_changed(store, world):
    owner = await store.database.connect_owner()
    await owner.execute("ALTER TABLE audit NO FORCE ROW LEVEL SECURITY")
    await owner.execute("UPDATE audit SET actor = 'eve' WHERE org_id = $1 AND n = 2", world.hospital)
    await owner.close()
    async with store.database.engine.acquire() as connection:
        assert 2 == await audit.verify(connection, world.hospital)

"""Old days go whole; nothing goes that is still to be delivered, replayed or kept."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from carelane.domain.delivery import Verdict
from carelane.domain.errors import Conflict
from carelane.store.ledger import Ledger
from carelane.store.office.operator import Operator
from carelane.store.retention import drop_old_days, kinds
from carelane.testing.ledger_suite import incoming, settlement
from tests.world import make_world

TODAY = datetime.now(UTC).date()
OLD = TODAY - timedelta(days=61)
"""What came then is older than sixty days."""


def old(text, world, day=OLD):
    """Return a message that was born on a day long past."""
    made = incoming(text, (world.lane,), org=world.hospital, source=world.source)
    born = int(datetime(day.year, day.month, day.day, 12, tzinfo=UTC).timestamp() * 1000)
    return made._replace(id=UUID(int=(born << 80) | (made.id.int & ((1 << 80) - 1))))


@pytest.fixture
async def world(store):
    made = await make_world(store)
    await store.database.engine.execute("UPDATE lane SET epoch = 1")
    made.lane = made.lanes["PatientAdmin"]
    made.ledger = Ledger(store.database)
    async with store.database.as_owner() as owner:
        await owner.execute("SELECT ensure_partitions($1, $1)", OLD)
    await made.ledger.append([old("a", made)])
    made.told = []
    return made


async def deliver(world):
    await world.ledger.settle([settlement(world.lane, 1, Verdict.DELIVERED)], datetime(OLD.year, OLD.month, OLD.day, tzinfo=UTC))


async def clean(store, world, today=TODAY, bodies=60, metadata=400):
    return await drop_old_days(store.database, kinds(bodies, metadata), today, lambda event, text: world.told.append((event, text)))


async def count(store, table):
    return await store.database.engine.fetchval(f"SELECT count(*) FROM {table}")


async def test_bodies_go_with_their_day_and_what_is_told_about_them_stays(store, world):
    await deliver(world)
    assert f"message_body_{OLD:%Y%m%d}" in await clean(store, world)
    assert (0, 1, 1) == (await count(store, "message_body"), await count(store, "message"), await count(store, "attempt"))


async def test_younger_days_stay(store, world):
    await deliver(world)
    assert not [name for name in await clean(store, world, today=TODAY - timedelta(days=1)) if name.startswith("message_body") and f"{OLD:%Y%m%d}" in name]


async def test_a_day_with_an_open_delivery_stays_and_its_lane_is_named(store, world):
    await clean(store, world)
    assert (1, True) == (await count(store, "message_body"), any(event == "retention.kept" and f"lane_{world.lane}" in text for event, text in world.told))


async def test_a_day_with_a_dead_letter_stays_everywhere_it_is_needed(store, world):
    await deliver(world)
    delivery = await store.database.engine.fetchrow("SELECT * FROM delivery")
    await store.database.engine.execute(
        "INSERT INTO dead_letter (org_id, dest_org_id, lane_id, seq, message_id, message_day, reason, by) VALUES ($1, $2, $3, 1, $4, $5, 'r', 'ann')",
        world.hospital, world.vendor, world.lane, delivery["message_id"], OLD)  # fmt: skip
    await clean(store, world, metadata=60)
    assert (1, 1, 1, 1) == tuple([await count(store, table) for table in ("message_body", "message", "delivery", "attempt")])
    assert "a dead letter of lane_" in " ".join(text for _, text in world.told)


async def test_what_a_legal_hold_needs_is_found_where_it_was_and_goes_when_it_is_lifted(store, world):
    await deliver(world)
    operator = Operator(store.database, None, "operator ann")
    await operator.hold("north", "a case at court")
    await clean(store, world)
    held = await count(store, "message_body")
    await operator.lift("north")
    await clean(store, world)
    assert (1, 0) == (held, await count(store, "message_body"))


async def test_a_hold_is_placed_once_and_audited(store, world):
    operator = Operator(store.database, None, "operator ann")
    await operator.hold("north", "a case at court")
    with pytest.raises(Conflict, match="held already"):
        await operator.hold("north", "again")
    last = await store.database.engine.fetchrow("SELECT action, actor FROM audit WHERE org_id = $1 ORDER BY n DESC LIMIT 1", world.hospital)
    assert ("hold.place", "operator ann") == tuple(last)


async def test_a_day_without_a_partition_is_still_made_and_not_kept_apart(store, world):
    async with store.database.as_owner() as owner:
        await owner.execute(f"DROP TABLE message_body_{TODAY:%Y%m%d}")
    await world.ledger.append([incoming("b", (), org=world.hospital, source=world.source)])
    async with store.database.as_owner() as owner:
        assert 0 == await owner.fetchval("SELECT count(*) FROM message_body_kept")

import time

from carelane.store.leases import Leases
from tests.world import make_world


async def test_one_node_takes_every_shard_and_fences_its_lanes(store):
    world = await make_world(store)
    shards, lanes = await Leases(store.database, "one").take(60, alone=False)
    assert (1024, len(world.lanes)) == (len(shards), len(lanes))
    assert {1} == {lane.epoch for lane in lanes}


async def test_a_second_node_gets_nothing_while_the_first_renews(store):
    first, second = Leases(store.database, "one"), Leases(store.database, "two")
    shards, _ = await first.take(60, alone=False)
    assert ([], []) == await second.take(60, alone=False)
    assert {shard.number for shard in shards} == await first.renew([shard.number for shard in shards])


async def test_an_expired_shard_is_taken_over_after_a_quiet_period_and_cannot_be_renewed(store):
    await make_world(store)
    first, second = Leases(store.database, "one"), Leases(store.database, "two")
    await first.take(60, alone=False)
    await store.database.engine.execute("UPDATE shard_lease SET expires_at = now() - interval '1 s' WHERE shard < 10")
    shards, lanes = await second.take(60, alone=False)
    assert 10 == len(shards)
    assert all((shard.quiet_until.timestamp() - time.time()) > 30 for shard in shards)
    assert {2} == {lane.epoch for lane in lanes}
    assert set() == await first.renew(list(range(10)))


async def test_given_back_shards_are_free_at_once(store):
    first, second = Leases(store.database, "one"), Leases(store.database, "two")
    await first.take(60, alone=False)
    await first.give_back()
    shards, _ = await second.take(60, alone=False)
    assert 1024 == len(shards)
    assert all((shard.quiet_until.timestamp() - time.time()) < 5 for shard in shards)


async def test_alone_in_its_folder_a_node_takes_over_at_once(store):
    await Leases(store.database, "dead").take(60, alone=True)
    shards, _ = await Leases(store.database, "new").take(60, alone=True)
    assert (1024, {2}) == (len(shards), {shard.epoch for shard in shards})

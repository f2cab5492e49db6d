import asyncio

import pytest

from carelane.domain.delivery import EVERY
from carelane.store.leases import Leases
from carelane.testing.bell import FakeBell, FakeBells
from carelane.testing.clock import FakeClock
from carelane.testing.leases import FakeLeases, LeaseBoard
from carelane.testing.leases_suite import LeasesSuite
from carelane.testing.ledger import FakeLane, FakeLedger
from tests.world import make_world


class TestFakeLeases(LeasesSuite):
    @pytest.fixture
    def board(self):
        return LeaseBoard(FakeLedger({1: FakeLane(shard=1, epoch=0), 2: FakeLane(shard=2, epoch=0)}), FakeClock(), FakeBells())

    @pytest.fixture
    def node(self, board):
        return lambda name: FakeLeases(board, name)

    @pytest.fixture
    def lanes(self, board):
        return list(board.ledger.lanes)

    @pytest.fixture
    def expire(self, board):
        async def run_out(name):
            board.nodes[name] = board.clock.monotonic() - 1

        return run_out

    @pytest.fixture
    async def rung(self, board):
        bell = FakeBell(board.bells)
        await bell.listen()

        async def heard():
            return bell.shards.is_set()

        return heard


class TestPostgresLeases(LeasesSuite):
    @pytest.fixture
    def node(self, store):
        return lambda name: Leases(store.database, name, 10.0)

    @pytest.fixture
    async def lanes(self, store):
        return list((await make_world(store)).lanes.values())

    @pytest.fixture
    def expire(self, store):
        async def run_out(name):
            await store.database.engine.execute("UPDATE node SET expires_at = now() - interval '1 s' WHERE name = $1", name)

        return run_out

    @pytest.fixture
    async def rung(self, store):
        heard = asyncio.Event()
        connection = await store.database.connect_owner()
        await connection.add_listener("carelane_shards", lambda *_: heard.set())

        async def wait():
            async with asyncio.timeout(20):
                return await heard.wait()

        yield wait
        await connection.close()

    async def test_a_take_over_waits_for_a_renewal_under_way_and_then_gets_nothing(self, store, node):
        one, two = node("one"), node("two")
        await one.renew()
        await one.take(EVERY, alone=False)
        await store.database.engine.execute("UPDATE node SET expires_at = now() - interval '1 s'")
        await two.renew()
        owner = await store.database.connect_owner()
        renewing = owner.transaction()
        await renewing.start()
        await owner.execute("UPDATE node SET expires_at = now() + interval '10 s' WHERE name = 'one'")
        taking = asyncio.create_task(two.take(EVERY, alone=False))
        await asyncio.wait({taking}, timeout=0.2)
        await renewing.commit()
        await owner.close()
        assert 0 == await taking

import asyncio

import pytest

from carelane.store.bell import Bell
from carelane.testing.bell import FakeBell, FakeBells
from carelane.testing.bell_suite import BellSuite


class TestFakeBell(BellSuite):
    @pytest.fixture
    async def bells(self):
        line = FakeBells()
        both = FakeBell(line), FakeBell(line)
        for bell in both:
            await bell.listen()
        return both


class TestPostgresBell(BellSuite):
    @pytest.fixture
    async def bells(self, store):
        both = Bell(store.database), Bell(store.database)
        for bell in both:
            await bell.listen()
        yield both
        for bell in both:
            await bell.close()

    async def test_a_line_whose_server_process_is_gone_is_found_deaf(self, store, bells):
        await store.database.engine.execute("SELECT 1")
        owner = await store.database.connect_owner()
        pid = await bells[0]._connection.fetchval("SELECT pg_backend_pid()")
        await owner.execute("SELECT pg_terminate_backend($1)", pid)
        await owner.close()
        async with asyncio.timeout(20):
            while not bells[0].deaf:
                await bells[0].check()
        assert bells[0].deaf

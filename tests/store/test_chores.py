import asyncio

import pytest

from carelane.store.chores import Chores


async def test_a_chore_is_done_by_one_node_at_a_time(store):
    one, two = Chores(store.database, "one"), Chores(store.database, "two")
    begun, end = asyncio.Event(), asyncio.Event()

    async def work():
        begun.set()
        await end.wait()

    doing = asyncio.create_task(one.do("sweep", 60, work))
    await begun.wait()
    meanwhile = await two.do("sweep", 60, work)
    end.set()
    assert (False, True) == (meanwhile, await doing)


async def test_a_chore_that_was_just_done_is_not_due(store):
    one, two = Chores(store.database, "one"), Chores(store.database, "two")
    await one.do("sweep", 60, lambda: asyncio.sleep(0))
    assert not await two.do("sweep", 60, lambda: asyncio.sleep(0))


async def test_a_chore_that_failed_stays_due(store):
    async def fail():
        raise ZeroDivisionError

    one, two = Chores(store.database, "one"), Chores(store.database, "two")
    with pytest.raises(ZeroDivisionError):
        await one.do("sweep", 60, fail)
    assert await two.do("sweep", 60, lambda: asyncio.sleep(0))


async def test_a_chore_whose_node_died_is_taken_up_by_another(store):
    await store.database.engine.execute("INSERT INTO chore (name, owner, until) VALUES ('sweep', 'dead', now() - interval '1 s')")
    assert await Chores(store.database, "two").do("sweep", 60, lambda: asyncio.sleep(0))

"""A hub whose database is switched over, stopped, or full: what its partners and its balancer see, and that it goes on by itself."""

import aiohttp
import pytest

from carelane.domain.errors import StoreLost
from carelane.kit.seal import Key, new_key
from carelane.store.database import Database
from carelane.store.keys import Keyring
from carelane.store.migrate import migrate
from carelane.store.store import Store
from carelane.testing.partners import FakeWebhook, mllp_ask
from carelane.web.server import running
from tests.journeys.hubs import mllp_port, running_hub
from tests.journeys.test_first_journey import until
from tests.store.pair import running_pair
from tests.world import adt, make_world


@pytest.fixture
async def pair():
    async with running_pair() as made:
        yield made


@pytest.fixture
async def paired_store(pair):
    database = Database(pair.url)
    await migrate(database)
    await database.ensure_partitions()
    await database.open()
    try:
        yield Store(database, Keyring(Key(new_key())))
    finally:
        await database.close()


async def health(port: int) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/health") as answer:
        return answer.status, (await answer.json()).get("reason", "")


async def test_messages_are_taken_and_delivered_again_after_a_switchover(pair, paired_store):
    async with FakeWebhook() as partner:
        world = await make_world(paired_store, transport="webhook", settings={"url": partner.url})
        async with running_hub(paired_store) as hub:
            port = mllp_port(hub, world.source)
            assert b"MSA|AA|C1" in await mllp_ask(port, adt("C1"))
            await pair.switch_over()

            async def taken():
                return b"MSA|AA|C2" in await mllp_ask(port, adt("C2"))

            await until(taken)
            bodies = await partner.wait_for(2)
    assert 2 == len(bodies)


async def test_health_says_that_the_database_is_away_and_that_it_is_back(pair, paired_store):
    async with running_hub(paired_store) as hub, running(hub.app, "127.0.0.1", 0) as port:
        assert (200, "") == await health(port)
        await pair.standby.stop()
        await pair.primary.stop()

        async def is_away():
            return await health(port) == (503, "database-away")

        async def is_back():
            return await health(port) == (200, "")

        await until(is_away)
        await pair.primary.start()
        await until(is_back)


async def test_health_and_intake_say_that_the_database_is_full_until_there_is_room(store):
    await make_world(store)
    async with running_hub(store) as hub, running(hub.app, "127.0.0.1", 0) as port:
        with pytest.raises(StoreLost):
            await store.database.engine.execute("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '53100'; END $$")
        assert (503, "database-full") == await health(port)
        assert await hub.node.trouble() is None
        assert (200, "") == await health(port)


async def test_a_hub_that_drains_says_so(store):
    await make_world(store)
    async with running_hub(store) as hub, running(hub.app, "127.0.0.1", 0) as port:
        await hub.node.stop(1)
        assert (503, "draining") == await health(port)

import asyncio
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from carelane.domain.errors import Misconfigured
from carelane.store import migrate as module
from carelane.store.database import Database
from carelane.store.migrate import HEAD, migrate, version_of
from tests.conftest import fresh_database


async def test_a_database_of_this_version_is_left_alone(store):
    assert (HEAD, False) == (await version_of(store.database), await migrate(store.database))


def test_the_newest_step_is_the_end_of_the_one_line_of_steps():
    config = Config()
    config.set_main_option("script_location", str(Path(module.__file__).parent / "migrations"))
    assert HEAD == ScriptDirectory.from_config(config).get_current_head()


async def test_a_database_of_a_newer_version_is_refused_with_the_way_out(store):
    connection = await store.database.connect_owner()
    await connection.execute("UPDATE alembic_version SET version_num = '9999'")
    await connection.close()
    with pytest.raises(Misconfigured, match="has schema 9999, this version knows up to .*; run the newer version or restore a backup"):
        await migrate(store.database)


async def test_of_nodes_that_start_together_one_makes_the_schema_and_the_others_wait_for_it(place):
    async with fresh_database(place, "template0") as url:
        nodes = [Database(url) for _ in range(3)]
        assert [False, False, True] == sorted(await asyncio.gather(*(migrate(node) for node in nodes)))
        assert HEAD == await version_of(nodes[0])

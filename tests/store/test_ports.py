"""The step of the schema that enters the ports in use."""

from pathlib import Path

import asyncpg
import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from carelane.store import migrate as module
from carelane.store.database import Database
from carelane.store.migrate import migrate
from carelane.store.web_pool import web_engine

_BEFORE = """
INSERT INTO organization (uid, slug, name, kind) SELECT gen_random_uuid(), 'org-' || n, 'Org ' || n, 'provider' FROM generate_series(1, 3) n;
INSERT INTO environment (uid, org_id, kind) SELECT gen_random_uuid(), id, 'development' FROM organization;
"""
_SOURCE = """
INSERT INTO source (uid, org_id, environment, name, transport, format, settings, enabled, deleted_at)
VALUES (gen_random_uuid(), (SELECT id FROM organization WHERE slug = $1), 'development', $2, $3, 'hl7v2', $4::jsonb, $5, $6::text::timestamptz)
"""
OLD, NEW = "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"


def alembic(connection=None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(module.__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config


async def upgrade(database: Database, revision: str) -> None:
    engine = web_engine(database.dsn, None)
    async with engine.connect() as connection:
        await connection.run_sync(lambda sync: command.upgrade(alembic(sync), revision))
        await connection.commit()
    await engine.dispose()


@pytest.fixture
async def old(dsn, place):
    """A database one step older than the ports, with three organizations; the tables are emptied of the template's."""
    owner = await asyncpg.connect(dsn)
    await owner.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    await owner.close()
    database = Database(dsn)
    before = ScriptDirectory.from_config(alembic()).get_revision("0006").down_revision
    await upgrade(database, before)
    await database.open()
    await database.engine.execute(_BEFORE)
    yield database
    await database.close()


async def source(database, org, name, settings, *, transport="mllp", enabled=True, deleted=None):
    await database.engine.execute(_SOURCE, org, name, transport, settings, enabled, deleted)


async def ports(database):
    """Return each port with its organization and source after the step."""
    await database.close()
    assert await migrate(database)
    await database.open()
    rows = await database.engine.fetch(
        "SELECT p.port, o.slug, s.name FROM listen_port p JOIN organization o ON o.id = p.org_id LEFT JOIN source s ON s.id = p.source_id ORDER BY port"
    )
    return [tuple(row) for row in rows]


async def test_each_source_that_listens_gets_its_port_switched_off_or_not(old):
    await source(old, "org-1", "a", '{"port": 2600}')
    await source(old, "org-1", "b", '{"port": 2601}', enabled=False)
    await source(old, "org-2", "usual", "{}")
    assert [(2575, "org-2", "usual"), (2600, "org-1", "a"), (2601, "org-1", "b")] == await ports(old)


async def test_of_sources_on_one_port_the_oldest_keeps_it_and_the_others_stay(old):
    await source(old, "org-1", "first", "{}", enabled=False)
    await source(old, "org-2", "second", '{"port": 2575, "host": "0.0.0.0"}')
    assert [(2575, "org-1", "first")] == await ports(old)
    assert 2 == await old.engine.fetchval("SELECT count(*) FROM source WHERE deleted_at IS NULL")


async def test_a_port_whose_sources_are_deleted_is_reserved_for_the_last_and_a_live_one_goes_first(old):
    await source(old, "org-1", "long gone", '{"port": 2600}', deleted=OLD)
    await source(old, "org-2", "gone", '{"port": 2600}', deleted=NEW)
    await source(old, "org-1", "gone too", '{"port": 2601}', deleted=NEW)
    await source(old, "org-3", "live", '{"port": 2601}')
    assert [(2600, "org-2", None), (2601, "org-3", "live")] == await ports(old)


async def test_what_listens_on_no_port_of_its_own_enters_none(old):
    await source(old, "org-1", "any", '{"port": 0}')
    await source(old, "org-1", "web", "{}", transport="http")
    await source(old, "org-1", "odd", '{"port": "x"}')
    await source(old, "org-1", "high", '{"port": 99999}')
    await source(old, "org-1", "null", '{"port": null}')
    assert [] == await ports(old)

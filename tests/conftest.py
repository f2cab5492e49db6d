"""One embedded PostgreSQL per test run; a template database per worker; a fresh copy of it per test that wants a store."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest
from hypothesis import HealthCheck, settings

from carelane.kit.ids import uuid7
from carelane.kit.seal import Key, new_key
from carelane.store.database import Database
from carelane.store.embedded import EmbeddedServer, Place, find_place
from carelane.store.keys import Keyring
from carelane.store.migrate import migrate
from carelane.store.store import Store

SHARED = Path(__file__).parents[2] / "shared"
_FOLDER = "CARELANE_TEST_POSTGRES"
_server: EmbeddedServer | None = None

# One profile for every machine: no time limits, and the same examples each time, so that a change turns a run red and chance does not;
# --hypothesis-profile=default draws new ones.
settings.register_profile("steady", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")


def pytest_configure(config: pytest.Config) -> None:
    global _server
    if hasattr(config, "workerinput") or config.option.collectonly:
        return
    folder = Path(tempfile.mkdtemp(prefix="carelane-tests-"))
    folder.chmod(0o755)
    os.environ[_FOLDER] = str(folder)
    _server = EmbeddedServer(find_place(folder))
    asyncio.run(_server.start())


def pytest_unconfigure() -> None:
    if _server is not None:
        asyncio.run(_server.stop())
        shutil.rmtree(os.environ[_FOLDER], ignore_errors=True)


@pytest.fixture(scope="session")
def place() -> Place:
    return find_place(Path(os.environ[_FOLDER]))


@pytest.fixture(scope="session")
def template(place: Place) -> str:
    name = f"template_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"

    async def make() -> None:
        admin = await asyncpg.connect(place.dsn())
        await admin.execute(f"CREATE DATABASE {name}")
        await admin.close()
        database = Database(place.dsn(database=name))
        await migrate(database)
        await database.ensure_partitions()

    asyncio.run(make())
    return name


@asynccontextmanager
async def fresh_database(place: Place, template: str) -> AsyncIterator[str]:
    """Yield the URL of a new copy of the template, dropped afterwards."""
    name = f"test_{uuid7().hex}"
    admin = await asyncpg.connect(place.dsn("postgres", "postgres"))  # may end what autovacuum is doing there
    await admin.execute(f"CREATE DATABASE {name} TEMPLATE {template} OWNER carelane_owner")
    try:
        yield place.dsn(database=name)
    finally:
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await admin.close()


@pytest.fixture
async def dsn(place: Place, template: str) -> AsyncIterator[str]:
    async with fresh_database(place, template) as url:
        yield url


@pytest.fixture
async def store(dsn: str) -> AsyncIterator[Store]:
    database = await Database(dsn).open()
    try:
        yield Store(database, Keyring(Key(new_key())))
    finally:
        await database.close()


@pytest.fixture
def shared() -> Path:
    if not SHARED.is_dir():
        pytest.skip(f"no shared samples at {SHARED}")
    return SHARED / "samples"

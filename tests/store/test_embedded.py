"""The embedded server: made once, private, adopted after the hub was killed, revived after it was killed itself."""

import asyncio
import os
import signal
import stat
import tempfile
from pathlib import Path

import asyncpg
import pytest

from carelane.domain.errors import Conflict, Misconfigured
from carelane.kit.locks import FolderLock
from carelane.store.embedded import EmbeddedServer, find_place, live_postmaster
from carelane.store.store import open_store


@pytest.fixture
def folder():
    with tempfile.TemporaryDirectory(prefix="carelane-embedded-") as name:
        path = Path(name)
        path.chmod(0o755)
        yield path


@pytest.fixture
async def server(folder):
    made = EmbeddedServer(find_place(folder))
    await made.start()
    yield made
    await made.stop()


async def answer(server: EmbeddedServer) -> int:
    connection = await asyncpg.connect(server.place.dsn())
    try:
        return await connection.fetchval("SELECT 42")
    finally:
        await connection.close()


async def test_it_starts_answers_and_stops(folder):
    server = EmbeddedServer(find_place(folder))
    await server.start()
    assert 42 == await answer(server)
    await server.stop()
    assert None is live_postmaster(server.place.cluster)


async def test_only_its_user_reaches_the_socket_and_the_files(server):
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (server.place.cluster, server.place.socket_folder, server.place.password_file.parent)}
    assert ({0o700}, 0o600) == (modes, stat.S_IMODE(server.place.password_file.stat().st_mode))


async def test_no_tcp_port_is_opened_and_a_password_is_needed(server):
    connection = await asyncpg.connect(server.place.dsn())
    assert "" == await connection.fetchval("SHOW listen_addresses")
    await connection.close()
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(server.place.dsn().replace(server.place.password_file.read_text(), "wrong"))


async def test_acknowledged_rows_survive_kill_9_of_the_server(server):
    connection = await asyncpg.connect(server.place.dsn())
    await connection.execute("CREATE TABLE kept (n int)")
    await connection.execute("INSERT INTO kept VALUES (1)")
    pid = server.running_pid()
    os.kill(pid, signal.SIGKILL)
    while live_postmaster(server.place.cluster) == pid:
        await asyncio.sleep(0.01)
    connection.terminate()
    assert await server.revive()
    connection = await asyncpg.connect(server.place.dsn())
    assert 1 == await connection.fetchval("SELECT count(*) FROM kept")
    await connection.close()


async def test_a_server_that_outlived_its_hub_is_adopted(folder, server):
    pid = server.running_pid()
    second = EmbeddedServer(find_place(folder))
    await second.start()
    assert pid == second.running_pid()
    assert not await second.revive()


async def test_a_stale_pid_file_of_another_program_is_recovered(folder, server):
    await server.stop()
    (server.place.cluster / "postmaster.pid").write_text(f"{os.getpid()}\n{server.place.cluster}\n")
    await server.start()
    assert 42 == await answer(server)


async def test_two_hubs_on_one_folder_are_refused_with_the_way_out(folder):
    with FolderLock(folder / "hub.lock"), pytest.raises(Conflict, match="another hub .* serves .*; stop it, or choose another folder"):
        async with open_store(folder, None, None, serve=True):
            pass


async def test_a_database_that_may_lose_what_it_acknowledged_is_refused(server):
    from carelane.store.database import Database

    admin = await asyncpg.connect(server.place.dsn("postgres", "postgres"))
    await admin.execute("ALTER ROLE carelane_owner SET synchronous_commit = off")
    await admin.close()
    with pytest.raises(Misconfigured, match="synchronous_commit = off"):
        await Database(server.place.dsn()).check()


async def test_a_deep_folder_gets_a_short_socket_path(folder):
    deep = folder / ("d" * 90)
    deep.mkdir()
    place = find_place(deep)
    assert len(str(place.socket_folder)) < 100

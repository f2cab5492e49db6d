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
from carelane.kit.clock import SystemClock
from carelane.kit.locks import FolderLock
from carelane.store.embedded import EmbeddedServer, find_place, live_postmaster
from carelane.store.store import open_store
from tests.waiting import until


class HastyClock(SystemClock):
    """A second lasts fifty milliseconds."""

    def monotonic(self) -> float:
        return super().monotonic() * 20

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds / 20)


class Told:
    """What a server told, to be waited for."""

    def __init__(self) -> None:
        self._events: asyncio.Queue[tuple[str, str]] = asyncio.Queue()

    def __call__(self, event: str, detail: str) -> None:
        self._events.put_nowait((event, detail))

    async def next(self, event: str) -> str:
        async with asyncio.timeout(60):
            while (found := await self._events.get())[0] != event:
                pass
            return found[1]


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


async def test_a_live_server_whose_socket_was_swept_away_is_stopped_in_order_and_started_afresh(folder, server):
    pid, told = server.running_pid(), Told()
    server.place.socket.unlink()
    second = EmbeddedServer(find_place(folder), told, HastyClock())
    await second.start()
    assert f"the server ({pid}) lives, but nobody answers at its socket {server.place.socket}" == await told.next("store.restarting")
    assert 42 == await answer(second)
    assert pid != second.running_pid()
    assert "database system is shut down" in server.place.log_file.read_text()
    await second.stop()


async def test_a_running_hub_that_cannot_reach_its_server_restarts_it_only_when_the_socket_is_gone(server):
    pid = server.running_pid()
    assert not await server.revive(unreachable=True)
    server.place.socket.unlink()
    assert not await server.revive()
    assert await server.revive(unreachable=True)
    assert pid != server.running_pid()
    assert 42 == await answer(server)


async def test_a_start_that_waits_for_recovery_says_so(folder, server):
    await server.stop()
    (server.place.cluster / "standby.signal").touch()
    server.place.user.own_file(server.place.cluster / "standby.signal")
    with (server.place.cluster / "postgresql.auto.conf").open("a") as conf:
        conf.write("hot_standby = off\n")
    told = Told()
    second = EmbeddedServer(find_place(folder), told, HastyClock())
    starting = asyncio.ensure_future(second.start())

    async def is_standby():  # a hasty clock may tell before the server has said anything of itself
        return "the server is standby" in await told.next("store.waiting")

    assert await until(is_standby)
    (server.place.cluster / "promote").touch()
    server.place.user.own_file(server.place.cluster / "promote")
    os.kill(second.running_pid(), signal.SIGUSR1)
    await starting
    assert 42 == await answer(second)
    await second.stop()


async def test_a_stale_socket_lock_of_another_program_is_recovered(server):
    await server.stop()
    server.place.socket.with_name(".s.PGSQL.5432.lock").write_text(f"{os.getpid()}\n{server.place.cluster}\n")
    await server.start()
    assert 42 == await answer(server)


async def test_a_cluster_that_was_left_half_made_is_made_anew(folder):
    place = find_place(folder)
    half = place.cluster.with_name("pg.making")
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")
    made = EmbeddedServer(place)
    await made.start()
    assert 42 == await answer(made)
    await made.stop()


async def test_a_server_that_was_only_just_launched_is_stopped_too(server):
    await server.stop()
    await server.launch()
    await server.stop()
    assert server._process.returncode is not None
    assert live_postmaster(server.place.cluster) is None


async def test_a_server_is_stopped_though_whoever_started_it_ignores_the_signal(server):
    await server.stop()
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        await server.launch()
        await server.stop()
    finally:
        signal.signal(signal.SIGINT, before)
    assert live_postmaster(server.place.cluster) is None


async def test_a_start_that_is_called_off_leaves_no_half_made_cluster(folder):
    made = EmbeddedServer(find_place(folder))
    starting = asyncio.ensure_future(made.launch())
    while not made.place.cluster.with_name("pg.making").exists():
        await asyncio.sleep(0.001)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert (made.place.cluster / "postgresql.conf").exists()
    await made.stop()

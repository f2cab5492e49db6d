"""The pool in trouble: switchovers, connections that break, statements that may go well the next time, and what the health says of it."""

import asyncio
import socket
from contextlib import asynccontextmanager

import asyncpg
import pytest

from carelane.domain.errors import StoreLost
from carelane.store import connecting
from carelane.store.connecting import hosts_of
from carelane.store.database import Database
from carelane.store.trouble import Pulse
from carelane.testing.clock import FakeClock
from tests.store.pair import attempts_until_written, running_pair

_FAIL = "DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{}'; END $$"
_PID = "SELECT pg_backend_pid()"


@asynccontextmanager
async def opened(url: str):
    database = await Database(url).open()
    try:
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def silent_host():
    """Somebody who takes connections and never says a word: a dead machine behind a living balancer."""
    server = await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@pytest.fixture
async def pair():
    async with running_pair() as made:
        admin = await asyncpg.connect(made.primary.url())
        await admin.execute("CREATE TABLE kept (n bigint GENERATED ALWAYS AS IDENTITY)")
        await admin.execute("GRANT ALL ON kept TO carelane_engine")
        await admin.close()
        yield made


async def test_writes_come_back_by_themselves_after_a_switchover_and_after_the_next(pair):
    async with opened(pair.url) as database:
        assert 0 == await attempts_until_written(database, 1)
        await pair.switch_over()
        await attempts_until_written(database, 3)
        await pair.switch_over()
        await attempts_until_written(database, 3)
        assert 3 == await database.engine.fetchval("SELECT count(*) FROM kept")


async def test_a_standby_is_never_taken_for_the_database(pair):
    async with opened(pair.standby.url()) as database:
        with pytest.raises(StoreLost, match="TargetServerAttributeNotMatched"):
            await database.engine.fetchval("SELECT count(*) FROM kept")


async def test_the_owner_s_connection_finds_the_new_primary(pair):
    await pair.switch_over()
    owner = await Database(pair.url).connect_owner()
    assert not await owner.fetchval("SELECT pg_is_in_recovery()")
    await owner.close()


async def test_a_connection_whose_server_takes_no_writes_any_more_is_given_up(store):
    await store.database.engine.execute("SET default_transaction_read_only = on")
    before = await store.database.engine.fetchval(_PID)
    with pytest.raises(StoreLost, match="25006"):
        await store.database.engine.execute("CREATE TEMPORARY TABLE here (n int)")
    assert before != await store.database.engine.fetchval(_PID)


@pytest.mark.parametrize("state", ["40001", "40P01", "55P03", "53200", "58030"])
async def test_a_statement_that_may_go_well_the_next_time_is_told_as_lost_and_its_connection_kept(store, state):
    before = await store.database.engine.fetchval(_PID)
    with pytest.raises(StoreLost, match=state):
        await store.database.engine.execute(_FAIL.format(state))
    assert before == await store.database.engine.fetchval(_PID)


@pytest.mark.parametrize("state", ["57P01", "57P02", "57P03", "08006", "25006"])
async def test_a_server_that_goes_ends_every_connection_of_its_time(store, state):
    async with store.database.engine.acquire() as other:
        beside = await other.fetchval(_PID)
        with pytest.raises(StoreLost, match=state):
            await store.database.engine.execute(_FAIL.format(state))
    assert beside != await store.database.engine.fetchval(_PID)


async def test_a_caller_s_mistake_costs_nobody_a_connection(store):
    before = await store.database.engine.fetchval(_PID)
    with pytest.raises(asyncpg.UndefinedTableError):
        await store.database.engine.fetch("SELECT * FROM nowhere")
    with pytest.raises(asyncpg.DataError):
        await store.database.engine.fetch("SELECT $1::int", "not a number")
    assert before == await store.database.engine.fetchval(_PID)


async def test_an_idle_connection_that_was_cut_is_replaced_unseen(store, dsn):
    before = await store.database.engine.fetchval(_PID)
    await _cut(dsn, before)
    assert before != await store.database.engine.fetchval(_PID)


async def test_a_page_does_not_notice_that_its_idle_connection_was_cut(store, dsn):
    async with store.database.as_org(1) as connection:
        before = (await connection.exec_driver_sql(_PID)).scalar()
    await _cut(dsn, before)
    async with store.database.as_org(1) as connection:
        assert before != (await connection.exec_driver_sql(_PID)).scalar()


async def test_a_page_whose_connection_is_cut_under_it_is_told_that_the_database_went_away(store, dsn):
    with pytest.raises(StoreLost):
        async with store.database.as_org(1) as connection:
            await _cut(dsn, (await connection.exec_driver_sql(_PID)).scalar())
            await connection.exec_driver_sql(_PID)


async def test_a_page_s_connection_to_a_server_that_takes_no_writes_is_given_up(store):
    with pytest.raises(StoreLost, match="25006"):
        async with store.database.as_org(1) as connection:
            before = (await connection.exec_driver_sql(_PID)).scalar()
            await connection.exec_driver_sql(_FAIL.format("25006"))
    async with store.database.as_org(1) as connection:
        assert before != (await connection.exec_driver_sql(_PID)).scalar()


async def test_a_dead_host_costs_no_time_when_the_other_one_lives(dsn):
    async with silent_host() as port, asyncio.timeout(4):  # asked one after the other it would take five
        connection = await connecting.connect(dsn.replace("host=", "host=127.0.0.1,").replace("port=", f"port={port},"))
        assert 1 == await connection.fetchval("SELECT 1")
        await connection.close()


async def test_nobody_waits_for_ever_for_a_server_that_never_answers():
    async with silent_host() as port, opened(f"postgresql://hub@127.0.0.1:{port}/hub") as database, asyncio.timeout(100):
        with pytest.raises(StoreLost, match="TimeoutError"):
            await database.engine.fetchval("SELECT 1")


async def test_nobody_waits_for_ever_for_connections_that_others_keep(store, monkeypatch):
    monkeypatch.setattr("carelane.store.pool.ACQUIRE_S", 0.1)
    async with asyncio.timeout(100):
        with pytest.raises(StoreLost, match="TimeoutError"):
            await _take_all(store.database, 13)


async def test_a_peer_without_a_sign_of_life_is_noticed_by_the_kernel(pair):
    async with opened(pair.url) as database, database.engine.acquire() as connection:
        peer = connection._con._transport.get_extra_info("socket")
        assert (1, 5, 12_000) == (
            peer.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
            peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
            peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT),
        )


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("postgresql://u:p@one:1,two:2/db", [{"host": "one", "port": 1}, {"host": "two", "port": 2}]),
        ("postgresql://u:p@one,two/db", [{"host": "one", "port": 5432}, {"host": "two", "port": 5432}]),
        ("postgresql://u:p@[::1]:7,two:2/db", [{"host": "::1", "port": 7}, {"host": "two", "port": 2}]),
        ("postgresql:///db?host=/run/a,/run/b&port=7", [{"host": "/run/a", "port": 7}, {"host": "/run/b", "port": 7}]),
        ("postgresql://u:p@one:1/db", []),
        ("postgresql://u:p@/db?host=/run/a&port=5432", []),
    ],
)
def test_every_host_of_a_url_is_known(url, hosts):
    assert hosts == hosts_of(url)


async def test_the_pulse_says_that_there_is_no_space_until_there_is(store):
    with pytest.raises(StoreLost, match="53100"):
        await store.database.engine.execute(_FAIL.format("53100"))
    await store.database.engine.fetchval("SELECT 1")
    assert "database-full" == store.database.pulse.trouble
    await store.database.look_for_room()
    assert "" == store.database.pulse.trouble


async def test_the_pulse_says_that_the_database_is_away_until_a_call_goes_through(store):
    with pytest.raises(StoreLost):
        await store.database.engine.execute(_FAIL.format("57P01"))
    assert "database-away" == store.database.pulse.trouble
    await store.database.engine.fetchval("SELECT 1")
    assert "" == store.database.pulse.trouble


def test_a_database_that_says_nothing_for_long_is_in_trouble():
    clock = FakeClock()
    pulse = Pulse(clock)
    clock.move(16)
    assert "database-silent" == pulse.trouble


async def _cut(dsn: str, pid: int) -> None:
    admin = await asyncpg.connect(dsn)
    await admin.execute("SELECT pg_terminate_backend($1, 5000)", pid)
    await admin.close()


async def _take_all(database: Database, count: int) -> None:
    async with database.engine.acquire():
        await _take_all(database, count - 1)

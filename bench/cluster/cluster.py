"""The cluster as a whole: started, watched, switched over, shaken, and taken down to the last process."""

import asyncio
import contextlib
import random
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import asyncpg

from bench.cluster.member import PASSWORD, SUPERUSER, Ground, Member, make_member
from bench.cluster.parts import Parts
from bench.cluster.program import Program, emptied, kill_all
from carelane.store.place import OWNER

NAMES = ("m1", "m2", "m3")
_LOWEST_PORT, _HIGHEST_PORT = 20_000, 32_000  # below the ephemeral ones, which a client may hold just when we want them


_STREAMS = """
SELECT count(*) AS streaming, count(*) FILTER (WHERE sync_state IN ('sync', 'quorum')) AS agreed FROM pg_stat_replication WHERE state = 'streaming'
"""


class Unhealthy(Exception):
    """The cluster did not reach the state that was waited for; the message has what its members say."""


@dataclass
class Cluster:
    """Three members and the etcd they vote in. Leaders are asked for each time: they change."""

    etcd: Program
    members: dict[str, Member]
    http: aiohttp.ClientSession
    frozen: list[int] = field(default_factory=list)

    def dsn(self, database: str, role: str = OWNER, query: str = "?target_session_attrs=read-write") -> str:
        """Return the URL a hub is given: every member is named."""
        return _url(self.members.values(), database, role, query)

    async def worst_dsn(self, database: str) -> str:
        """Return a URL that says nothing of writes and names last who will be elected next: whoever takes the first server that answers, errs."""
        roles = {one["name"]: one["role"] for one in await self.view()}
        order = {"leader": 0, "replica": 1}
        return _url(sorted(self.members.values(), key=lambda member: order.get(roles[member.name], 2)), database, OWNER, "")

    async def view(self) -> list[dict[str, Any]]:
        """Return the members as the cluster sees itself, from whichever answers."""
        for member in self.members.values():
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                async with self.http.get(f"http://127.0.0.1:{member.control}/cluster", timeout=aiohttp.ClientTimeout(2)) as answer:
                    found: list[dict[str, Any]] = (await answer.json())["members"]
                    return found
        return []

    async def leader(self) -> Member:
        """Return the member that takes writes."""
        name = _named(await self.until(lambda members: any(_leads(one) for one in members), "a leader"), _leads)
        return self.members[name]

    async def healthy(self, standbys: int = 2, synchronous: int = 1, within_s: float = 90) -> None:
        """Wait for a leader, that many streaming standbys and, of these, that many synchronous ones.

        What the members tell of one that was killed is old until its key expires; so the leader's server is asked too.
        """

        def good(members: list[dict[str, Any]]) -> bool:
            streaming = [one for one in members if one["state"] == "streaming"]
            agreed = [one for one in streaming if one["role"] in ("sync_standby", "quorum_standby")]
            return any(_leads(one) for one in members) and len(streaming) >= standbys and len(agreed) >= synchronous

        deadline = time.monotonic() + within_s
        await self.until(good, f"a leader, {standbys} standbys, {synchronous} of them synchronous", within_s)
        while (await self._streams()) < (standbys, synchronous):
            if time.monotonic() > deadline:
                raise Unhealthy(f"the leader streams to {await self._streams()} standbys, not to {(standbys, synchronous)}, after {within_s:.0f} s")
            await asyncio.sleep(0.2)

    async def _streams(self) -> tuple[int, int]:
        """To how many standbys the leader streams, and how many of them it waits for."""
        try:
            connection = await asyncpg.connect(self.dsn("postgres", SUPERUSER))
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
            return 0, 0
        try:
            row = await connection.fetchrow(_STREAMS)
            return row["streaming"], row["agreed"]
        finally:
            await connection.close()

    async def until(self, good: Callable[[list[dict[str, Any]]], bool], wanted: str, within_s: float = 90) -> list[dict[str, Any]]:
        """Wait until the members' view of themselves is good.

        Raises:
            Unhealthy: it was not in time.
        """
        deadline = time.monotonic() + within_s
        while True:
            members = await self.view()
            if good(members):
                return members
            if time.monotonic() > deadline:
                told = [f"{one.get('name')}: {one.get('role')}, {one.get('state')}" for one in members]
                told += [f"{member.name} logged: {member.patroni.last_words()}" for member in self.members.values()]
                raise Unhealthy(f"{wanted}: not within {within_s:.0f} s; members say {told}")
            await asyncio.sleep(0.2)

    async def another_leader(self, than: Member, within_s: float = 60) -> Member:
        """Wait until somebody else leads."""
        members = await self.until(lambda found: any(_leads(one) and one["name"] != than.name for one in found), f"a leader other than {than.name}", within_s)
        return self.members[_named(members, _leads)]

    async def switch_over(self) -> None:
        """Hand over to a synchronous standby as an operator would before maintenance; the old leader stays as a standby.

        Raises:
            Unhealthy: the cluster refused.
        """
        leader = await self.leader()
        async with self.http.post(f"http://127.0.0.1:{leader.control}/switchover", json={"leader": leader.name}) as answer:
            if answer.status != 200:
                raise Unhealthy(f"the switchover from {leader.name} was refused: {answer.status} {await answer.text()}")

    async def configure(self, **settings: Any) -> None:
        """Change what the whole cluster agrees on."""
        leader = await self.leader()
        async with self.http.patch(f"http://127.0.0.1:{leader.control}/config", json=settings) as answer:
            answer.raise_for_status()

    def standbys(self, leader: Member) -> list[Member]:
        """Return the members that are not this one."""
        return [member for member in self.members.values() if member is not leader]

    def freeze(self, pids: list[int]) -> None:
        """Stop processes where they stand; ``thaw`` lets them go on."""
        kill_all(pids, signal.SIGSTOP)
        self.frozen += pids

    def thaw(self) -> None:
        """Let everything that was stopped go on."""
        kill_all(self.frozen, signal.SIGCONT)
        self.frozen.clear()

    async def create_database(self, name: str) -> None:
        """Create a role that owns databases, if there is none, and an empty database of its own; wait until every member has it.

        A driver that walks a list of hosts stops at the first one that knows no such database.
        """
        connection = await asyncpg.connect(self.dsn("postgres", SUPERUSER))
        try:
            if not await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", OWNER):
                await connection.execute(f"CREATE ROLE {OWNER} LOGIN CREATEROLE PASSWORD '{PASSWORD}'")
            await connection.execute(f"CREATE DATABASE {name} OWNER {OWNER}")
            written = await connection.fetchval("SELECT pg_current_wal_lsn()")
            while await connection.fetchval("SELECT count(*) FROM pg_stat_replication WHERE replay_lsn >= $1", written) < len(self.members) - 1:
                await asyncio.sleep(0.1)
        finally:
            await connection.close()


@asynccontextmanager
async def running_cluster(folder: Path, parts: Parts, ports: Iterator[int], agreed: dict[str, Any]) -> AsyncIterator[Cluster]:
    """Start etcd and three members in a new folder, wait until they agree, and end every process of theirs afterwards."""
    folder.mkdir(mode=0o755)
    client, peer = next(ports), next(ports)
    etcd = _etcd(folder, client, peer, parts)
    ground = Ground(folder, client, parts, agreed)
    members = {name: make_member(name, (next(ports), next(ports)), ground) for name in NAMES}
    async with aiohttp.ClientSession() as http:
        cluster = Cluster(etcd, members, http)
        try:
            etcd.start()
            for member in members.values():
                member.patroni.start()
            await cluster.healthy(synchronous=int(agreed["synchronous_mode"]))
            yield cluster
        finally:
            cluster.thaw()
            await asyncio.gather(*(member.patroni.stop() for member in members.values()))
            await etcd.stop()
            await emptied(folder)


def free_ports() -> Iterator[int]:
    """Yield ports nobody listens on, none twice."""
    for port in random.sample(range(_LOWEST_PORT, _HIGHEST_PORT), 500):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        yield port


def _url(members: Iterable[Member], database: str, role: str, query: str) -> str:
    hosts = ",".join(f"127.0.0.1:{member.database}" for member in members)
    return f"postgresql://{role}:{quote(PASSWORD)}@{hosts}/{database}{query}"


def _etcd(folder: Path, client: int, peer: int, parts: Parts) -> Program:
    home = folder / "etcd"
    home.mkdir()
    mine, others = f"http://127.0.0.1:{client}", f"http://127.0.0.1:{peer}"
    words = {"name": "e1", "data-dir": str(home / "data"), "listen-client-urls": mine, "advertise-client-urls": mine,
             "listen-peer-urls": others, "initial-advertise-peer-urls": others, "initial-cluster": f"e1={others}"}  # fmt: skip
    return Program([*parts.mortal, str(parts.etcd), *(part for name, value in words.items() for part in (f"--{name}", value))], home)


def _leads(member: dict[str, Any]) -> bool:
    return (member["role"], member["state"]) == ("leader", "running")


def _named(members: list[dict[str, Any]], which: Callable[[dict[str, Any]], bool]) -> str:
    return str(next(one["name"] for one in members if which(one)))

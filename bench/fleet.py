"""Several hub nodes, each a process with a folder and ports of its own, on one PostgreSQL; and who of them owns what."""

import asyncio
import base64
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from bench.cluster.program import emptied
from bench.machine import Hub, To, free_port, seeded
from bench.people import key_of_somebody
from carelane.ops.workers import connections
from carelane.store.embedded import EmbeddedServer
from carelane.store.place import DATABASE, SUPERUSER, find_place

NODES = 3
_LANES = """
SELECT l.id, n.name FROM lane l JOIN shard_lease s ON s.shard = l.shard LEFT JOIN node n ON n.name = s.owner AND n.expires_at > now()
"""
_SHARDS = "SELECT n.name, count(*) AS shards FROM node n LEFT JOIN shard_lease s ON s.owner = n.name WHERE n.expires_at > now() GROUP BY n.name"
_UNEVEN = 0.2


@dataclass
class Fleet:
    """The nodes. ``doors`` are the ports of MLLP sources, one opened by each node alone."""

    nodes: list[Hub]
    doors: list[int]
    key: str
    database: asyncpg.Connection

    def base(self, node: int) -> str:
        """Return the URL of a node's web server."""
        return f"http://127.0.0.1:{self.nodes[node].port}"

    def pid(self, node: int) -> int:
        """Return the process id of a node."""
        process = self.nodes[node].process
        assert process is not None
        return process.pid

    async def start(self, node: int) -> None:
        """Start a node and wait until it takes messages over MLLP and HTTP."""
        await self.nodes[node].start(self.doors[node])
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self.nodes[node].port)
            except OSError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return

    async def owners(self) -> dict[str, int | None]:
        """Return which process owns each lane; None where it is nobody's that lives."""
        return {str(row["id"]): _pid(row["name"]) for row in await self.database.fetch(_LANES)}

    async def members(self) -> dict[int, int]:
        """Return the processes whose lease holds, and how many shards each has."""
        found: Counter[int] = Counter()
        for row in await self.database.fetch(_SHARDS):
            found[_pid(row["name"]) or 0] += row["shards"]
        return dict(found)

    async def has_joined(self, node: int, within_s: float = 30) -> float:
        """Wait until a node holds a lease; return when that was (monotonic)."""
        until = time.monotonic() + within_s
        while self.pid(node) not in await self.members() and time.monotonic() < until:
            await asyncio.sleep(0.05)
        return time.monotonic()

    async def shared_out(self, since: float, within_s: float = 30) -> tuple[float, float]:
        """Wait until every node has its share; return how long shards took since a moment, and lanes. Infinite where it did not come to that."""
        shards_s = lanes_s = float("inf")
        wanted = {self.pid(node) for node in range(NODES)}
        while max(shards_s, lanes_s) == float("inf") and time.monotonic() < since + within_s:
            shards, lanes = await self.members(), Counter((await self.owners()).values())
            now = round(time.monotonic() - since, 2)
            complete = wanted == set(shards) and None not in lanes
            shards_s = min(shards_s, now) if complete and _even([shards[pid] for pid in wanted]) else float("inf")
            lanes_s = min(lanes_s, now) if complete and _even([lanes[pid] for pid in wanted]) else float("inf")
            await asyncio.sleep(0.1)
        return shards_s, lanes_s


def _pid(name: str | None) -> int | None:
    """A node's name ends in its process id and something random."""
    return int(name.split("-")[-2]) if name else None


def _even(shares: Sequence[int]) -> bool:
    mean = sum(shares) / len(shares)
    return all(abs(share - mean) <= mean * _UNEVEN for share in shares)


@asynccontextmanager
async def running_fleet(folder: Path, keys: Sequence[str], to: Sequence[To]) -> AsyncIterator[Fleet]:
    """Start the database, fill it (a source on each node's MLLP port, then one for each key), and start the nodes; everything ends afterwards."""
    place = find_place(folder / "database")
    server = EmbeddedServer(place)
    await server.start()
    try:
        await server.allow(connections(NODES))
        doors, seed = [free_port() for _ in range(NODES)], folder / "seed"
        async with seeded(seed, [*doors, *keys], to, database_url=place.dsn()) as store:
            key = await key_of_somebody(store)
        common = {"CARELANE_DATABASE_URL": place.dsn(), "CARELANE_MASTER_KEY": base64.b64encode((seed / "keys" / "master.key").read_bytes()).decode()}
        nodes = [_node(folder, number, door, common) for number, door in enumerate(doors, start=1)]
        database = await asyncpg.connect(place.dsn(SUPERUSER, DATABASE))
        fleet = Fleet(nodes, doors, key, database)
        try:
            for node in range(NODES):
                await fleet.start(node)
            yield fleet
        finally:
            await asyncio.gather(*(node.stop() for node in nodes))
            await database.close()
    finally:
        await server.stop()
        await emptied(place.cluster)


def _node(folder: Path, number: int, door: int, common: dict[str, str]) -> Hub:
    home = folder / f"node-{number}"
    home.mkdir()
    return Hub(home, free_port(), {**common, "CARELANE_NODE": f"node-{number}", "CARELANE_LISTEN_PORTS": str(door)}, home / "log")

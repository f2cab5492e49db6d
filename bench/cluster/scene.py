"""A hub on the cluster under load: its senders, its sink, and what is counted of them."""

import asyncio
import contextlib
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import orjson

from bench.cluster.cluster import Cluster
from bench.cluster.member import SUPERUSER
from bench.machine import Hub, seeded
from bench.traffic import Sender, Sink, check, flowing, repeats, sending

_DATABASE = "carelane"
_PATIENCE_S = 3.0
_SEEDING = asyncio.Lock()  # Alembic takes one step of one schema at a time in a process


@dataclass(frozen=True)
class HubPlan:
    """The hub of a scene: its folder, how many lanes, what its database URL ends in, how many processes."""

    data: Path
    lanes: int
    query: str
    workers: int


@dataclass
class Scene:
    """One hub on one database of the cluster."""

    cluster: Cluster
    hub: Hub
    sink: Sink
    senders: list[Sender]
    synchronous: int = 1
    restarts: int = 0

    async def misleading_dsn(self) -> str:
        """Return a URL of the hub's database for those who take the first server that answers: see ``Cluster.worst_dsn``."""
        return await self.cluster.worst_dsn(_DATABASE)

    def load(self) -> AbstractAsyncContextManager[None]:
        """Keep the senders busy."""
        return sending(self.senders)

    def acknowledged_since(self, moment: float) -> int:
        """How many positive acknowledgements came after a moment."""
        return sum(at > moment for sender in self.senders for at in reversed(sender.at))

    def answers(self) -> dict[str, int]:
        """What the senders got so far, refusals and silences included."""
        return {"refused": sum(sender.answered_no for sender in self.senders), "repeated": sum(sender.resent for sender in self.senders)}

    def gap(self, began: float, back: bool) -> float:
        """Return the longest time without an acknowledgement of anybody since shortly before a moment; it still lasts if the hub is not back."""
        moments = sorted(at for sender in self.senders for at in sender.at if at > began - 1)
        moments = [moments[0] if moments else began, *moments, *([] if back else [time.monotonic()])]
        return round(max(after - before for before, after in itertools.pairwise(moments)), 2)

    async def flows(self, since: float, within_s: float = 45) -> bool:
        """Wait until every sender was acknowledged after a moment; a hub that does not come back by itself is started anew, and that is told."""
        if await self.flowing(since, within_s):
            return True
        await self._start_again()
        return False

    async def flowing(self, since: float, within_s: float) -> bool:
        """Say whether every sender was acknowledged after a moment, as soon as they were."""
        return await flowing(self.senders, since, within_s)

    async def _start_again(self) -> None:
        self.restarts += 1
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.hub.stop(), 15)
        if self.hub.process is not None and self.hub.process.returncode is None:
            self.hub.process.kill()
            await self.hub.process.wait()
        await self.hub.start(self.senders[-1].port)

    async def verdict(self, patience_s: float = 90) -> dict[str, Any]:
        """Let everything drain, then compare what was acknowledged with the database and with the sink."""
        acknowledged = sum(len(sender.acknowledged) for sender in self.senders)
        stored = await self._stored()
        await self.sink.drained(acknowledged, patience_s)
        missing = sum(len(set(sender.acknowledged) - stored) for sender in self.senders)
        counts = {"acknowledged": acknowledged, "delivered": len(self.sink.log), "lost_in_database": missing, **check(self.senders, self.sink.log)}
        return {**counts, **self.answers(), "hub_restarts_needed": self.restarts, "told_by_hub": _told(self.hub.log)}

    async def acknowledges(self, since: float, at_least: int, within_s: float = 20) -> None:
        """Wait until so many were acknowledged since a moment, or the time is up."""
        deadline = time.monotonic() + within_s
        while self.acknowledged_since(since) < at_least and time.monotonic() < deadline:
            await asyncio.sleep(0.05)

    async def delivers(self, since: float, within_s: float = 120) -> bool:
        """Say whether every lane delivered something after a moment, as soon as they did: what an event left unsettled is over then."""
        deadline = time.monotonic() + within_s
        while len({lane for at, (lane, *_) in zip(reversed(self.sink.at), reversed(self.sink.log), strict=True) if at > since}) < len(self.senders):
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(0.2)
        return True

    def after(self, event: int) -> dict[str, Any]:
        """What the sink saw after the n-th event: the most repeats of one lane, and the longest time without a delivery that ended then."""
        again = [count for (_, number), count in repeats(self.sink.log).items() if number == event]
        return {"most_repeats": max(again, default=0), "delivery_gap_s": self.sink.gaps().get(event)}

    async def _stored(self) -> set[str]:
        connection = await asyncpg.connect(self.cluster.dsn(_DATABASE, SUPERUSER))
        try:
            return {row["control"] for row in await connection.fetch("SELECT heading->>'controlId' AS control FROM message")}
        finally:
            await connection.close()


@asynccontextmanager
async def running_scene(cluster: Cluster, ports: Iterator[int], plan: HubPlan) -> AsyncIterator[Scene]:
    """Seed a hub on a new database of the cluster and start it; everything of it ends afterwards."""
    plan.data.mkdir(mode=0o755)
    await cluster.create_database(_DATABASE)
    doors = [next(ports) for _ in range(plan.lanes)]
    sink = Sink()
    async with sink.open(next(ports)) as url:
        async with _SEEDING, seeded(plan.data, doors, url, database_url=cluster.dsn(_DATABASE)):
            pass
        settings = {"CARELANE_DATABASE_URL": cluster.dsn(_DATABASE, query=plan.query), "CARELANE_WORKERS": str(plan.workers)}
        hub = Hub(plan.data, next(ports), settings, plan.data / "hub.log")
        senders = [Sender(port, f"K{number:03d}", _PATIENCE_S) for number, port in enumerate(doors)]
        try:
            await hub.start(doors[-1])
            yield Scene(cluster, hub, sink, senders)
        finally:
            await hub.stop()


def _told(log: Path | None) -> dict[str, int]:
    events: Counter[str] = Counter()
    for line in log.read_text(errors="replace").splitlines() if log and log.exists() else ():
        with contextlib.suppress(orjson.JSONDecodeError):
            event = orjson.loads(line)
            events[f"{event['event']} {event.get('detail', '')}"[:80] if event["event"] == "node.chore_failed" else event["event"]] += 1
    return dict(events.most_common(12))

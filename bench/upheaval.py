"""What befalls nodes that share a database: killed, frozen, leaving, joining, while people act on lanes. Each takes the bed it happens on, and measures."""

import asyncio
import itertools
import random
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from bench.cluster.program import kill_all
from bench.events import Event
from bench.fleet import NODES, Fleet
from bench.people import Person
from bench.sinks import Receivers
from bench.traffic import Sender, flowing
from bench.trouble import MOST_THOUGHT_S
from carelane.exchange.gates import SLACK_S
from carelane.exchange.shards import LEASE_S

BUSY = ("framed", "well", "well", "framed", "framed", "slow", "well", "well", "well")
"""The receivers of the lanes that somebody sends to."""
TIMEOUT_S = 3.0
_QUIET_S = 4.0


@dataclass
class Bed:
    """The nodes, their surroundings, and what was measured. ``sink.crashes`` is odd while something is done to them."""

    fleet: Fleet
    sink: Receivers
    senders: list[Sender]
    person: Person
    dice: random.Random
    seen: list[Event] = field(default_factory=list)
    shares: list[tuple[float, float]] = field(default_factory=list)
    stood: list[float] = field(default_factory=list)
    take_overs: list[tuple[float, float]] = field(default_factory=list)
    """Seconds from the end of a node to the first delivery of another, and how many it may take at most, for each of its busy lanes."""
    sent_while_paused: int = 0

    @property
    def pinned(self) -> int:
        """How many senders belong to one node."""
        return NODES

    def begin(self, what: str, repeats: int) -> Event:
        """Note that something is done."""
        self.seen.append(Event(what, repeats))
        self.sink.crashes += 1
        return self.seen[-1]

    async def end(self, event: Event) -> None:
        """It is over when every sender was acknowledged again whose node lives."""
        event.came_back = await flowing(self._fed(), time.monotonic(), 60)
        self.sink.crashes += 1

    def _fed(self) -> list[Sender]:
        living = [node.process is not None and node.process.returncode is None for node in self.fleet.nodes]
        return [sender for number, sender in enumerate(self.senders) if number >= self.pinned or living[number]]

    def arrivals(self, lane: str, since: float) -> list[float]:
        """Return when deliveries of a lane were taken, from a moment on."""
        late = itertools.takewhile(lambda pair: pair[0] >= since, zip(reversed(self.sink.at), reversed(self.sink.log), strict=True))
        return [at for at, one in reversed(list(late)) if one.lane == lane and one.well]


async def kill(bed: Bed) -> None:
    """Kill -9 a node; when others deliver for it, start it again."""
    node = bed.dice.randrange(NODES)
    owners, event = await bed.fleet.owners(), bed.begin("kill", 1)
    process = bed.fleet.nodes[node].process
    assert process is not None
    async with bed.sink.thinking(bed.dice.uniform(0, MOST_THOUGHT_S)):
        process.kill()
    await process.wait()
    await _taken_over(bed, owners, process.pid, time.monotonic())
    await bed.end(event)
    await _join(bed, node)


async def leave(bed: Bed) -> None:
    """Ask a node to end, and start it again a moment later."""
    node = bed.dice.randrange(NODES)
    event = bed.begin("leave", 0)
    await bed.fleet.nodes[node].stop()
    await bed.end(event)
    await _join(bed, node)


async def freeze(bed: Bed) -> None:
    """Stop a node where it stands past its lease, then let it go on."""
    node, seconds = bed.dice.randrange(NODES), bed.dice.uniform(15, 30)
    owners, event = await bed.fleet.owners(), bed.begin("freeze", 1)
    pid = bed.fleet.pid(node)
    async with bed.sink.thinking(bed.dice.uniform(0, MOST_THOUGHT_S)):
        kill_all([pid], signal.SIGSTOP)
    began = time.monotonic()
    try:
        await _taken_over(bed, owners, pid, began)
        await asyncio.sleep(began + seconds - time.monotonic())
    finally:
        kill_all([pid], signal.SIGCONT)
    woke = time.monotonic()
    bed.shares.append(await bed.fleet.shared_out(woke))
    await bed.end(event)


async def verbs(bed: Bed) -> None:
    """People act on some lanes at once, each through any node."""
    event = bed.begin("verbs", 0)
    lanes = bed.dice.sample(sorted(bed.sink.lanes.values()), 3)
    await asyncio.gather(*(bed.dice.choice((_pause, _pause_and_skip, _release, _skip))(bed, lane) for lane in lanes))
    await bed.end(event)


ROUNDS: dict[str, Callable[[Bed], Awaitable[None]]] = {"kill": kill, "freeze": freeze, "leave": leave, "verbs": verbs}


async def _join(bed: Bed, node: int) -> None:
    """Start a node: it gets its share, and no lane stands for longer than its own send and a second."""
    calm = time.monotonic()
    await asyncio.sleep(_QUIET_S)
    event = bed.begin("join", 0)
    starting = asyncio.create_task(bed.fleet.start(node))
    joined = await bed.fleet.has_joined(node)
    bed.shares.append(await bed.fleet.shared_out(joined))
    await starting
    await asyncio.sleep(1)
    for lane in sorted(bed.sink.lanes.values())[bed.pinned :]:
        arrived = bed.arrivals(lane, calm)
        ordinary = _longest_gap([at for at in arrived if at <= joined])
        bed.stood.append(round(_longest_gap([at for at in arrived if at >= joined - ordinary]) - ordinary, 2))
    await bed.end(event)


async def _taken_over(bed: Bed, owners: dict[str, int | None], pid: int, began: float) -> None:
    """Wait until others own and deliver what this process owned; note how long that took for each lane somebody sends to."""
    mine = {lane for number, lane in enumerate(bed.sink.lanes.values()) if owners[lane] == pid and number >= bed.pinned}
    while mine & {lane for lane, owner in (await bed.fleet.owners()).items() if owner in (pid, None)}:
        await asyncio.sleep(0.05)
    owned = time.monotonic()
    for lane in mine:
        most = LEASE_S + _longest_s(BUSY[int(lane) - 1])
        while not (arrived := bed.arrivals(lane, owned)) and time.monotonic() < began + 2 * most:
            await asyncio.sleep(0.05)
        bed.take_overs.append((round(arrived[0] - began, 2) if arrived else float("inf"), most))


def _longest_s(kind: str) -> float:
    """How long a send to a receiver may take: over MLLP also the wait for a connection."""
    return (2 if kind == "framed" else 1) * TIMEOUT_S + SLACK_S


def _longest_gap(moments: Sequence[float]) -> float:
    return max((after - before for before, after in itertools.pairwise(moments)), default=0.0)


def _any_node(bed: Bed) -> str:
    return bed.fleet.base(bed.dice.randrange(NODES))


async def _pause(bed: Bed, lane: str) -> None:
    await bed.person.act(_any_node(bed), lane, "pause")
    await asyncio.sleep(1.5)  # the send under way, and the bell
    still = time.monotonic()
    await asyncio.sleep(bed.dice.uniform(0.3, 1.5))
    bed.sent_while_paused += len(bed.arrivals(lane, still))
    await bed.person.act(_any_node(bed), lane, "resume")


async def _pause_and_skip(bed: Bed, lane: str) -> None:
    await bed.person.act(_any_node(bed), lane, "pause")
    for _ in range(bed.dice.randint(1, 3)):
        await bed.person.skip(_any_node(bed), lane)
    await bed.person.act(_any_node(bed), lane, "resume")


async def _release(bed: Bed, lane: str) -> None:
    with bed.sink.ill(lane) as refused:
        await asyncio.wait_for(refused.wait(), 30)
    for _ in range(20):  # the refusal may not be settled yet
        if await bed.person.act(_any_node(bed), lane, "release"):
            return
        await asyncio.sleep(0.1)


async def _skip(bed: Bed, lane: str) -> None:
    with bed.sink.ill(lane) as refused:
        await asyncio.wait_for(refused.wait(), 30)
        for _ in range(20):
            if await bed.person.skip(_any_node(bed), lane) is not None:
                return
            await asyncio.sleep(0.1)

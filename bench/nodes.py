"""Three nodes on one PostgreSQL under load: killed, frozen, leaving and joining, while people act on lanes. Nothing is lost, in order, at most once again.

    python -m bench.nodes [--rounds 50] [--seed 1] [--only kill,freeze,leave,verbs]

Senders over HTTP go to another node with the same message when theirs does not answer, as behind a load balancer; one sender over MLLP belongs to each
node. Measured and held beside loss, order and repeats: how soon a node that joins has its share of shards and lanes, how long a lane stands for that, and
how long the lanes of a dead or frozen node wait until another delivers them.
"""

import argparse
import asyncio
import itertools
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvloop

from bench.cluster.program import kill_all
from bench.events import Event, after, plan_of, without_excuse
from bench.fleet import NODES, Fleet, running_fleet
from bench.machine import free_port, report, until_told
from bench.people import Person, person
from bench.sinks import Receivers, framed, webhook
from bench.traffic import Poster, Sender, check, flowing, repeated, sending
from carelane.exchange.gates import SLACK_S
from carelane.exchange.shards import LEASE_S

SHARE_S, STANDS_S = 15.0, 1.0
_LANES, _PATIENCE_S, _PAUSE_S, _SLOW_PAUSE_S, _TIMEOUT_S, _QUIET_S = 60, 3.0, 0.05, 1.0, 3.0, 4.0
_BUSY = ("framed", "well", "well", "framed", "framed", "slow", "well", "well", "well")


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
    pid, began = bed.fleet.pid(node), time.monotonic()
    kill_all([pid], signal.SIGSTOP)
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
        most = LEASE_S + _longest_s(_BUSY[int(lane) - 1])
        while not (arrived := bed.arrivals(lane, owned)) and time.monotonic() < began + 2 * most:
            await asyncio.sleep(0.05)
        bed.take_overs.append((round(arrived[0] - began, 2) if arrived else float("inf"), most))


def _longest_s(kind: str) -> float:
    """How long a send to a receiver may take: over MLLP also the wait for a connection."""
    return (2 if kind == "framed" else 1) * _TIMEOUT_S + SLACK_S


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


def verdict(bed: Bed) -> dict[str, Any]:
    """Compare what was acknowledged with what arrived, and every promise with what was seen."""
    found, again = check(bed.senders, bed.sink.log, bed.person.skipped), repeated(bed.sink.log)
    unexplained = without_excuse(again, bed.seen)
    promises = {
        "nothing_lost": not found["lost"],
        "order_kept": not found["order_errors"],
        "repeats_within_bounds": not unexplained,
        "came_back": all(event.came_back for event in bed.seen),
        "shares_within_15_s": all(max(one) <= SHARE_S for one in bed.shares),
        "no_lane_stands_for_a_join": all(stood <= STANDS_S for stood in bed.stood),
        "taken_over_in_time": all(took <= most for took, most in bed.take_overs),
        "paused_lanes_stand": not bed.sent_while_paused,
    }
    return {"events": Counter(event.what for event in bed.seen), "acknowledged": sum(len(one.acknowledged) for one in bed.senders),
            "delivered": len(bed.sink.log), "resent_by_senders": sum(one.resent for one in bed.senders), "lost": found["lost"],
            "order_errors": found["order_errors"], "repeats": len(again), "repeats_after": after(again, bed.seen),
            "repeats_without_excuse": [one._asdict() for one in unexplained], "person_did": bed.person.did,
            "skipped": sum(map(len, bed.person.skipped.values())), "share_of_shards_s": _spread([one for one, _ in bed.shares]),
            "share_of_lanes_s": _spread([one for _, one in bed.shares]), "stood_for_a_join_s": _spread(bed.stood),
            "taken_over_s": _spread([took for took, _ in bed.take_overs]), "taken_over_of_allowed_s": _spread([took - most for took, most in bed.take_overs]),
            "sent_while_paused": bed.sent_while_paused, "held": promises, "passed": all(promises.values())}  # fmt: skip


def _spread(values: Sequence[float]) -> dict[str, float]:
    ordered = sorted(values) or [0.0]
    return {"count": len(values), "median": round(ordered[len(ordered) // 2], 2), "most": round(ordered[-1], 2)}


async def _run(bed: Bed, plan: Sequence[str], seconds: float) -> None:
    async with sending(bed.senders):
        for number, what in enumerate(plan, start=1):
            await asyncio.sleep(bed.dice.uniform(0.5, 1.5) * seconds)
            await ROUNDS[what](bed)
            last = f"shares {bed.shares[-1:]}, stood {max(bed.stood, default=0)}, taken over {bed.take_overs[-1:]}"
            print(f"{time.strftime('%H:%M:%S')} {number} {what}: back {bed.seen[-1].came_back}, {last}", file=sys.stderr)
        await asyncio.sleep(seconds)
    bed.sink.calm()
    await bed.sink.drained(sum(len(one.acknowledged) for one in bed.senders) - sum(map(len, bed.person.skipped.values())), 60)


async def _main(given: argparse.Namespace) -> int:
    dice, sink, keys = random.Random(given.seed), Receivers(given.seed, 0, 0), [f"ck_bench_{number:03d}" for number in range(_LANES - NODES)]
    with tempfile.TemporaryDirectory(prefix="carelane-nodes-") as name:
        folder, mllp = Path(name), free_port()
        folder.chmod(0o755)
        async with sink.listening(free_port(), {mllp: False}) as url:
            to = [framed(mllp, _TIMEOUT_S) if kind == "framed" else webhook(url, kind, _TIMEOUT_S) for kind in (*_BUSY, *["well"] * (_LANES - len(_BUSY)))]
            async with running_fleet(folder, keys, to) as fleet, person(fleet.key) as somebody:
                bases = [fleet.base(node) for node in range(NODES)]
                senders = [Sender(door, f"K{number:03d}", _PATIENCE_S, _PAUSE_S) for number, door in enumerate(fleet.doors)]
                for number in range(NODES, len(_BUSY)):
                    turned = [*bases[number % NODES :], *bases[: number % NODES]]
                    pause_s = _SLOW_PAUSE_S if _BUSY[number] == "slow" else _PAUSE_S
                    senders.append(Poster(turned, keys[number - NODES], f"K{number:03d}", _PATIENCE_S, pause_s))
                sink.lanes = {sender.tag: str(number) for number, sender in enumerate(senders, start=1)}
                bed = Bed(fleet, sink, senders, somebody, dice)
                bed.shares.append(await fleet.shared_out(time.monotonic()))
                await _run(bed, plan_of(given.rounds, given.only, dice), given.seconds)
    figures = verdict(bed)
    report("nodes", {"seed": given.seed, "rounds": given.rounds, **figures})
    return 0 if figures["passed"] else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1, help="of what happens in which round")
    parser.add_argument("--seconds", type=float, default=2, help="mean seconds of load before each round")
    parser.add_argument("--only", type=lambda text: text.split(","), default=["kill", "freeze", "leave", "verbs", "verbs"], help=f"some of {', '.join(ROUNDS)}")
    sys.exit(uvloop.run(until_told(_main(parser.parse_args()))))

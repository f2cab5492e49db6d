"""A hub on three PostgreSQL servers kept by Patroni: leaders killed, switched over, standbys lost; nothing acknowledged may be lost.

    python -m bench.patroni [--kills 20] [--switchovers 20] [--lanes 4] [--workers 1] [--short]

Starts etcd and three members in a temporary folder, in strict synchronous mode, and a hub whose URL names all three. Senders go on
with the next message only after the ACK, and repeat what was not acknowledged; a sink in this process logs every delivery. Two controls show that the
checker can see a loss and a false ACK: with asynchronous replication and streams stopped before a kill, acknowledged messages must be
lost; in synchronous mode the same stop, and the loss of both standbys, must lose none and let nobody be acknowledged.
Exit code 3: a part of the cluster cannot be had here; it is named.
"""

import argparse
import asyncio
import logging
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import uvloop

from bench.cluster.cluster import free_ports, running_cluster
from bench.cluster.faults import Seen, hang_the_leader, kill_the_leader, kill_with_streams_stopped, lose_both_standbys, lose_etcd, switch_over
from bench.cluster.member import ASYNCHRONOUS, DURABLE
from bench.cluster.parts import Missing, Parts, find_parts
from bench.cluster.scene import HubPlan, Scene, running_scene
from bench.machine import percentile, report, until_told

READ_WRITE = "?target_session_attrs=read-write"
_KILL_GAP_S, _SWITCHOVER_GAP_S = DURABLE["ttl"] + 3, 5


@dataclass(frozen=True)
class Plan:
    """How much of everything; ``query`` ends the hub's database URL, ``workers`` are the processes that share its lanes."""

    kills: int
    switchovers: int
    lanes: int
    seconds: float
    query: str
    workers: int
    long: bool


async def _main(plan: Plan) -> int:
    with tempfile.TemporaryDirectory(prefix="carelane-cluster-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        try:
            parts = find_parts(folder)
        except Missing as missing:
            print(f"no cluster here: {missing}", file=sys.stderr)
            return 3
        began, ports = time.monotonic(), free_ports()
        async with asyncio.TaskGroup() as both:
            durable = both.create_task(_durable(folder / "durable", parts, ports, plan))
            control = both.create_task(_control(folder / "control", parts, ports, plan))
        figures = _figures(*durable.result(), control.result())
        report("patroni", {"took_s": round(time.monotonic() - began), "lanes": plan.lanes, "workers": plan.workers, "ttl_s": DURABLE["ttl"], **figures})
        return 0 if figures["passed"] else 1


async def _durable(folder: Path, parts: Parts, ports: Iterator[int], plan: Plan) -> tuple[list[Seen], dict[str, Any]]:
    """A cluster with the settings of a hub that keeps its promises: return what each event did, and the verdict at the end."""
    async with running_cluster(folder, parts, ports, DURABLE) as cluster, running_scene(cluster, ports, _hub(folder, plan)) as scene:
        async with scene.load():
            seen = await _events(scene, plan)
        verdict = await scene.verdict()
        for number, one in enumerate(seen, start=1):
            one.more |= scene.after(number)
        return seen, verdict


async def _control(folder: Path, parts: Parts, ports: Iterator[int], plan: Plan) -> dict[str, Any]:
    """A cluster that replicates asynchronously: it must acknowledge without standbys, and a kill with the streams stopped must lose what it acknowledged."""
    async with running_cluster(folder, parts, ports, ASYNCHRONOUS) as cluster, running_scene(cluster, ports, _hub(folder, plan)) as scene:
        scene.synchronous = 0
        async with scene.load():
            alone = _tell(await lose_both_standbys(scene, plan.seconds, 3), "control, asynchronous: both standbys gone")
            killed = _tell(await kill_with_streams_stopped(scene, plan.seconds, 20), "control, asynchronous: kill, streams stopped")
        return {**await scene.verdict(10), "acknowledged_alone": alone.more["acknowledged_meanwhile"], **killed.more}


async def _events(scene: Scene, plan: Plan) -> list[Seen]:
    """Every fault that a synchronous cluster must bear, kills and switchovers mixed."""
    seen = []
    for number in range(max(plan.kills, plan.switchovers)):
        if number < plan.kills:
            seen.append(_tell(await kill_the_leader(scene, plan.seconds)))
        if number < plan.switchovers:
            seen.append(_tell(await switch_over(scene, plan.seconds)))
    seen.append(_tell(await lose_both_standbys(scene, plan.seconds)))
    seen.append(_tell(await kill_with_streams_stopped(scene, plan.seconds)))
    if plan.long:
        seen.append(_tell(await hang_the_leader(scene, plan.seconds)))
        seen.append(_tell(await lose_etcd(scene, plan.seconds), "etcd gone, failsafe"))
        await scene.cluster.configure(failsafe_mode=False)
        seen.append(_tell(await lose_etcd(scene, plan.seconds), "etcd gone, no failsafe"))
    await scene.cluster.healthy()
    return seen


def _hub(folder: Path, plan: Plan) -> HubPlan:
    return HubPlan(folder / "hub", plan.lanes, plan.query, plan.workers)


def _tell(seen: Seen, what: str = "") -> Seen:
    seen.what = what or seen.what
    back = "came back" if seen.came_back else "had to be started anew"
    print(f"{time.strftime('%H:%M:%S')} {seen.what}: {seen.gap_s} s, {back}, late: {seen.late}, {seen.more}", file=sys.stderr)
    return seen


def _figures(seen: list[Seen], durable: dict[str, Any], control: dict[str, Any]) -> dict[str, Any]:
    kills, switches = _gaps(seen, "kill"), _gaps(seen, "switchover")
    alone = next(one.more["acknowledged_meanwhile"] for one in seen if one.what == "both standbys gone")
    late = sum((Counter(one.late) for one in seen), Counter())
    held = {
        "nothing_lost": not durable["lost"] and not durable["lost_in_database"],
        "order_kept": not durable["order_errors"] and not durable["repeats_over_bound"],
        "no_restart_needed": not durable["hub_restarts_needed"],
        "kill_gaps": max(kills, default=0) <= _KILL_GAP_S,
        "switchover_gaps": max(switches, default=0) <= _SWITCHOVER_GAP_S,
        "nothing_late": not late,
        "nothing_acknowledged_alone": not alone,
        "control_acknowledged_alone": control["acknowledged_alone"] > 0,
        "control_lost": control["lost_in_database"] > 0,
    }
    return {"kills": _spread(seen, "kill"), "switchovers": _spread(seen, "switchover"), "probe_later_than_5_s": late, **durable,
            "repeats_over_bound_after": Counter(one.what for one in seen if one.more["most_repeats"] > 1),
            "others": [vars(one) for one in seen if one.what not in ("kill", "switchover")], "control_asynchronous": control,
            "held": held, "passed": all(held.values())}  # fmt: skip


def _gaps(seen: list[Seen], what: str) -> list[float]:
    return [one.gap_s for one in seen if one.what == what]


def _spread(seen: list[Seen], what: str) -> dict[str, Any]:
    gaps, deliveries = _gaps(seen, what), [one.more["delivery_gap_s"] or 0.0 for one in seen if one.what == what]
    return {"count": len(gaps), "gap_s_median": percentile(gaps, 0.5), "gap_s_p99": percentile(gaps, 0.99), "gap_s": gaps,
            "delivery_gap_s_median": percentile(deliveries, 0.5), "delivery_gap_s_most": max(deliveries, default=0.0)}  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--switchovers", type=int, default=20)
    parser.add_argument("--lanes", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=2, help="mean seconds of load before each event")
    parser.add_argument("--query", default=READ_WRITE, help="what the hub's database URL ends in")
    parser.add_argument("--workers", type=int, default=1, help="processes of the hub")
    parser.add_argument("--short", action="store_true", help="one kill, one switchover and the controls")
    given = parser.parse_args()
    logging.getLogger("asyncpg").setLevel(logging.CRITICAL)  # its pools tell of every refused connection, with a traceback
    plan = Plan(given.kills, given.switchovers, given.lanes, given.seconds, given.query, given.workers, long=not given.short)
    sys.exit(uvloop.run(until_told(_main(replace(plan, kills=1, switchovers=1) if given.short else plan))))

"""What the cluster is put through under load; each fault returns what was seen of it."""

import asyncio
import random
import time
from dataclasses import dataclass, field
from typing import Any

from bench.cluster.probe import Probe, probing
from bench.cluster.program import kill_all
from bench.cluster.scene import Scene

FOUND_WITHIN_S = 5.0
_STOPPED_S = 0.5


@dataclass
class Seen:
    """One event: what happened, how long nobody was acknowledged, whether the hub came back by itself, and what a probe met later than it may."""

    what: str
    gap_s: float
    came_back: bool
    late: dict[str, int] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)


async def kill_the_leader(scene: Scene, seconds: float) -> Seen:
    """Kill -9 the leader and its keeper; it comes back as a standby once another leads."""
    await _load(scene, seconds)
    async with probing(await scene.misleading_dsn()) as probe:
        leader = await scene.cluster.leader()
        scene.sink.crashes += 1
        began = time.monotonic()
        leader.crash()
        await scene.cluster.another_leader(leader)
        led = time.monotonic()
        back = await scene.flows(led)
        gap = scene.gap(began, back)
        leader.patroni.start()
        return Seen("kill", gap, back, await _late(probe, led))


async def kill_with_streams_stopped(scene: Scene, seconds: float, at_least: int = 0) -> Seen:
    """Stop what both standbys receive, go on for a moment, then kill -9 the leader: what was on its way to them is lost with it.

    What is acknowledged meanwhile (half a second, or until it is ``at_least`` so many) would be on the leader's disk alone.
    The sink answers nobody meanwhile, so that nothing is delivered from there.
    """
    await _load(scene, seconds)
    leader = await scene.cluster.leader()
    receivers = [pid for standby in scene.cluster.standbys(leader) for pid in standby.receivers()]
    scene.sink.crashes += 1
    scene.sink.answers.clear()
    began = time.monotonic()
    scene.cluster.freeze(receivers)
    await asyncio.sleep(_STOPPED_S)
    await scene.acknowledges(began, at_least)
    acknowledged = scene.acknowledged_since(began)
    leader.crash()
    kill_all(receivers)
    scene.cluster.frozen.clear()
    scene.sink.answers.set()
    await scene.cluster.another_leader(leader)
    back = await scene.flows(time.monotonic())
    gap = scene.gap(began, back)
    leader.patroni.start()
    return Seen("kill, streams stopped", gap, back, more={"streams_stopped": len(receivers), "acknowledged_meanwhile": acknowledged})


async def switch_over(scene: Scene, seconds: float) -> Seen:
    """Hand over to the synchronous standby; the old leader stays, as a standby that still takes connections."""
    await _load(scene, seconds)
    async with probing(await scene.misleading_dsn()) as probe:
        leader = await scene.cluster.leader()
        scene.sink.crashes += 1
        began = time.monotonic()
        await scene.cluster.switch_over()
        await scene.cluster.another_leader(leader)
        led = time.monotonic()
        back = await scene.flows(led)
        gap = scene.gap(began, back)
        return Seen("switchover", gap, back, await _late(probe, led))


async def lose_both_standbys(scene: Scene, seconds: float, gone_s: float = 10) -> Seen:
    """Kill -9 both standbys: nothing may be acknowledged until one is back."""
    await _load(scene, seconds)
    scene.sink.crashes += 1
    standbys = scene.cluster.standbys(await scene.cluster.leader())
    began = time.monotonic()
    for standby in standbys:
        standby.crash()
    await asyncio.sleep(0.5)  # acknowledgements that were already on their way
    gone, before = time.monotonic(), scene.answers()
    await asyncio.sleep(gone_s)
    acknowledged, after = scene.acknowledged_since(gone), scene.answers()
    for standby in standbys:
        standby.patroni.start()
    back = await scene.flows(time.monotonic(), 90)
    more = {"gone_s": gone_s, "acknowledged_meanwhile": acknowledged, **{f"{name}_meanwhile": after[name] - before[name] for name in after}}
    return Seen("both standbys gone", scene.gap(began, back), back, more=more)


async def lose_etcd(scene: Scene, seconds: float, gone_s: float = 40) -> Seen:
    """Stop etcd for longer than the leader's lease lasts; say whether the leader stayed."""
    await _load(scene, seconds)
    scene.sink.crashes += 1
    began = time.monotonic()
    pid = scene.cluster.etcd.pid
    scene.cluster.freeze([pid] if pid else [])
    await asyncio.sleep(gone_s)
    late = scene.acknowledged_since(time.monotonic() - 5)
    scene.cluster.thaw()
    back = await scene.flows(time.monotonic(), 90)
    return Seen("etcd gone", scene.gap(began, back), back, more={"gone_s": gone_s, "acknowledged_in_the_last_5_s": late})


async def hang_the_leader(scene: Scene, seconds: float, most_s: float = 30) -> Seen:
    """Stop every process of the leader where it stands, as a stalled disk would, and let them go on when there is a new leader.

    Its machine still answers for it meanwhile. A machine that is gone as a whole is noticed by its silence; here only a watchdog would help.
    What counts is that nothing is lost when it wakes.
    """
    await _load(scene, seconds)
    scene.sink.crashes += 1
    leader = await scene.cluster.leader()
    began = time.monotonic()
    scene.cluster.frozen += leader.freeze()
    await scene.cluster.another_leader(leader)
    led = time.monotonic()
    before = await scene.flowing(led, most_s)
    more = {"flowed_before_it_woke": before, "after_the_new_leader_s": round(time.monotonic() - led, 2)}
    scene.cluster.thaw()
    back = await scene.flows(time.monotonic())
    return Seen("leader hangs, then wakes", scene.gap(began, back), back, more=more)


async def _late(probe: Probe, led: float) -> dict[str, int]:
    """What the probe met later than a pool may take to find the new leader."""
    await asyncio.sleep(max(0.0, led + FOUND_WITHIN_S + 2 - time.monotonic()))
    return probe.faults(led + FOUND_WITHIN_S)


async def _load(scene: Scene, seconds: float) -> None:
    """Wait until the cluster is whole and messages flow in and out, then for a random while."""
    await scene.cluster.healthy(synchronous=scene.synchronous)
    whole = time.monotonic()
    await scene.flows(whole)
    await scene.delivers(whole)
    await asyncio.sleep(random.uniform(0.5, 1.5) * seconds)

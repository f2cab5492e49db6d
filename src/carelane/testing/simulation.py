"""Several nodes on one simulated database: clock, lost rings, stalls, a store that goes away, people who change things. Everything from a seed.

python -m carelane.testing.simulation 4711        # one seed again, told step by step
"""

import asyncio
import sys
from dataclasses import replace

from carelane.domain.ids import LaneId
from carelane.testing.ledger_suite import incoming
from carelane.testing.loop import JumpingLoop
from carelane.testing.simulated import World

_DISTURBED_S, _CALM_S = 60.0, 900.0


async def feed(world: World) -> None:
    """Messages come, in small groups, at any node."""
    until = world.loop.time() + _DISTURBED_S
    while world.loop.time() < until:
        await asyncio.sleep(world.dice.expovariate(6))
        lane = world.dice.choice(list(world.lanes))
        texts = [f"m{world.count + n}" for n in range(world.dice.choice((1, 1, 1, 2, 8)))]
        world.count += len(texts)
        if world.store_away:
            continue  # nobody was acknowledged
        done = await world.ledger.append([incoming(text, (lane,)) for text in texts])
        at = world.dice.choice(world.processes)
        if at.node is not None and at.thawed.is_set() and not at.dead:
            at.node.delivery.rings.ring(done.tails)


async def disturb(world: World) -> None:
    """One trouble after another, until the calm."""
    until = world.loop.time() + _DISTURBED_S
    while world.loop.time() < until:
        await asyncio.sleep(world.dice.expovariate(0.35))
        await world.dice.choice(_TROUBLES)(world)


async def _freeze(world: World) -> None:
    process, seconds = world.dice.choice(world.processes), world.dice.choice((0.5, 4.0, 11.0, 15.0, 40.0))
    world.tell(f"{process.name} freezes for {seconds:g} s")
    process.thawed.clear()
    world.loop.call_later(seconds, lambda: None if process.dead else process.thawed.set())


async def _crash(world: World) -> None:
    if len(world.running) > 1 or (world.running and world.dice.random() < 0.3):
        world.kill(world.dice.choice(world.running))
        await asyncio.sleep(world.dice.uniform(0, 3))
    if len(world.running) < world.wanted:
        await world.start()


async def _store_loss(world: World) -> None:
    seconds = world.dice.choice((0.2, 2.0, 12.0, 16.0))
    world.tell(f"the store is away for {seconds:g} s")
    world.store_away = True
    await asyncio.sleep(seconds)
    world.store_away = False


async def _deafness(world: World) -> None:
    world.tell("rings are lost")
    world.losing = world.dice.choice((0.5, 1.0))
    await asyncio.sleep(world.dice.uniform(1, 8))
    world.losing = 0.0


async def _change(world: World) -> None:
    identity = world.dice.choice(list(world.destinations))
    old = world.destinations[identity]
    settings = {**old.settings, "address": int(str(old.settings["address"])) + 1}
    world.tell(f"destination {identity} changes")
    world.destinations[identity] = replace(old, settings=settings, enabled=world.dice.random() < 0.8)
    world.board.catalogue += 1
    world.board.bells.catalogue()


async def _person(world: World) -> None:
    lane = world.dice.choice(list(world.lanes))
    row, verb = world.ledger.lanes[lane], world.dice.choice(("pause", "resume", "release", "skip"))
    world.tell(f"{verb} of lane {lane} at {row.head}/{row.tail}")
    _act(world, lane, verb)
    world.board.bells.lane(lane)


def _act(world: World, lane: LaneId, verb: str) -> None:
    row = world.ledger.lanes[lane]
    if verb == "pause":
        row.paused = "ann"
    elif verb == "resume":
        row.paused = None
    elif verb == "release":
        row.release()
    elif row.head < row.tail and (row.held or row.paused or row.attempts):
        row.head += 1
        row.release()
        row.tries = 0
        world.checker.skipped[lane].add(row.head)


_TROUBLES = (_freeze, _freeze, _crash, _crash, _store_loss, _deafness, _change, _person, _person)


async def calm_down(world: World) -> None:
    """Faults stop, and people put right what they stopped; then everything must drain by itself."""
    world.tell("faults stop")
    world.calm, world.store_away, world.losing = True, False, 0.0
    for process in world.running:
        process.thawed.set()
    if not world.running:
        await world.start()
    for identity, destination in world.destinations.items():
        world.destinations[identity] = replace(destination, enabled=True)
    world.board.catalogue += 1
    until = world.loop.time() + _CALM_S
    while world.loop.time() < until and any(row.head < row.tail for row in world.ledger.lanes.values()):
        for lane in world.lanes:
            _act(world, lane, "resume")
            if world.ledger.lanes[lane].held:
                _act(world, lane, "release")
        await asyncio.sleep(5)


async def _run(world: World) -> list[str]:
    for _ in range(world.dice.randint(1, world.wanted)):
        await world.start()
    await asyncio.gather(feed(world), disturb(world))
    await calm_down(world)
    await asyncio.sleep(30)  # answers that nobody waits for any more
    found = world.checker.end()
    for process in world.running:
        world.kill(process)
    for task in (*world.stores, *world.receiving):
        task.cancel()
    return found


def simulate(seed: int, *, nodes: int = 3, without: frozenset[str] = frozenset()) -> tuple[list[str], list[str]]:
    """Run one seed; return the violations, and what happened step by step. The same seed gives the same run."""
    loop = JumpingLoop()
    asyncio.set_event_loop(loop)
    try:
        world = World(seed, loop, nodes=nodes, without=without)
        found = loop.run_until_complete(_run(world))
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        return found, world.log
    finally:
        asyncio.set_event_loop(None)
        loop.close()


if __name__ == "__main__":
    violations, log = simulate(int(sys.argv[1]), without=frozenset(sys.argv[2:]))
    sys.stdout.write("\n".join([*log, *violations, f"{len(violations)} violations"]) + "\n")

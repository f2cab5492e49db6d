"""Three nodes on one PostgreSQL under load: killed, frozen, leaving and joining, while people act on lanes. Nothing is lost, in order, at most once again.

    python -m bench.nodes [--rounds 50] [--seed 1] [--only kill,freeze,leave,verbs]

Senders over HTTP go to another node with the same message when theirs does not answer, as behind a load balancer; one sender over MLLP belongs to each
node. Measured and held beside loss, order and repeats: how soon a node that joins has its share of shards and lanes, how long a lane stands for that, and
how long the lanes of a dead or frozen node wait until another delivers them.
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import uvloop

from bench.events import after, plan_of, without_excuse
from bench.fleet import NODES, running_fleet
from bench.machine import free_port, report, until_told
from bench.people import person
from bench.sinks import Receivers, framed, webhook
from bench.traffic import Poster, Sender, check, repeated, sending
from bench.upheaval import BUSY, ROUNDS, TIMEOUT_S, Bed

SHARE_S, STANDS_S = 15.0, 1.0
_LANES, _PATIENCE_S, _PAUSE_S, _SLOW_PAUSE_S = 60, 3.0, 0.05, 1.0


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
            to = [framed(mllp, TIMEOUT_S) if kind == "framed" else webhook(url, kind, TIMEOUT_S) for kind in (*BUSY, *["well"] * (_LANES - len(BUSY)))]
            async with running_fleet(folder, keys, to) as fleet, person(fleet.key) as somebody:
                bases = [fleet.base(node) for node in range(NODES)]
                senders = [Sender(door, f"K{number:03d}", _PATIENCE_S, _PAUSE_S) for number, door in enumerate(fleet.doors)]
                for number in range(NODES, len(BUSY)):
                    turned = [*bases[number % NODES :], *bases[: number % NODES]]
                    pause_s = _SLOW_PAUSE_S if BUSY[number] == "slow" else _PAUSE_S
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

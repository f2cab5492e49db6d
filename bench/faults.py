"""One hub under load, put through everything that befalls a process: what it acknowledged must arrive, once and in order.

    python -m bench.faults [--rounds 50] [--seed 1] [--lanes 8] [--only kill-hub,kill-both] [--break-checker]

Each round does one thing, at a random moment, to the hub, to its embedded PostgreSQL, or to both; a hub that ends by itself is started again, as its
supervisor would. Senders repeat what was not acknowledged, with the same control id. Receivers, webhooks and MLLP, live in this process
and are never killed; half of them hang, reset, answer garbage or refuse now and then, and a person releases or skips what they held. What comes
again because its receiver did not take it is the receiver's own doing, and counted apart. ``--break-checker`` drops one delivery, swaps
two and doubles one in the log: the run must then fail.
"""

import argparse
import asyncio
import contextlib
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp
import uvloop

from bench.cluster.program import emptied
from bench.events import Event, after, plan_of, without_excuse
from bench.machine import Hub, free_port, percentile, report, seeded, until_told
from bench.people import held, key_of_somebody, person
from bench.sinks import Receivers, framed, webhook
from bench.traffic import Sender, check, repeated, sending, spoil
from bench.trouble import FAULTS, Bed
from carelane.store.place import find_place

FIRST_ACK_S = 3.0
_ON_ITS_WAY_S = 0.1
_BACK_S, _DRAIN_S, _PATIENCE_S, _PAUSE_S = 60.0, 60.0, 5.0, 0.03
_TIMEOUT_S, _HANG_S, _SHARE = 2.0, 3.0, 0.005


async def _round(bed: Bed, what: str, seconds: float) -> None:
    await asyncio.sleep(bed.dice.uniform(0.5, 1.5) * seconds)
    do, repeats = FAULTS[what]
    event = Event(what, repeats)
    bed.seen.append(event)
    bed.sink.crashes += 1
    bed.struck = time.monotonic()
    await do(bed)
    event.came_back = await _back(bed, event, time.monotonic())
    since = bed.struck + _ON_ITS_WAY_S
    event.first_ack_s = round(min((at for sender in bed.senders for at in sender.at if at > since), default=time.monotonic()) - bed.struck, 2)
    bed.sink.crashes += 1
    print(f"{time.strftime('%H:%M:%S')} {len(bed.seen)} {what}: first ACK {event.first_ack_s} s, back {event.came_back}", file=sys.stderr)


async def _back(bed: Bed, event: Event, since: float) -> bool:
    """Wait until every sender is acknowledged again; a hub that ended by itself is started again, and the event counts as its crash."""
    while not all(sender.at and sender.at[-1] > since for sender in bed.senders):
        if time.monotonic() > since + _BACK_S:
            return False
        if bed.process.returncode is not None:
            event.ended_by_itself, event.repeats = True, 1
            await bed.hub.launch()
        await asyncio.sleep(0.02)
    return True


async def _attend(bed: Bed) -> None:
    """Somebody looks after the lanes: one that was held is released, or its head is given up."""
    base = f"http://127.0.0.1:{bed.hub.port}"
    while True:
        await asyncio.sleep(0.5)
        with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
            lanes = await bed.person.lanes(base)
            bed.held_otherwise.update(lane["held"] for lane in lanes if lane["held"] and "answered AE" not in lane["held"])
            for lane in held(lanes):
                if lane in bed.sink.held and bed.dice.random() < 0.3:
                    await bed.person.skip(base, lane, bed.sink.held[lane])
                else:
                    await bed.person.act(base, lane, "release")


def verdict(bed: Bed, *, broken: bool) -> dict[str, Any]:
    """Compare what was acknowledged with what arrived, and every promise with what was seen."""
    if broken:
        spoil(bed.sink.log)
    found, again = check(bed.senders, bed.sink.log, bed.person.skipped), repeated(bed.sink.log)
    unexplained, killed = without_excuse(again, bed.seen), [event.first_ack_s for event in bed.seen if event.what in ("kill-hub", "kill-both")]
    promises = {
        "nothing_lost": not found["lost"],
        "order_kept": not found["order_errors"],
        "repeats_within_bounds": not unexplained,
        "acknowledges_soon_after_a_kill": max(killed, default=0) <= FIRST_ACK_S,
        "came_back": all(event.came_back for event in bed.seen),
        "held_for_its_receiver_only": not bed.held_otherwise,
    }
    return {"rounds": len(bed.seen), "faults": Counter(event.what for event in bed.seen), "acknowledged": sum(len(one.acknowledged) for one in bed.senders),
            "delivered": len(bed.sink.log), "resent_by_senders": sum(one.resent for one in bed.senders), "lost": found["lost"],
            "order_errors": found["order_errors"], "repeats": len(again), "repeats_after": after(again, bed.seen),
            "repeats_without_excuse": [one._asdict() for one in unexplained], "receivers_did": bed.sink.did, "person_did": bed.person.did,
            "skipped": sum(map(len, bed.person.skipped.values())), "hub_ended_by_itself": [event.what for event in bed.seen if event.ended_by_itself],
            "first_ack_after_kill_s": {"median": percentile(killed, 0.5), "most": max(killed, default=0)}, "slowest": _slowest(bed.seen),
            "held_otherwise": bed.held_otherwise, "held": promises, "checker_broken_on_purpose": broken, "passed": all(promises.values())}  # fmt: skip


def _slowest(seen: Sequence[Event]) -> dict[str, float]:
    return {what: max(event.first_ack_s for event in seen if event.what == what) for what in sorted({event.what for event in seen})}


async def _run(bed: Bed, plan: Sequence[str], seconds: float) -> None:
    """Everything in turn under load; then all must drain."""
    attending = asyncio.create_task(_attend(bed))
    try:
        async with sending(bed.senders):
            for what in plan:
                await _round(bed, what, seconds)
            await asyncio.sleep(seconds)
        bed.sink.calm()
        given_up = sum(map(len, bed.person.skipped.values()))
        await bed.sink.drained(sum(len(one.acknowledged) for one in bed.senders) - given_up, _DRAIN_S)
    finally:
        attending.cancel()


async def _main(given: argparse.Namespace) -> int:
    dice, sink = random.Random(given.seed), Receivers(given.seed, _SHARE, _HANG_S)
    with tempfile.TemporaryDirectory(prefix="carelane-faults-") as folder:
        data, doors, (moody, good) = Path(folder), [free_port() for _ in range(given.lanes)], (free_port(), free_port())
        data.chmod(0o755)
        async with sink.listening(free_port(), {moody: True, good: False}) as url:
            to = [webhook(url, "well"), webhook(url, "moody", _TIMEOUT_S), framed(moody, _TIMEOUT_S), framed(good)]
            async with seeded(data, doors, to) as store:
                key = await key_of_somebody(store)
            senders = [Sender(door, f"K{number:03d}", _PATIENCE_S, _PAUSE_S) for number, door in enumerate(doors)]
            sink.lanes = {sender.tag: str(number) for number, sender in enumerate(senders, start=1)}
            hub, place = Hub(data, free_port(), log=given.log), find_place(data)
            try:
                await hub.start(doors[-1])
                async with person(key) as somebody:
                    bed = Bed(hub, place, sink, senders, somebody, dice)
                    await _run(bed, plan_of(given.rounds, given.only, dice), given.seconds)
            finally:
                await hub.stop()
                await emptied(place.cluster)
    figures = verdict(bed, broken=given.break_checker)
    report("faults", {"seed": given.seed, "lanes": given.lanes, **figures})
    return 0 if figures["passed"] != given.break_checker else 1


def _faults(text: str) -> list[str]:
    chosen = text.split(",")
    if wrong := set(chosen) - set(FAULTS):
        raise argparse.ArgumentTypeError(f"{', '.join(sorted(wrong))}: choose among {', '.join(FAULTS)}")
    return chosen


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1, help="of what happens in which round, and of what receivers do with which delivery")
    parser.add_argument("--lanes", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=3, help="mean seconds of load before each event")
    parser.add_argument("--only", type=_faults, default=list(FAULTS), help=f"some of {', '.join(FAULTS)}")
    parser.add_argument("--log", type=Path, help="where the hub's log goes")
    parser.add_argument("--break-checker", action="store_true")
    sys.exit(uvloop.run(until_told(_main(parser.parse_args()))))

"""What a harness did to a hub, and which deliveries that came again are explained by it."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from bench.traffic import Repeat


@dataclass
class Event:
    """What was done, how often each lane may repeat its head for it, and what was seen."""

    what: str
    repeats: int
    came_back: bool = False
    ended_by_itself: bool = False
    first_ack_s: float = 0.0


def without_excuse(found: Sequence[Repeat], seen: Sequence[Event]) -> list[Repeat]:
    """Return the repeats that no event explains: it must have ended after the first delivery and begun before the second, and each explains so many."""
    used: Counter[tuple[str, int]] = Counter()
    left = []
    for one in found:
        moments = [number for number, event in enumerate(seen) if one.first <= 2 * number + 1 <= one.again and used[one.lane, number] < event.repeats]
        if moments:
            used[one.lane, moments[0]] += 1
        else:
            left.append(one)
    return left


def after(found: Sequence[Repeat], seen: Sequence[Event]) -> Counter[str]:
    """Return how many deliveries came again, by the last event before it."""
    return Counter(seen[(one.again - 1) // 2].what for one in found if one.again)


def plan_of(rounds: int, only: Sequence[str], dice: random.Random) -> list[str]:
    """Return what each round does: everything in turn, shuffled anew each time through."""
    plan: list[str] = []
    while len(plan) < rounds:
        plan += dice.sample(list(only), len(only))
    return plan[:rounds]

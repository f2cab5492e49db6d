"""Makes room for another node: shards over our share are given back one by one, as what is being sent on each has ended."""

from collections.abc import Iterable

from carelane.exchange.lanes import Lanes
from carelane.exchange.ports import Leases
from carelane.exchange.shards import Shards
from carelane.kit.clock import Clock

_LOOK_S = 0.02


async def hand_over(surplus: Iterable[int], shards: Shards, lanes: Lanes, leases: Leases, clock: Clock) -> None:
    """Begin nothing new on these shards, and give each back when it is still. Raises ``StoreLost``: then the next beat tells what is ours.

    A lane stands for as long as the send that was under way to its destination, and until the other node has taken its shard.
    """
    left = set(surplus)
    try:
        lanes.barred = frozenset(left)
        while left:
            busy = {lane.shard for lane in lanes.of(left)}
            still = sorted(left - busy)
            if still:
                left.difference_update(still)
                async with shards.changing:
                    shards.forget(still)
                    lanes.drop(still)
                    await leases.give_back(still)
            else:
                await clock.sleep(_LOOK_S)
    finally:
        lanes.barred = frozenset()
        lanes.wake_all()

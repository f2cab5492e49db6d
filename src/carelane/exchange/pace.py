"""Deliveries keep pace with arrivals: between two commits of arrivals the event loop is left to deliveries for a while, where they need it.

Senders who wait for their acknowledgements are slowed down as little as that takes; without it a busy intake starves the lanes it fills.
"""

from collections.abc import Callable
from dataclasses import dataclass

from carelane.kit.clock import Clock

SHARE = 0.8
"""Of what just arrived, so much is to be delivered before more is taken ..."""
LONGEST_S = 0.04
"""... unless that takes longer than this."""
_LOOK_S = 0.001
_BUSY_S = 0.0025
"""When a sleep of a thousandth ends within this time, nobody waits for the processor."""


@dataclass
class Pace:
    """``working`` says how many lanes are at work; ``settled`` counts deliveries."""

    clock: Clock
    working: Callable[[], int]
    settled: int = 0

    async def give_way(self, arrived: int) -> None:
        """Called by intake after it stored so many messages."""
        mark, began = self.settled, self.clock.monotonic()
        while self.working() and self.settled - mark < arrived * SHARE:
            before = self.clock.monotonic()
            if before - began > LONGEST_S:
                return
            await self.clock.sleep(_LOOK_S)
            if self.clock.monotonic() - before < _BUSY_S:
                return

"""Deliveries keep pace with arrivals: where intake would outrun lanes that deliver quickly, it waits a moment between two commits.

Senders who wait for their acknowledgements are slowed down as little as that takes; without it a busy intake starves the lanes it fills. Lanes that
fail, or whose receiver is slow, count for nothing here: nobody waits for them.
"""

from dataclasses import dataclass

from carelane.kit.clock import Clock

SHARE = 0.8
"""Of what just arrived on quick lanes, so much is to be delivered before more is taken ..."""
SLACK = 16
"""... but for so many: while few come, arriving and delivering overlap undisturbed ..."""
LONGEST_S = 0.05
"""... unless that takes longer than this."""
QUICK_MS = 50
"""A lane whose last delivery took no longer is quick."""
_LOOK_S = 0.001


@dataclass
class Pace:
    """Counts what came to quick lanes and what they delivered."""

    clock: Clock
    arrived: int = 0
    settled: int = 0

    async def give_way(self, _stored: int) -> None:
        """Called by intake between two commits."""
        wanted, self.arrived = self.settled + int(self.arrived * SHARE) - SLACK, 0
        until = self.clock.monotonic() + LONGEST_S
        while self.settled < wanted and self.clock.monotonic() < until:
            await self.clock.sleep(_LOOK_S)

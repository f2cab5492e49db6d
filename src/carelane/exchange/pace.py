"""Deliveries keep pace with arrivals: where intake would outrun lanes that deliver quickly, it waits a moment between two commits.

Senders who wait for their acknowledgements are slowed down as little as that takes; without it a busy intake starves the lanes it fills. Lanes that
fail, or whose receiver is slow, count for nothing here: nobody waits for them.
"""

from dataclasses import dataclass

from carelane.kit.clock import Clock

SHARE = 0.8
"""Of what arrives on quick lanes, so much is to be delivered before more is taken ..."""
SLACK = 16
"""... but for so many: while few come, arriving and delivering overlap undisturbed ..."""
LONGEST_S = 0.05
"""... unless that takes longer than this between two commits ..."""
PATIENCE_S = 0.005
"""... or nothing was delivered for so long: whoever waits on a receiver gains nothing by it."""
QUICK_MS = 500
"""A lane whose last delivery took no longer is quick: a busy hub takes part of that itself."""
_LOOK_S = 0.001


@dataclass
class Pace:
    """What quick lanes owe their senders: grows with every arrival by less than a whole one, so that whoever keeps up owes nothing."""

    clock: Clock
    owed: float = 0.0

    def came(self, many: int) -> None:
        """So many were queued on a quick lane."""
        self.owed += many * SHARE

    def went(self, many: int) -> None:
        """So many were delivered by one."""
        self.owed = max(0.0, self.owed - many)

    async def give_way(self, _stored: int) -> None:
        """Called by intake between two commits."""
        now = self.clock.monotonic()
        until, moved, before = now + LONGEST_S, now, self.owed
        while self.owed > SLACK:
            if now >= until or now - moved >= PATIENCE_S:
                self.owed = 0.0  # waited for once, and not again
                return
            await self.clock.sleep(_LOOK_S)
            now = self.clock.monotonic()
            if self.owed < before:
                moved, before = now, self.owed

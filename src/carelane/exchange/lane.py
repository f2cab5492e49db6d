"""A lane in memory: its cursors as the store had them last, and what is going on with it."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from carelane.domain.delivery import Entry, LaneRow
from carelane.domain.ids import LaneId
from carelane.exchange.attempt import Prepared

MOST_HANDED, MOST_HANDED_BYTES = 4, 64 * 1024


@dataclass(slots=True, eq=False)
class Lane:
    """Lives as long as this node holds its shard with this epoch; then it is dead, and another object takes its place."""

    id: LaneId
    shard: int
    epoch: int
    head: int
    tail: int
    attempts: int
    tries: int
    held: bool
    paused: bool
    failing_since: datetime | None
    not_before: float
    """Monotonic; the head is not tried earlier."""
    busy: bool = False
    """Waiting at its gate, or at work: whoever is at work alone changes the cursors."""
    stale: bool = False
    """Must be read from the store before anything more is sent."""
    dead: bool = False
    """Not ours any more: nothing is sent, and its object is not used again."""
    alarm: float | None = None
    """The one moment it will be woken at."""
    quick: bool = False
    """Whether its last delivery went through in a moment."""
    window: deque[Entry] | None = None
    ahead: Prepared | None = None
    """The next delivery, converted while the one before it was under way."""

    @property
    def at(self) -> tuple[int, int]:
        """How far it has come: grows with everything that is settled."""
        return self.head, self.tries

    @property
    def idle(self) -> bool:
        """Nothing waits, or nothing may be sent."""
        return self.busy or self.stale or self.dead or self.held or self.paused or self.head >= self.tail

    @property
    def keeps_up(self) -> bool:
        """What arrives can go out at once, or nearly: it is worth handing over."""
        return self.tail - self.head < MOST_HANDED and not (self.stale or self.dead or self.held or self.paused or self.attempts)

    def hand(self, entries: Sequence[Entry]) -> None:
        """Take what has just been stored, so that it need not be read back; only what follows on."""
        window = self.window if self.window is not None else deque[Entry]()
        for entry in entries:
            follows = entry.seq == (window[-1].seq if window else self.head) + 1
            if not follows or entry.seq - self.head > MOST_HANDED or len(entry.body) > MOST_HANDED_BYTES:
                return
            window.append(entry)
            self.window = window

    def take(self, row: LaneRow, not_before: float) -> None:
        """Become what the store says, which is not older than what is known here."""
        self.head, self.tail, self.attempts, self.tries = row.head_seq, max(self.tail, row.tail_seq), row.attempts, row.tries
        self.held, self.paused, self.failing_since, self.not_before = row.held is not None, row.paused is not None, row.failing_since, not_before
        self.stale, self.window, self.ahead = False, None, None

"""Watches what reaches receivers, lane by lane, and says what must never be: something lost, out of order, at once, or repeated without a cause."""

from collections import defaultdict
from dataclasses import dataclass, field

from carelane.domain.ids import LaneId
from carelane.testing.ledger import FakeLedger


@dataclass
class Arrival:
    """One delivery that reached a receiver. ``over_at`` is when nobody need wait for its answer any more."""

    seq: int
    epoch: int
    over_at: float
    answered: bool = False


@dataclass
class Checker:
    """Compares each arrival with the ledger as it is at that moment."""

    ledger: FakeLedger
    arrivals: dict[LaneId, list[Arrival]] = field(default_factory=lambda: defaultdict(list))
    delivered: dict[LaneId, list[int]] = field(default_factory=lambda: defaultdict(list))
    taken: dict[LaneId, set[int]] = field(default_factory=lambda: defaultdict(set))
    """What receivers took, however late they said so: a node that was frozen may still read that answer."""
    skipped: dict[LaneId, set[int]] = field(default_factory=lambda: defaultdict(set))
    violations: list[str] = field(default_factory=list)

    def arrived(self, lane: LaneId, seq: int, now: float, over_at: float) -> Arrival:
        """Something reached the receiver of a lane; its sender waits for the answer until ``over_at``."""
        row, before = self.ledger.lanes[lane], self.arrivals[lane]
        if row.head < seq - 1:
            self._tell(f"lane {lane}: {seq} arrived while {row.head + 1} was not settled")
        for other in before[-3:]:
            if not other.answered and now < other.over_at:
                self._tell(f"lane {lane}: {seq} arrived while the answer to {other.seq} was still under way")
        done = Arrival(seq, row.epoch, over_at)
        before.append(done)
        return done

    def answered(self, lane: LaneId, arrival: Arrival, now: float, *, well: bool) -> None:
        """Its receiver answered; an answer that comes too late says nothing of the order."""
        arrival.answered = True
        if well:
            self.taken[lane].add(arrival.seq)
        if well and now <= arrival.over_at and arrival.seq not in self.delivered[lane]:
            self.delivered[lane].append(arrival.seq)

    def settled(self, lane: LaneId, node: str, owner: str | None) -> None:
        """A node's settlement was recorded."""
        if node != owner:
            self._tell(f"lane {lane}: {node} settled, but {owner} owns it")

    def end(self) -> list[str]:
        """Everything should have drained: return what should not have been."""
        for lane, row in self.ledger.lanes.items():
            skipped, delivered = self.skipped[lane], self.delivered[lane]
            lost = set(range(1, row.tail + 1)) - self.taken[lane] - skipped
            if row.head < row.tail:
                self._tell(f"lane {lane}: stuck at {row.head} of {row.tail} (held {row.held}, paused {row.paused})")
            elif lost:
                self._tell(f"lane {lane}: lost {sorted(lost)}")
            if delivered != sorted(delivered):
                self._tell(f"lane {lane}: delivered out of order")
            self._count_repeats(lane)
        return self.violations

    def _count_repeats(self, lane: LaneId) -> None:
        """An arrival that no recorded attempt explains needs a change of owner that does; of one that people skipped meanwhile nothing is recorded."""
        skipped = self.skipped[lane]
        recorded = sum(of == lane and tried.seq not in skipped for of, tried in self.ledger.attempts)
        unexplained = sum(one.seq not in skipped for one in self.arrivals[lane]) - recorded
        changes = self.ledger.lanes[lane].epoch - 1
        if unexplained > changes:
            self._tell(f"lane {lane}: {unexplained} repeats in {changes} changes of owner")

    def _tell(self, violation: str) -> None:
        self.violations.append(violation)

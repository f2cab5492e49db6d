"""Which lanes are this node's to send, and until when: the one answer that everyone asks, each time anew."""

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from carelane.domain.delivery import Holding, Shares, Standing
from carelane.domain.endpoint import SHARDS
from carelane.kit.clock import Clock

LEASE_S, BEAT_S = 10.0, 3.0
MARGIN_S = 2.0
"""We count a lease as over this much earlier than the database does: its clock may jump by as much when another server takes over."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a beat brought: shards that are new to us, and those that are ours no more."""

    gained: frozenset[int]
    lost: frozenset[int]
    lapsed: bool
    """Whether the lease had run out by our own clock: what we kept stood still meanwhile."""
    refused: frozenset[int] = frozenset()
    """Shards the store still gives us though we gave them back: that call's outcome was unknown, it must be made again."""


class Shards:
    """Keeps what the store said we hold, and for how long that may be believed."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._held: dict[int, Holding] = {}
        self._cut: dict[int, float] = {}
        self._forgotten: dict[int, int] = {}
        self._until = float("-inf")
        self.share = Shares()
        self.changing = asyncio.Lock()
        """Held by whoever asks the store what is ours, or gives something back: no answer may be older than what was given away."""

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> Iterator[int]:
        return iter(sorted(self._held))

    @property
    def live(self) -> bool:
        """Whether our lease holds at this moment, by our own clock."""
        return self._clock.monotonic() < self._until

    def ours(self, shard: int, epoch: int) -> bool:
        """Say whether a lane of this shard, read with this epoch, may be sent now."""
        held = self._held.get(shard)
        return held is not None and held.epoch == epoch and self.live

    def epoch(self, shard: int) -> int | None:
        """Return the epoch we hold a shard with, whether or not the lease holds at this moment."""
        held = self._held.get(shard)
        return held.epoch if held else None

    def quiet_until(self, shard: int, longest_s: float) -> float:
        """Return the moment (monotonic) before which a send of a former owner, which takes up to ``longest_s``, may still be under way."""
        cut = self._cut.get(shard)
        return float("-inf") if cut is None else cut + longest_s

    def told(self, standing: Standing, asked_at: float) -> Change:
        """Believe what the store said. ``asked_at`` (monotonic) is when it was asked: the lease runs from no later than that."""
        lost = {shard for shard, held in self._held.items() if shard not in standing.held or standing.held[shard].epoch != held.epoch}
        refused = {shard for shard, held in standing.held.items() if self._forgotten.get(shard) == held.epoch}
        self._forgotten = {shard: self._forgotten[shard] for shard in refused}
        gained = {shard for shard, held in standing.held.items() if shard not in refused and self.epoch(shard) != held.epoch}
        now, lapsed = self._clock.monotonic(), not self.live
        self._held = {shard: held for shard, held in standing.held.items() if shard not in refused}
        for shard in lost:
            self._cut.pop(shard, None)
        for shard in gained:
            cut_s = self._held[shard].cut_s
            if cut_s is not None:
                self._cut[shard] = now - cut_s
        self._until = max(self._until, asked_at + LEASE_S - MARGIN_S)
        last = standing.live - 1
        self.share = Shares(_part(standing.used, standing.live, standing.rank), _part(SHARDS - standing.used, standing.live, last - standing.rank))
        return Change(frozenset(gained), frozenset(lost), lapsed, frozenset(refused))

    def forget(self, shards: Iterable[int]) -> None:
        """These are about to be given back: ours no more from this moment, and never again with this epoch, whatever becomes of the call."""
        for shard in shards:
            held = self._held.pop(shard, None)
            self._cut.pop(shard, None)
            if held is not None:
                self._forgotten[shard] = held.epoch

    def room(self, free: Shares) -> Shares:
        """Return how many of the free shards our share has room for."""
        used = len(self._kind(used=True))
        return Shares(min(free.used, max(0, self.share.used - used)), min(free.empty, max(0, self.share.empty - (len(self) - used))))

    def surplus(self) -> list[int]:
        """Return what is over our share of either kind, spread evenly over what we hold."""
        return _over(self._kind(used=True), self.share.used) + _over(self._kind(used=False), self.share.empty)

    def _kind(self, *, used: bool) -> list[int]:
        return sorted(shard for shard, held in self._held.items() if held.used is used)


def _part(count: int, live: int, rank: int) -> int:
    return count // live + (rank < count % live)


def _over(held: list[int], share: int) -> list[int]:
    most = len(held) - share
    return [held[at * len(held) // most] for at in range(most)] if most > 0 else []

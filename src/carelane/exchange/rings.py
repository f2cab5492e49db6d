"""Wakes lanes when messages were queued: ours at once, another node's by the bell, each shard at most every 50 ms."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from carelane.domain.delivery import Entry
from carelane.domain.errors import StoreLost
from carelane.domain.ids import LaneId
from carelane.exchange.lanes import Lanes
from carelane.exchange.ports import Bell, Catalogue
from carelane.exchange.shards import Shards
from carelane.kit.clock import Clock

EVERY_S = 0.05


class Rings:
    """Best effort: what is lost here the poll finds."""

    def __init__(self, lanes: Lanes, shards: Shards, catalogue: Catalogue, bell: Bell, clock: Clock) -> None:
        self._lanes = lanes
        self._shards = shards
        self._catalogue = catalogue
        self._bell = bell
        self._clock = clock
        self._due: dict[int, dict[LaneId, int]] = {}
        self._rung: dict[int, float] = {}
        self._task: asyncio.Task[None] | None = None

    def ring(self, tails: Mapping[LaneId, int], fresh: Callable[[LaneId], Sequence[Entry]] | None = None) -> None:
        """Messages were stored here; some are at hand still."""
        for lane, shard in self._not_here(tails, fresh):
            self._due.setdefault(shard, {})[lane] = tails[lane]
        if self._due and self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._tell())

    def heard(self, tails: Mapping[LaneId, int]) -> None:
        """Another node stored messages."""
        self._not_here(tails)

    def _not_here(self, tails: Mapping[LaneId, int], fresh: Callable[[LaneId], Sequence[Entry]] | None = None) -> list[tuple[LaneId, int]]:
        """Wake what is ours; a lane of a shard of ours that is not known yet is read. Return the others, each with its shard."""
        routes = self._catalogue.snapshot.lanes
        unknown = [(lane, routes[lane].shard) for lane in self._lanes.ring(tails, fresh) if lane in routes]
        self._lanes.doubt(lane for lane, shard in unknown if self._shards.epoch(shard) is not None)
        return [(lane, shard) for lane, shard in unknown if self._shards.epoch(shard) is None]

    def close(self) -> None:
        """Ring no more."""
        if self._task is not None:
            self._task.cancel()

    async def _tell(self) -> None:
        """The first ring of a shard goes out at once, those that follow together."""
        try:
            while self._due:
                now = self._clock.monotonic()
                ready = [shard for shard in self._due if now - self._rung.get(shard, float("-inf")) >= EVERY_S]
                tails = {lane: tail for shard in ready for lane, tail in self._due.pop(shard).items()}
                self._rung = {shard: at for shard, at in self._rung.items() if now - at < EVERY_S} | dict.fromkeys(ready, now)
                if tails:
                    await self._bell.ring(tails)
                if self._due:
                    await self._clock.sleep(EVERY_S / 2)
        except StoreLost:
            self._due.clear()  # nobody is listening either
        finally:
            self._task = None

"""A bell in memory, which can be made deaf for a while or lose what it is told."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from carelane.domain.ids import LaneId


@dataclass
class FakeBells:
    """The line between the bells of all nodes. ``loses`` decides, ring by ring, whether it is lost."""

    bells: "list[FakeBell]" = field(default_factory=list)
    loses: Callable[[], bool] = lambda: False

    def heard(self) -> "list[FakeBell]":
        """Return the bells that ring this time."""
        return [bell for bell in self.bells if not bell.deaf and not self.loses()]

    def catalogue(self) -> None:
        """The catalogue changed."""
        for bell in self.heard():
            bell.catalogue.set()

    def shards(self) -> None:
        """A node came, went, or gave something back."""
        for bell in self.heard():
            bell.shards.set()

    def lane(self, lane: LaneId) -> None:
        """Somebody acted on a lane."""
        for bell in self.heard():
            bell.lanes.put_nowait(lane)


@dataclass
class FakeBell:
    """One node's bell."""

    line: FakeBells = field(default_factory=FakeBells)
    deaf: bool = True
    catalogue: asyncio.Event = field(default_factory=asyncio.Event)
    shards: asyncio.Event = field(default_factory=asyncio.Event)
    lanes: "asyncio.Queue[LaneId]" = field(default_factory=asyncio.Queue)
    tails: "asyncio.Queue[tuple[LaneId, int]]" = field(default_factory=asyncio.Queue)

    async def listen(self) -> None:
        """Connect."""
        if self not in self.line.bells:
            self.line.bells.append(self)
        self.deaf = False
        self.catalogue.set()

    async def check(self) -> None:
        """Nothing breaks unnoticed here but what a test breaks."""

    async def ring(self, tails: Mapping[LaneId, int]) -> None:
        """Tell every node."""
        for bell in self.line.heard():
            for tail in tails.items():
                bell.tails.put_nowait(tail)

    async def close(self) -> None:
        """Disconnect."""
        self.deaf = True

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = object.__hash__

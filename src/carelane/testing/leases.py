"""Leases in memory: the same behaviour as PostgreSQL's, kept honest by the same suite."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from carelane.domain.delivery import Holding, LaneRow, Shares, Standing
from carelane.domain.endpoint import SHARDS
from carelane.domain.ids import LaneId
from carelane.kit.clock import Clock
from carelane.testing.bell import FakeBells
from carelane.testing.ledger import FakeLedger


@dataclass
class _Shard:
    owner: str | None = None
    epoch: int = 0
    cut_at: float | None = None


@dataclass
class LeaseBoard:
    """What all nodes see: who lives until when, and who holds what. ``clock`` is the database's."""

    ledger: FakeLedger
    clock: Clock
    bells: FakeBells = field(default_factory=FakeBells)
    nodes: dict[str, float] = field(default_factory=dict)
    shards: dict[int, _Shard] = field(default_factory=lambda: {number: _Shard() for number in range(SHARDS)})
    catalogue: int = 0

    @property
    def used(self) -> set[int]:
        """The shards with lanes."""
        return {lane.shard for lane in self.ledger.lanes.values()}

    def alive(self, name: str | None) -> bool:
        """Whether a node's lease holds."""
        return name is not None and self.nodes.get(name, float("-inf")) > self.clock.monotonic()


class FakeLeases:
    """One node's view of the board."""

    def __init__(self, board: LeaseBoard, node: str, lease_s: float = 10.0) -> None:
        self._board = board
        self._node = node
        self._lease_s = lease_s

    async def renew(self) -> Standing:
        """Live on."""
        board, now = self._board, self._board.clock.monotonic()
        joined = self._node not in board.nodes
        board.nodes[self._node] = now + self._lease_s
        used = board.used
        held = {n: Holding(s.epoch, None if s.cut_at is None else now - s.cut_at, n in used) for n, s in board.shards.items() if s.owner == self._node}
        live = sorted(name for name in board.nodes if board.alive(name))
        if joined:
            board.bells.shards()
        free = [number in used for number, shard in board.shards.items() if not board.alive(shard.owner)]
        return Standing(held, len(live), live.index(self._node), Shares(sum(free), len(free) - sum(free)), len(used), board.catalogue)

    async def take(self, most: Shares, *, alone: bool) -> int:
        """Take what no live node holds."""
        board, taken, used = self._board, Counter[bool](), self._board.used
        room = {True: most.used, False: most.empty}
        if alone:
            board.nodes = {name: until for name, until in board.nodes.items() if name == self._node}
        for number, shard in board.shards.items():
            if taken[number in used] == room[number in used] or shard.owner == self._node or board.alive(shard.owner):
                continue
            if alone:
                shard.cut_at = None
            elif shard.owner is not None:
                shard.cut_at = board.nodes.get(shard.owner, board.clock.monotonic())
            taken[number in used] += 1
            shard.owner, shard.epoch = self._node, shard.epoch + 1
            for lane in board.ledger.lanes.values():
                lane.epoch = shard.epoch if lane.shard == number else lane.epoch
        return taken.total()

    async def give_back(self, shards: Sequence[int]) -> None:
        """Let others have these."""
        for number in shards:
            if self._board.shards[number].owner == self._node:
                self._board.shards[number].owner = None
        self._board.bells.shards()

    async def leave(self) -> None:
        """Give everything back."""
        await self.give_back(list(self._board.shards))
        self._board.nodes.pop(self._node, None)

    async def lanes(self, ids: Sequence[LaneId]) -> list[LaneRow]:
        """Read lanes."""
        return [row for row in self._board.ledger.rows() if row.id in ids]

    async def lanes_of(self, shards: Sequence[int]) -> list[LaneRow]:
        """Read the lanes of shards."""
        return [row for row in self._board.ledger.rows() if row.shard in shards]

    async def stirred(self, shards: Sequence[int]) -> list[LaneRow]:
        """Read what holds something or stands."""
        return [row for row in await self.lanes_of(shards) if row.pending or row.held or row.paused]

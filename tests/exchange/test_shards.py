"""Who gets which shards: everybody the same part, of those with lanes as of the empty ones."""

from collections import Counter

from carelane.domain.delivery import EVERY, Shares
from carelane.domain.endpoint import SHARDS
from carelane.exchange.node import Node, Shelf
from carelane.exchange.shards import Shards
from carelane.testing.bell import FakeBell
from carelane.testing.clock import FakeClock
from carelane.testing.leases import FakeLeases, LeaseBoard
from carelane.testing.ledger import FakeLane, FakeLedger
from carelane.testing.simulated import Nothing
from tests.exchange.world import World


class Several:
    """Nodes that share the shards of one board, without anything to send."""

    def __init__(self, lanes: int) -> None:
        self.clock = FakeClock()
        self.ledger = FakeLedger({number: FakeLane(shard=number, epoch=0) for number in range(1, lanes + 1)})
        self.board = LeaseBoard(self.ledger, self.clock)
        self.nodes: dict[str, tuple[FakeLeases, Shards]] = {}

    async def beats(self, *names: str) -> None:
        """Let these nodes renew, give back and take, until they have what is theirs."""
        for name in names * 4:
            leases, shards = self.nodes.setdefault(name, (FakeLeases(self.board, name), Shards(self.clock)))
            shards.told(standing := await leases.renew(), self.clock.monotonic())
            await leases.take(shards.room(standing.free), alone=False)
            shards.told(await leases.renew(), self.clock.monotonic())
            surplus = shards.surplus()
            shards.forget(surplus)
            await leases.give_back(surplus)

    def owners(self) -> tuple[list[int], list[int]]:
        """Return how many shards with lanes each node has, and how many shards in all, fewest first."""
        lanes = Counter(self.board.shards[lane.shard].owner for lane in self.ledger.lanes.values())
        return sorted(lanes.values()), sorted(Counter(shard.owner for shard in self.board.shards.values()).values())


async def test_of_a_dead_node_each_survivor_takes_its_part_of_the_lanes():
    several = Several(lanes=30)
    await several.beats("one", "two", "three")
    several.clock.move(10.1)
    await several.beats("one", "two")
    assert ([15, 15], [512, 512]) == several.owners()


async def test_a_node_that_joins_gets_its_part_of_the_lanes_although_they_lie_close_together():
    several = Several(lanes=30)
    await several.beats("one", "two")
    await several.beats("one", "two", "three")
    assert ([10, 10, 10], [341, 341, 342]) == several.owners()


async def test_lanes_that_are_new_are_shared_out_too():
    several = Several(lanes=0)
    await several.beats("one", "two", "three")
    several.ledger.lanes.update({number: FakeLane(shard=number * 3, epoch=0) for number in range(1, 31)})
    await several.beats("one", "two", "three")
    assert [10, 10, 10] == several.owners()[0]


async def test_there_is_room_for_no_more_than_the_share_of_each_kind():
    shards, board = Shards(FakeClock()), Several(lanes=31).board
    await FakeLeases(board, "other").renew()
    shards.told(await FakeLeases(board, "self").renew(), 0.0)
    assert Shares(15, 497) == shards.room(EVERY)


async def test_a_node_that_must_be_alone_takes_everything_at_once_though_the_lease_of_the_one_before_holds():
    world = World(2)
    dead = FakeLeases(world.board, "dead")
    await dead.renew()
    await dead.take(EVERY, alone=False)
    node = Node(world.leases, world.delivery, Nothing(), Nothing(), FakeBell(world.board.bells), Shelf(), world.clock, snapshot, no, fine, (), lambda *_: None)
    await node.start()
    held = len(world.delivery.shards)
    await node.stop(0)
    assert SHARDS == held


async def snapshot():
    return Shelf().snapshot


async def no():
    return False


async def fine():
    return None

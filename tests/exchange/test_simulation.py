"""Two and three nodes by the seed: nothing lost, in order, no repeat without a change of owner, everything drains; and the checker can see."""

import pytest

from carelane.domain.ids import LaneId
from carelane.testing.checker import Checker
from carelane.testing.ledger import FakeLane, FakeLedger
from carelane.testing.simulation import simulate

SEEDS = range(200)


@pytest.mark.parametrize("first", SEEDS[::20])
def test_whatever_happens_order_holds_and_nothing_is_lost(first):
    assert {} == {seed: found for seed in range(first, first + 20) if (found := simulate(seed, nodes=2 + seed % 2)[0])}


@pytest.mark.parametrize("mechanism", ["fence", "poll", "quiet", "last look"])
def test_a_mechanism_taken_out_is_noticed(mechanism):
    assert any(simulate(seed, nodes=2 + seed % 2, without=frozenset({mechanism}))[0] for seed in SEEDS)


def test_the_same_seed_gives_the_same_run():
    assert simulate(7) == simulate(7)


def test_what_people_skipped_while_it_was_under_way_counts_as_no_repeat():
    ledger = FakeLedger({LaneId(1): FakeLane(tail=1)})
    checker = Checker(ledger)
    checker.arrived(LaneId(1), 1, now=0, over_at=5)
    ledger.lanes[LaneId(1)].head = 1
    checker.skipped[LaneId(1)].add(1)
    assert [] == checker.end()


def test_what_comes_twice_under_one_owner_is_a_repeat():
    ledger = FakeLedger({LaneId(1): FakeLane(tail=1)})
    checker = Checker(ledger)
    checker.answered(LaneId(1), checker.arrived(LaneId(1), 1, now=0, over_at=5), now=1, well=True)
    ledger.lanes[LaneId(1)].head = 1
    assert ["lane 1: 1 repeats in 0 changes of owner"] == checker.end()

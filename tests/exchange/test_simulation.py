"""Two and three nodes by the seed: nothing lost, in order, no repeat without a change of owner, everything drains; and the checker can see."""

import pytest

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

import pytest

from carelane.domain.errors import Conflict
from carelane.domain.states import (
    CONNECTION_MOVES,
    SUBSCRIPTION_MOVES,
    ConnectionState,
    SubscriptionState,
    next_connection_state,
    next_subscription_state,
)


def test_a_connection_is_requested_accepted_connected_suspended_resumed_and_ended():
    state = "requested"
    for verb in ("accept", "connect", "suspend", "resume", "end"):
        state = next_connection_state(state, verb)
    assert ConnectionState.ENDED == state


def test_every_connection_state_can_be_reached():
    assert set(ConnectionState) == {ConnectionState.REQUESTED, *CONNECTION_MOVES.values()}


def test_every_subscription_state_can_be_reached():
    assert set(SubscriptionState) == {SubscriptionState.PROPOSED, *SUBSCRIPTION_MOVES.values()}


@pytest.mark.parametrize("state", ["ended", "declined", "withdrawn"])
def test_a_final_state_allows_nothing_and_says_so(state):
    with pytest.raises(Conflict, match="that is final"):
        next_connection_state(state, "resume")


def test_a_wrong_verb_is_told_the_right_ones():
    with pytest.raises(Conflict, match="possible now: end, pause"):
        next_subscription_state("active", "accept")

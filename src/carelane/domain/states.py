"""The states of connections and subscriptions, as tables: state, verb, next state.

```
connection    requested ─accept→ accepted ─connect→ connected ─suspend→ suspended ─resume→ connected ─end→ ended
              requested ─decline→ declined · requested ─withdraw→ withdrawn
subscription  proposed ─accept→ active ─pause→ paused ─resume→ active ─end→ ended
```
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

from carelane.domain.errors import Conflict

State = TypeVar("State", bound=StrEnum)


class ConnectionState(StrEnum):
    """Where a business relationship stands."""

    REQUESTED = "requested"
    ACCEPTED = "accepted"
    CONNECTED = "connected"
    SUSPENDED = "suspended"
    ENDED = "ended"
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"


class SubscriptionState(StrEnum):
    """Whether a bridge carries data."""

    PROPOSED = "proposed"
    ACTIVE = "active"
    PAUSED = "paused"
    ENDED = "ended"


CONNECTION_MOVES: Mapping[tuple[str, str], ConnectionState] = {
    (ConnectionState.REQUESTED, "accept"): ConnectionState.ACCEPTED,
    (ConnectionState.REQUESTED, "decline"): ConnectionState.DECLINED,
    (ConnectionState.REQUESTED, "withdraw"): ConnectionState.WITHDRAWN,
    (ConnectionState.ACCEPTED, "connect"): ConnectionState.CONNECTED,
    (ConnectionState.ACCEPTED, "end"): ConnectionState.ENDED,
    (ConnectionState.CONNECTED, "suspend"): ConnectionState.SUSPENDED,
    (ConnectionState.SUSPENDED, "resume"): ConnectionState.CONNECTED,
    (ConnectionState.CONNECTED, "end"): ConnectionState.ENDED,
    (ConnectionState.SUSPENDED, "end"): ConnectionState.ENDED,
}

SUBSCRIPTION_MOVES: Mapping[tuple[str, str], SubscriptionState] = {
    (SubscriptionState.PROPOSED, "accept"): SubscriptionState.ACTIVE,
    (SubscriptionState.PROPOSED, "end"): SubscriptionState.ENDED,
    (SubscriptionState.ACTIVE, "pause"): SubscriptionState.PAUSED,
    (SubscriptionState.PAUSED, "resume"): SubscriptionState.ACTIVE,
    (SubscriptionState.ACTIVE, "end"): SubscriptionState.ENDED,
    (SubscriptionState.PAUSED, "end"): SubscriptionState.ENDED,
}


_PAST = {"accept": "accepted", "decline": "declined", "withdraw": "withdrawn", "connect": "connected", "suspend": "suspended", "resume": "resumed",
         "end": "ended", "pause": "paused"}  # fmt: skip


def next_connection_state(state: str, verb: str) -> ConnectionState:
    """Return the state after a verb.

    Raises:
        Conflict: the verb does not apply in this state; the message lists the verbs that do.
    """
    return _move(CONNECTION_MOVES, "connection", state, verb)


def next_subscription_state(state: str, verb: str) -> SubscriptionState:
    """Return the state after a verb.

    Raises:
        Conflict: the verb does not apply in this state; the message lists the verbs that do.
    """
    return _move(SUBSCRIPTION_MOVES, "subscription", state, verb)


def _move(moves: "Mapping[tuple[str, str], State]", noun: str, state: str, verb: str) -> State:
    found = moves.get((state, verb))
    if found is None:
        possible = sorted(name for at, name in moves if at == state)
        now = f"possible now: {', '.join(possible)}" if possible else "that is final"
        raise Conflict(f"This {noun} is {state}, so it cannot be {_PAST.get(verb, verb)} ({now}). Somebody may have been faster; reload to see.")
    return found

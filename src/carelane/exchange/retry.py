"""When the head of a failing lane is tried again: seconds at first, settling at a beat of one to two minutes."""

from collections.abc import Callable

FIRST_S, STEADY_S = 2.0, 120.0
_MOST_WISH_S = 3600.0


def delay_s(attempts: int, wish_s: float | None, random: Callable[[], float]) -> float:
    """Return the wait after the n-th failed attempt, in seconds.

    It doubles from 2 s to 120 s, with jitter between half and all of it so that lanes which failed together do not
    come back together. A receiver's own wish (``Retry-After``) is honoured up to an hour.
    """
    full = min(STEADY_S, FIRST_S * 2.0 ** min(attempts - 1, 20))
    waited = full * (0.5 + 0.5 * random())
    return max(waited, min(wish_s, _MOST_WISH_S)) if wish_s else waited


def horizon_passed(failing_for_s: float, retry_for_s: float) -> bool:
    """Say whether the head has failed for longer than its subscription retries: then the lane is held, never skipped."""
    return failing_for_s > retry_for_s

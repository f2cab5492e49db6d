"""An event loop whose time jumps to the next timer instead of waiting: hours of a simulation pass in a moment, the same each time."""

import asyncio
import selectors
from datetime import UTC, datetime, timedelta

_START = datetime(2026, 1, 1, 12, tzinfo=UTC)


class _Jumping(selectors.SelectSelector):
    """Finds nothing to read, ever; where it would wait, it moves the time."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("everything waits and no timer is set: the simulation stands still")
        self.now += max(0.0, timeout)
        return []


class JumpingLoop(asyncio.SelectorEventLoop):
    """Runs tasks in the order in which they become ready, on a clock of its own."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        """Return the simulated seconds."""
        return self._jumping.now


class LoopClock:
    """The clock of a process that lives on a ``JumpingLoop``; ``ahead_s`` is how wrong its wall clock is."""

    def __init__(self, loop: JumpingLoop, ahead_s: float = 0.0) -> None:
        self._loop = loop
        self._ahead_s = ahead_s

    def now(self) -> datetime:
        """Return the wall-clock time as this process believes it."""
        return _START + timedelta(seconds=self._loop.time() - 1000.0 + self._ahead_s)

    def monotonic(self) -> float:
        """Return the loop's seconds."""
        return self._loop.time()

    async def sleep(self, seconds: float) -> None:
        """Pause the calling task."""
        await asyncio.sleep(seconds)

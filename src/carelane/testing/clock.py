"""A clock that stands still until it is told to move."""

import asyncio
from datetime import UTC, datetime, timedelta


class FakeClock:
    """Time under a test's control; ``sleep`` lets others run and moves the clock."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, 12, tzinfo=UTC)) -> None:
        self._now = start
        self._mono = 1000.0

    def now(self) -> datetime:
        """Return the wall-clock time."""
        return self._now

    def monotonic(self) -> float:
        """Return seconds that never run backwards."""
        return self._mono

    async def sleep(self, seconds: float) -> None:
        """Move on at once."""
        self.move(seconds)
        await asyncio.sleep(0)

    def move(self, seconds: float) -> None:
        """Let time pass."""
        self._now += timedelta(seconds=seconds)
        self._mono += seconds

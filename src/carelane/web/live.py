"""Live figures: read once a second for each organization and connection, however many people look."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from uuid import UUID

from carelane.domain.views import Person

Figures = dict[int, tuple[int, int, int, str]]
Read = Callable[[Person, UUID | None], Awaitable[Figures]]


@dataclass
class Live:
    """Keeps what was read for a moment."""

    read: Read
    beat_s: float = 1.0
    _kept: dict[tuple[int, UUID | None], tuple[float, Figures]] = field(default_factory=dict)

    def forget(self) -> None:
        """Read afresh for everyone: somebody acted."""
        self._kept.clear()

    async def figures(self, person: Person, connection: UUID | None) -> Figures:
        """Return the figures of a connection's lanes, at most a beat old."""
        now, key = asyncio.get_running_loop().time(), (int(person.org_id), connection)
        found = self._kept.get(key)
        if found is None or now - found[0] > self.beat_s * 0.9:
            if len(self._kept) > 1000:
                self._kept.clear()
            found = (now, await self.read(person, connection))
            self._kept[key] = found
        return found[1]

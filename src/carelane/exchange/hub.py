"""The facade that pages and commands speak to. It delegates and decides nothing."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from carelane.domain.endpoint import Settings, Snapshot, Source
from carelane.domain.errors import Unmappable, Unreadable
from carelane.domain.ids import LaneId, SourceId
from carelane.domain.message import Converted, Reason
from carelane.exchange.desk import Desk
from carelane.exchange.devtools import DevTools
from carelane.exchange.office import Answers, Endpoints, MethodShelf, Partners, PersonalKeys, Subscriptions, Team
from carelane.exchange.operations import Operations
from carelane.exchange.ports import Accept, Formats


@dataclass(frozen=True)
class Hub:
    """What a hub offers to its dashboard, API and commands."""

    desk: Desk
    accept: Accept
    formats: Formats
    snapshot: Callable[[], Snapshot]
    troubles: Callable[[], dict[int, str]]
    trouble: Callable[[], str]
    """Why no message is taken right now, as a code; empty while they are."""
    team: Team
    partners: Partners
    subscriptions: Subscriptions
    endpoints: Endpoints
    devtools: DevTools
    shelf: MethodShelf
    operations: Operations
    personal_keys: PersonalKeys
    answers: Answers

    def source_of_key(self, key_sha256: bytes) -> Source | None:
        """Return the enabled source an API key speaks for."""
        snapshot = self.snapshot()
        found = snapshot.keys.get(key_sha256)
        source = snapshot.sources.get(found) if found is not None else None
        return source if source is not None and source.enabled else None

    async def read(self, raw: bytes, format: str, source: int, lanes: Iterable[int] = ()) -> tuple[list[Converted], str | None]:
        """Convert a stored message with today's maps, for looking at: the documents, or why there are none.

        Of the ``lanes`` it travels, the first whose subscription changes the maps is looked through.
        """
        try:
            return await asyncio.to_thread(self.formats[format].read, raw, self._settings(source, lanes)), None
        except (Unreadable, Unmappable) as error:
            return [], str(error)

    async def explain(self, raw: bytes, format: str, source: int, lanes: Iterable[int] = ()) -> list[list[Reason]]:
        """Say of each document which row made each value; nothing for a message that has none, or whose format has no rows."""
        try:
            return await asyncio.to_thread(self.formats[format].explain, raw, self._settings(source, lanes))
        except (Unreadable, Unmappable):
            return []

    def _settings(self, source: int, lanes: Iterable[int]) -> Settings:
        snapshot = self.snapshot()
        found = snapshot.sources.get(SourceId(source))
        routes = (snapshot.lanes.get(LaneId(lane)) for lane in lanes)
        changing = next((route for route in routes if route is not None and route.overlay), None)
        settings = found.settings if found else {}
        return changing.settings_of(settings) if changing else settings

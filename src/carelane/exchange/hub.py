"""The facade that pages and commands speak to. It delegates and decides nothing."""

from collections.abc import Callable
from dataclasses import dataclass

from carelane.domain.endpoint import Snapshot, Source
from carelane.domain.errors import Unreadable
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
    healthy: Callable[[], bool]
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

    def read(self, raw: bytes, format: str, source: int) -> tuple[list[Converted], str | None]:
        """Convert a stored message with today's maps, for looking at: the documents, or why there are none."""
        found = self.snapshot().sources.get(source)  # type: ignore[call-overload]
        try:
            return self.formats[format].read(raw, found.settings if found else {}), None
        except Unreadable as error:
            return [], str(error)

    def explain(self, raw: bytes, format: str, source: int) -> list[list[Reason]]:
        """Say of each document which row made each value; nothing for a message that has none, or whose format has no rows."""
        found = self.snapshot().sources.get(source)  # type: ignore[call-overload]
        try:
            return self.formats[format].explain(raw, found.settings if found else {})
        except Unreadable:
            return []

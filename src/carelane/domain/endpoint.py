"""Sources, destinations and subscriptions as the journey sees them: a snapshot of the catalogue."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar
from uuid import UUID

from carelane.domain.ids import DestinationId, LaneId, OrgId, SourceId, SubscriptionId

Settings = Mapping[str, object]
SHARDS = 1024


@dataclass(frozen=True, slots=True)
class Source:
    """Where messages start."""

    id: SourceId
    uid: UUID
    org_id: OrgId
    name: str
    environment: str
    transport: str
    format: str
    settings: Settings
    enabled: bool = True
    built_in: bool = False
    """Whether it belongs to one of the hub's own organizations."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where messages are delivered."""

    id: DestinationId
    uid: UUID
    org_id: OrgId
    name: str
    environment: str
    transport: str
    format: str
    settings: Settings
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class Route:
    """A live subscription and its lane: what routing and the lane need to know."""

    subscription_id: SubscriptionId
    lane_id: LaneId
    source_id: SourceId
    destination_id: DestinationId
    data_model: str
    working_model: str = "datamodel"
    paused: bool = False
    retry_for_s: float = 7 * 24 * 3600.0
    overlay: str = ""
    """Changes to the maps for this subscription alone, in place of those of its endpoints."""

    @property
    def shard(self) -> int:
        """Which of the leased shards its lane lies in: lanes of one destination share one, and so one node's connections and limits."""
        return self.destination_id % SHARDS

    def settings_of(self, end: Settings) -> Settings:
        """Return an end's settings as this subscription reads or writes with them."""
        return {**end, "overlay": self.overlay} if self.overlay else end


@dataclass(frozen=True)
class Snapshot:
    """The catalogue at one moment, indexed for routing; replaced as a whole when the catalogue changes."""

    version: int = 0
    sources: Mapping[SourceId, Source] = field(default_factory=dict)
    destinations: Mapping[DestinationId, Destination] = field(default_factory=dict)
    routes: Mapping[tuple[SourceId, str], tuple[Route, ...]] = field(default_factory=dict)
    lanes: Mapping[LaneId, Route] = field(default_factory=dict)
    destination_uids: Mapping[UUID, DestinationId] = field(default_factory=dict)
    keys: Mapping[bytes, SourceId] = field(default_factory=dict)
    """SHA-256 of each live API key, and the source it speaks for."""
    ports: Mapping[int, SourceId] = field(default_factory=dict)
    """Each listen port that belongs to a source: only that source may open it."""

    def keeping(self, old: "Snapshot") -> "Snapshot":
        """Return this snapshot with the very objects of ``old`` where they are equal: whoever made something of one sees by identity whether it changed."""
        sources, destinations, lanes = (
            _kept(mine, before) for mine, before in ((self.sources, old.sources), (self.destinations, old.destinations), (self.lanes, old.lanes))
        )
        routes = {key: tuple(lanes[route.lane_id] for route in found) for key, found in self.routes.items()}
        return replace(self, sources=sources, destinations=destinations, lanes=lanes, routes=routes)

    def overlays(self) -> frozenset[str]:
        """Return the text of every overlay that a live subscription or an endpoint carries."""
        ends = [*(one.settings for one in self.sources.values()), *(one.settings for one in self.destinations.values())]
        carried = (*(settings.get("overlay") for settings in ends), *(route.overlay for route in self.lanes.values()))
        return frozenset(text for text in carried if isinstance(text, str) and text)


Key = TypeVar("Key")
Thing = TypeVar("Thing")


def _kept(mine: Mapping[Key, Thing], before: Mapping[Key, Thing]) -> dict[Key, Thing]:
    return {key: before[key] if before.get(key) == thing else thing for key, thing in mine.items()}

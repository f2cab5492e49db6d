"""Delivering a stored message again: looked at and routed as if it came today, and queued at the tail of its lanes."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from carelane.domain.endpoint import Snapshot
from carelane.domain.errors import Conflict, NotFound
from carelane.domain.ids import LaneId, OrgId, SourceId
from carelane.domain.message import Problem
from carelane.exchange.peek import look
from carelane.exchange.ports import Formats, Sealer
from carelane.exchange.route import route
from carelane.kit.ids import public


@dataclass(frozen=True, slots=True)
class Kept:
    """A stored message, its body still sealed, with the format it came in, and whether it came whole."""

    id: UUID
    org_id: OrgId
    source_id: SourceId
    key_id: int
    body: bytes
    format: str
    whole: bool


class Archive(Protocol):
    """What is stored, as replay needs it."""

    async def find(self, org: OrgId | None, message: UUID) -> Kept | None:
        """Called first: returns a message this organization sent; any message when ``org`` is None."""
        ...

    async def requeue(self, message: Kept, lanes: Sequence[LaneId], version: int, actor: str) -> Mapping[LaneId, int] | None:
        """Called once it is routed: queues it at the tail of these lanes, records that in the audit trail and rings them, all or nothing.

        Returns the new tails; None, and nothing was done, when the catalogue is not the one of this version any more.
        """
        ...


@dataclass(frozen=True)
class Replay:
    """Takes the same look and the same way as arrival does: what arrival would refuse today is not replayed.

    ``snapshot`` is the catalogue at hand, ``fresh`` reads it again where it changed in between.
    """

    archive: Archive
    snapshot: Callable[[], Snapshot]
    fresh: Callable[[], Awaitable[Snapshot]]
    formats: Formats
    sealer: Sealer

    async def again(self, org: OrgId | None, message: UUID, actor: str) -> Mapping[LaneId, int]:
        """Queue a message again and return the new tail of each lane.

        Raises:
            NotFound: this organization sent no such message.
            Conflict: nothing can be delivered of it today; says why, and what to do.
        """
        kept = await self.archive.find(org, message)
        if kept is None:
            raise NotFound(f"there is no message {public('msg', message)} here", pointer="carelane messages find")
        tails = await self._queue(kept, self.snapshot(), actor)
        if tails is None:
            tails = await self._queue(kept, await self.fresh(), actor)
        if tails is None:
            raise Conflict(f"sources or subscriptions were changed while {public('msg', message)} was replayed; nothing was queued, try again")
        return tails

    async def _queue(self, kept: Kept, snapshot: Snapshot, actor: str) -> Mapping[LaneId, int] | None:
        return await self.archive.requeue(kept, self._lanes(kept, snapshot), snapshot.version, actor)

    def _lanes(self, kept: Kept, snapshot: Snapshot) -> list[LaneId]:
        if not kept.whole:
            raise _refused(kept, Problem("not-whole", "It did not arrive whole.", "Have its sender send it again."))
        source = snapshot.sources.get(kept.source_id)
        if source is None or not source.enabled:
            gone = "no longer exists" if source is None else f"({source.name}) is switched off"
            raise _refused(kept, Problem("disabled", f"Its source {gone}.", "Switch it on under Developer, Sources, or send the message from another source."))
        raw = self.sealer.unseal(kept.org_id, kept.id, "message", kept.key_id, kept.body)
        routed = route(look(self.formats[kept.format], raw, source.settings).heading, source, snapshot)
        if routed.problem is not None:
            raise _refused(kept, routed.problem)
        return [LaneId(lane) for lane in routed.lanes]


def _refused(kept: Kept, problem: Problem) -> Conflict:
    return Conflict(f"{public('msg', kept.id)} was not queued again. {problem.text} {problem.pointer}".rstrip())

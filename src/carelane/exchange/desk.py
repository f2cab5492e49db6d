"""What pages and commands ask of the store: people, lanes, messages. Every answer is for one organization."""

from collections.abc import Mapping
from typing import Protocol
from uuid import UUID

from carelane.domain.ids import DestinationId, LaneId, OrgId
from carelane.domain.views import InboxItem, LaneView, MessageView, Opened, Person, Search


class Desk(Protocol):
    """Reads may take the short road past the journey; every change is audited. ``org`` None is the operator's view."""

    async def sign_in(self, email: str, password: str) -> str | None:
        """Return a token for the cookie, or None."""
        ...

    async def who(self, token: str) -> Person | None:
        """Return who holds a token."""
        ...

    async def switch(self, token: str, org: int) -> bool:
        """Act for another of one's organizations."""
        ...

    async def sign_out(self, token: str) -> None:
        """End a sign-in."""
        ...

    async def lanes(self, org: OrgId | None) -> list[LaneView]:
        """Return the lanes of an organization, either end."""
        ...

    async def pause(self, lane: LaneId, org: OrgId | None, actor: str) -> None:
        """Stop sending; messages go on queuing."""
        ...

    async def resume(self, lane: LaneId, org: OrgId | None, actor: str) -> None:
        """Send again after a pause; raises ``Conflict``."""
        ...

    async def release(self, lane: LaneId, org: OrgId | None, actor: str) -> None:
        """Try the head again now; raises ``Conflict``."""
        ...

    async def skip(self, lane: LaneId, org: OrgId | None, actor: str, reason: str) -> int:
        """Put the head into the dead letters; raises ``Conflict``."""
        ...

    async def organization(self, slug: str) -> OrgId | None:
        """Return the organization with this short name."""
        ...

    async def messages(self, org: OrgId, search: Search, texts: Mapping[str, str] | None = None) -> list[MessageView]:
        """Return messages, newest first; ``texts`` are looked up by keyed hash: patient, order, visit or control → value."""
        ...

    async def open(self, org: OrgId, message: UUID, actor: str, *, payload: bool) -> Opened | None:
        """Return one message with its deliveries; its content only with ``payload``, and only to the sender's organization."""
        ...

    async def inbox(self, org: OrgId, destination: DestinationId) -> list[InboxItem]:
        """Return what an inbox destination received."""
        ...

"""The store's side of what pages and commands ask: see ``exchange.desk``."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from uuid import UUID

import orjson

from carelane.domain.ids import DestinationId, LaneId, OrgId
from carelane.domain.views import DeliveryView, InboxItem, LaneView, MessageView, Opened, Person, Search
from carelane.kit.ids import public
from carelane.kit.seal import Unsealable
from carelane.store import audit, lanes, people, traffic
from carelane.store.catalogue.organization import find_organization
from carelane.store.database import Database
from carelane.store.inbox import Inbox
from carelane.store.keys import Keyring


@dataclass
class Desk:
    """Reads under row-level security; changes through the nouns' own files."""

    database: Database
    keyring: Keyring

    async def sign_in(self, email: str, password: str) -> str | None:
        """Return a token for the cookie, or None."""
        return await people.sign_in(self.database, email, password)

    async def who(self, token: str) -> Person | None:
        """Return who holds a token."""
        return await people.who(self.database, token)

    async def switch(self, token: str, org: int) -> bool:
        """Act for another of one's organizations."""
        return await people.switch(self.database, token, org)

    async def sign_out(self, token: str) -> None:
        """End a sign-in."""
        await people.sign_out(self.database, token)

    async def lanes(self, org: OrgId | None) -> list[LaneView]:
        """Return the lanes of an organization."""
        return await lanes.list_lanes(self.database, org)

    async def pause(self, lane: LaneId, org: OrgId | None, actor: str) -> None:
        """Stop sending."""
        await lanes.pause(self.database, lane, org, actor)

    async def resume(self, lane: LaneId, org: OrgId | None, actor: str) -> None:
        """Send again after a pause."""
        await lanes.resume(self.database, lane, org, actor)

    async def release(self, lane: LaneId, org: OrgId | None, actor: str) -> None:
        """Try the head again now."""
        await lanes.release(self.database, lane, org, actor)

    async def skip(self, lane: LaneId, org: OrgId | None, actor: str, reason: str) -> int:
        """Put the head into the dead letters."""
        return await lanes.skip(self.database, lane, org, actor, reason)

    async def organization(self, slug: str) -> OrgId | None:
        """Return the organization with this short name."""
        return await find_organization(self.database, slug)

    async def messages(self, org: OrgId, search: Search, texts: Mapping[str, str] | None = None) -> list[MessageView]:
        """Return messages, newest first."""
        tokens = tuple(self.keyring.token(org, kind, value) for kind, value in (texts or {}).items())
        return await traffic.find_messages(self.database, org, replace(search, tokens=search.tokens + tokens))

    async def open(self, org: OrgId, message: UUID, actor: str, *, payload: bool) -> Opened | None:
        """Return one message; a view of its content goes into the audit trail first."""
        found = await traffic.read_message(self.database, org, message)
        if found is None:
            return None
        deliveries = await traffic.read_deliveries(self.database, org, message)
        if not payload or found.org_id != org or found.body is None:
            return Opened(found, deliveries, None, None, {})
        async with self.database.engine.acquire() as connection, connection.transaction():
            await audit.record(connection, org, actor, "message.view", public("msg", message), {})
        raw = self.keyring.unseal(found.org_id, message, "message", found.key_id, found.body)
        reply = self.keyring.unseal(found.org_id, message, "reply", found.key_id, found.reply) if found.reply else None
        return Opened(found, deliveries, raw, reply, self._details(found, deliveries))

    def _details(self, message: MessageView, deliveries: list[DeliveryView]) -> dict[tuple[int, int, int], dict[str, object]]:
        found: dict[tuple[int, int, int], dict[str, object]] = {}
        for one in deliveries:
            for attempt in one.attempts:
                if attempt.detail is None:
                    continue
                try:
                    plain = self.keyring.unseal(message.org_id, message.id, f"attempt|{one.lane_id}|{one.seq}", message.key_id, attempt.detail)
                except Unsealable:
                    continue  # sealed with a later key of the organization: its summary columns are shown without it
                found[one.lane_id, one.seq, attempt.n] = orjson.loads(plain)
        return found

    async def inbox(self, org: OrgId, destination: DestinationId) -> list[InboxItem]:
        """Return what an inbox destination received."""
        return await Inbox(self.database, self.keyring).items(org, destination)

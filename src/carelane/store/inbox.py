"""What the inbox destination received, newest first; repeats of one delivery are kept once."""

from dataclasses import dataclass
from uuid import UUID

from carelane.domain.errors import StoreLost
from carelane.domain.ids import DestinationId, OrgId
from carelane.domain.views import InboxItem
from carelane.kit.clock import utc_now
from carelane.store.database import Database
from carelane.store.keys import Keyring
from carelane.store.trouble import LOST

_PUT = """
INSERT INTO inbox (org_id, day, destination_id, delivery_id, message_id, content_type, body, key_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING
"""
_LIST = """
SELECT delivery_id, message_id, at, content_type, body, key_id FROM inbox WHERE org_id = $1 AND destination_id = $2 ORDER BY at DESC LIMIT $3
"""


@dataclass
class Inbox:
    """Where the inbox destination puts what it receives, sealed with the receiver's key."""

    database: Database
    keyring: Keyring

    async def put(self, org: OrgId, destination: DestinationId, delivery: str, message: UUID, content_type: str, body: bytes) -> None:
        """Keep one delivery.

        Raises:
            StoreLost: the database is away.
        """
        key_id, sealed = self.keyring.seal(org, message, "inbox", body)
        try:
            await self.database.engine.execute(_PUT, org, utc_now().date(), destination, delivery, message, content_type, sealed, key_id)
        except LOST as error:
            raise StoreLost(f"the database went away: {type(error).__name__}") from error

    async def items(self, org: OrgId, destination: DestinationId, most: int = 50) -> list[InboxItem]:
        """Return the latest items."""
        return [
            InboxItem(
                row["delivery_id"],
                row["message_id"],
                row["at"],
                row["content_type"],
                self.keyring.unseal(org, row["message_id"], "inbox", row["key_id"], row["body"]),
            )
            for row in await self.database.engine.fetch(_LIST, org, destination, most)
        ]

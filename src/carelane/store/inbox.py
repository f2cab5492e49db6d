"""What the inbox destination received, newest first; repeats of one delivery are kept once."""

from collections.abc import Sequence
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
INSERT INTO inbox (org_id, day, destination_id, delivery_id, message_id, at, content_type, body, key_id)
SELECT $1, $2, $3, t.delivery_id, t.message_id, now() + make_interval(secs => t.ord / 1e6), t.content_type, t.body, t.key_id
FROM unnest($4::text[], $5::uuid[], $6::text[], $7::bytea[], $8::int[]) WITH ORDINALITY AS t(delivery_id, message_id, content_type, body, key_id, ord)
ON CONFLICT DO NOTHING
"""
_LIST = """
SELECT delivery_id, message_id, at, content_type, body, key_id FROM inbox WHERE org_id = $1 AND destination_id = $2 ORDER BY at DESC LIMIT $3
"""


@dataclass
class Inbox:
    """Where the inbox destination puts what it receives, sealed with the receiver's key."""

    database: Database
    keyring: Keyring

    async def put(self, org: OrgId, destination: DestinationId, items: Sequence[tuple[str, UUID, str, bytes]]) -> None:
        """Keep deliveries (delivery id, message id, content type, body) in this order, or none of them.

        Raises:
            StoreLost: the database is away.
        """
        sealed = [self.keyring.seal(org, message, "inbox", body) for _, message, _, body in items]
        deliveries, messages, types = [one[0] for one in items], [one[1] for one in items], [one[2] for one in items]
        bodies, keys = [body for _, body in sealed], [key for key, _ in sealed]
        try:
            await self.database.engine.execute(_PUT, org, utc_now().date(), destination, deliveries, messages, types, bodies, keys)
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

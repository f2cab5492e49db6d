"""When API keys were last used: noted in memory on the way in, written once a minute."""

from dataclasses import dataclass, field
from datetime import datetime

from carelane.kit.clock import utc_now
from carelane.store.database import Database

_WRITE = """
UPDATE api_key k SET last_used_at = greatest(coalesce(k.last_used_at, u.at), u.at) FROM unnest($1::bytea[], $2::timestamptz[]) AS u(token_sha256, at)
WHERE k.token_sha256 = u.token_sha256
"""


@dataclass
class KeyUse:
    """A hub that stops between two writes forgets at most a minute of it: this is for people who look for unused keys."""

    database: Database
    _noted: dict[bytes, datetime] = field(default_factory=dict)

    def note(self, token_sha256: bytes) -> None:
        """A known key was used now."""
        self._noted[token_sha256] = utc_now()

    async def write(self) -> None:
        """Write what was noted since the last time."""
        noted, self._noted = self._noted, {}
        if noted:
            await self.database.engine.execute(_WRITE, list(noted), list(noted.values()))

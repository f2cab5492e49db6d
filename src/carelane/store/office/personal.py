"""What people bring to the platform API: their own keys, and the answers to creates they may send again."""

import hashlib
import secrets
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from carelane.domain.errors import Conflict, KeyReused
from carelane.domain.office import Answer, PersonalKey
from carelane.domain.permissions import nothing_here
from carelane.domain.views import Person
from carelane.kit.ids import public, uuid7
from carelane.store import audit
from carelane.store.database import Database
from carelane.store.keys import Keyring
from carelane.store.office.reading import fetch
from carelane.store.people import person_of

_MOST_KEYS, _LONGEST_DAYS, _KEPT_HOURS, _ABANDONED_S = 20, 366, 24, 60
_LIST = """
SELECT k.uid, k.name, k.last_four, k.created_at, k.expires_at, k.last_used_at, k.revoked_at FROM personal_key k
WHERE k.user_id = :user ORDER BY k.revoked_at IS NOT NULL, k.created_at DESC
"""
_NEW = """
INSERT INTO personal_key (uid, org_id, user_id, name, token_sha256, last_four, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, now() + make_interval(days => $7))
"""
_LIVE = "SELECT count(*) FROM personal_key WHERE org_id = $1 AND user_id = $2 AND revoked_at IS NULL AND expires_at > now()"
_REVOKE = "UPDATE personal_key SET revoked_at = now() WHERE uid = $1 AND org_id = $2 AND user_id = $3 AND revoked_at IS NULL RETURNING name"
_HOLDER = """
SELECT u.id, u.name, u.email, k.org_id, o.name AS org_name, m.role, m.payloads,
       k.last_used_at IS NULL OR k.last_used_at < now() - interval '1 minute' AS unseen
FROM personal_key k JOIN user_account u ON u.id = k.user_id AND u.disabled_at IS NULL JOIN organization o ON o.id = k.org_id AND o.disabled_at IS NULL
JOIN membership m ON m.org_id = k.org_id AND m.user_id = k.user_id
WHERE k.token_sha256 = $1 AND k.revoked_at IS NULL AND k.expires_at > now()
"""
_SEEN = "UPDATE personal_key SET last_used_at = now() WHERE token_sha256 = $1"
_CLAIM = """
INSERT INTO answered (org_id, user_id, key_sha256, uid, fingerprint) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (org_id, user_id, key_sha256) DO UPDATE SET uid = $4, fingerprint = $5, status = NULL, body = NULL, created_at = now()
WHERE answered.created_at < now() - make_interval(hours => $6)
   OR answered.status IS NULL AND answered.created_at < now() - make_interval(secs => $7)
RETURNING uid
"""
_FIND = "SELECT * FROM answered WHERE org_id = $1 AND user_id = $2 AND key_sha256 = $3"
_KEEP = "UPDATE answered SET status = $4, body = $5, body_key = $6 WHERE org_id = $1 AND user_id = $2 AND key_sha256 = $3"
_DROP = "DELETE FROM answered WHERE org_id = $1 AND user_id = $2 AND key_sha256 = $3"
_FORGET = "DELETE FROM answered WHERE created_at < now() - make_interval(hours => $1)"


@dataclass(frozen=True)
class PersonalKeys:
    """Bearer keys of people for the platform API; each acts in one organization, with the roles its owner has at that moment."""

    database: Database

    async def find(self, person: Person) -> list[PersonalKey]:
        """Return one's own keys, live ones first."""
        return [PersonalKey(**row) for row in await fetch(self.database, person.org_id, _LIST, user=person.id)]

    async def create(self, person: Person, name: str, days: int) -> tuple[UUID, str]:
        """Make a key; return its id and the key itself, which cannot be seen again.

        Raises:
            Conflict: no name, too long a life, or too many live keys.
        """
        if not 1 <= len(name.strip()) <= 200:
            raise Conflict("Give the key a name of up to 200 characters, such as the script or pipeline that will use it.")
        if not 1 <= days <= _LONGEST_DAYS:
            raise Conflict(f"A key lives between 1 and {_LONGEST_DAYS} days.")
        token, uid = f"cp_{secrets.token_urlsafe(32)}", uuid7()
        async with self.database.engine.acquire() as connection, connection.transaction():
            await connection.execute("SELECT 1 FROM membership WHERE org_id = $1 AND user_id = $2 FOR UPDATE", person.org_id, person.id)
            if await connection.fetchval(_LIVE, person.org_id, person.id) >= _MOST_KEYS:
                raise Conflict(f"You have {_MOST_KEYS} live keys here: revoke one first.")
            await connection.execute(_NEW, uid, person.org_id, person.id, name.strip(), _hash(token), token[-4:], days)
            await audit.record(connection, person.org_id, person.email, "personal-key.create", public("pky", uid), {"name": name.strip(), "days": days})
        return uid, token

    async def revoke(self, person: Person, uid: UUID) -> None:
        """Make one of one's own keys useless at once; raises ``NotFound``."""
        async with self.database.engine.acquire() as connection, connection.transaction():
            name = await connection.fetchval(_REVOKE, uid, person.org_id, person.id)
            if name is None:
                raise nothing_here()
            await audit.record(connection, person.org_id, person.email, "personal-key.revoke", public("pky", uid), {"name": name})

    async def holder(self, token: str) -> Person | None:
        """Return whom a key speaks for, with the roles they have now; None when it is unknown, revoked or too old."""
        digest = _hash(token)
        row = await self.database.engine.fetchrow(_HOLDER, digest)
        if row is None:
            return None
        if row["unseen"]:
            await self.database.engine.execute(_SEEN, digest)
        return await person_of(self.database, row)


@dataclass(frozen=True)
class Answers:
    """What creates with an ``Idempotency-Key`` were answered, for 24 hours (the IETF draft of that header)."""

    database: Database
    keyring: Keyring

    async def claim(self, person: Person, key: str, fingerprint: bytes) -> Answer | None:
        """Return the answer given before, or None when this request is the first and may go on.

        Raises:
            Conflict: the first request with this key is still under way.
            KeyReused: the key was used for another request.
        """
        where, uid = (person.org_id, person.id, _hash(key)), uuid7()
        claimed = await self.database.engine.fetchval(_CLAIM, *where, uid, fingerprint, _KEPT_HOURS, _ABANDONED_S)
        if claimed == uid:
            return None
        row: asyncpg.Record | None = await self.database.engine.fetchrow(_FIND, *where)
        if row is not None and row["fingerprint"] != fingerprint:
            raise KeyReused("This Idempotency-Key was used for another request.", pointer="Use a new one for every create.")
        if row is None or row["status"] is None:
            raise Conflict("A request with this Idempotency-Key is under way; send it again in a moment.")
        return Answer(row["status"], self.keyring.unseal(person.org_id, row["uid"], "answer", row["body_key"], row["body"]))

    async def keep(self, person: Person, key: str, answer: Answer) -> None:
        """Note what the request was answered; old answers go."""
        where = (person.org_id, person.id, _hash(key))
        row = await self.database.engine.fetchrow(_FIND, *where)
        if row is not None:
            key_id, sealed = self.keyring.seal(person.org_id, row["uid"], "answer", answer.body)
            await self.database.engine.execute(_KEEP, *where, answer.status, sealed, key_id)
        await self.database.engine.execute(_FORGET, _KEPT_HOURS)

    async def drop(self, person: Person, key: str) -> None:
        """Forget a request that changed nothing, so that it may be mended and sent again."""
        await self.database.engine.execute(_DROP, person.org_id, person.id, _hash(key))


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()

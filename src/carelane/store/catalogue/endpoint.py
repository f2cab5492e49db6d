"""Sources, destinations and the API keys of sources. Secret settings are sealed apart from the others."""

import hashlib
import secrets
from collections.abc import Mapping
from typing import Literal
from uuid import UUID

import asyncpg
import orjson

from carelane.domain.errors import Conflict
from carelane.domain.ids import OrgId
from carelane.kit.ids import public, uuid7
from carelane.store import audit
from carelane.store.catalogue.listen_port import Claim, claim
from carelane.store.database import Database
from carelane.store.keys import Keyring

Kind = Literal["source", "destination"]
_NEW: dict[Kind, str] = {
    kind: f"INSERT INTO {kind} (uid, org_id, environment, name, transport, format, settings, secrets, secrets_key) "  # noqa: S608  (two fixed names)
    "VALUES ($1, $2, $3, $4, $5, $6, $7::jsonb, $8, $9) RETURNING id"
    for kind in ("source", "destination")
}
_NEW_KEY = "INSERT INTO api_key (uid, org_id, source_id, name, token_sha256, last_four) VALUES ($1, $2, $3, $4, $5, $6)"


async def create_endpoint(
    database: Database,
    keyring: Keyring,
    kind: Kind,
    *,
    org: OrgId,
    environment: str,
    name: str,
    transport: str,
    format: str,
    settings: Mapping[str, object],
    secret: Mapping[str, object] | None = None,
    listens: Claim | None = None,
    actor: str = "operator",
) -> tuple[int, UUID]:
    """Create a source or destination; return its number and its id.

    A source that listens says on which port with ``listens``: without that claim no hub opens the port.

    Raises:
        Conflict: the name is taken in this environment, or the port is another's.
        Misconfigured: the operator does not allow the port.
    """
    uid = uuid7()
    key_id, sealed = keyring.seal(org, uid, "secrets", orjson.dumps(dict(secret))) if secret else (None, None)
    async with database.engine.acquire() as connection, connection.transaction():
        try:
            number = await connection.fetchval(
                _NEW[kind], uid, org, environment, name, transport, format, orjson.dumps(dict(settings)).decode(), sealed, key_id
            )
        except asyncpg.UniqueViolationError:
            raise Conflict(f"there is a {kind} named {name} in {environment} already; choose another name") from None
        if listens is not None:
            await claim(connection, org, number, listens)
        prefix = "src" if kind == "source" else "dst"
        await audit.record(connection, org, actor, f"{kind}.create", public(prefix, uid), {"name": name, "transport": transport})
    return int(number), uid


async def create_key(database: Database, *, org: OrgId, source: int, name: str, actor: str = "operator", token: str | None = None) -> str:
    """Make an API key for a source and return it: this is the only time it can be seen."""
    token = token or f"ck_{secrets.token_urlsafe(32)}"
    uid = uuid7()
    async with database.engine.acquire() as connection, connection.transaction():
        await connection.execute(_NEW_KEY, uid, org, source, name, key_hash(token), token[-4:])
        await audit.record(connection, org, actor, "key.create", public("key", uid), {"name": name})
    return token


def key_hash(token: str) -> bytes:
    """Return what is stored of an API key: 256 random bits need no slow hash."""
    return hashlib.sha256(token.encode()).digest()

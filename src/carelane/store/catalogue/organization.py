"""Organizations: created with three environments and their own data keys."""

import asyncpg
import orjson

from carelane.domain.errors import Conflict
from carelane.domain.ids import OrgId
from carelane.kit.ids import public, uuid7
from carelane.store import audit
from carelane.store.database import Database
from carelane.store.keys import Keyring

ENVIRONMENTS = ("development", "staging", "production")
_NEW = "INSERT INTO organization (uid, slug, name, kind, profile, listed) VALUES ($1, $2, $3, $4, $5::jsonb, $6) RETURNING id"
_ENVIRONMENT = "INSERT INTO environment (uid, org_id, kind) VALUES ($1, $2, $3)"
_KEY = "INSERT INTO data_key (org_id, id, purpose, wrapped, master_id) VALUES ($1, $2, $3, $4, $5)"


async def create_organization(
    database: Database,
    keyring: Keyring,
    *,
    slug: str,
    name: str,
    kind: str,
    listed: bool = True,
    profile: dict[str, object] | None = None,
    actor: str = "operator",
) -> OrgId:
    """Create an organization with its environments and keys.

    Raises:
        Conflict: the short name is taken.
    """
    uid = uuid7()
    async with database.engine.acquire() as connection, connection.transaction():
        try:
            org = await connection.fetchval(_NEW, uid, slug, name, kind, orjson.dumps(profile or {}).decode(), listed)
        except asyncpg.UniqueViolationError:
            raise Conflict(f"an organization with the short name {slug} exists already") from None
        for environment in ENVIRONMENTS:
            await connection.execute(_ENVIRONMENT, uuid7(), org, environment)
        for key_id, purpose in ((1, "body"), (2, "search")):
            await connection.execute(_KEY, org, key_id, purpose, keyring.wrap_new(org, key_id, purpose), keyring.master_id)
        await audit.record(connection, org, actor, "organization.create", public("org", uid), {"name": name, "kind": kind})
    return OrgId(org)


async def find_organization(database: Database, slug: str) -> OrgId | None:
    """Return the organization with this short name."""
    found = await database.engine.fetchval("SELECT id FROM organization WHERE slug = $1", slug)
    return OrgId(found) if found is not None else None

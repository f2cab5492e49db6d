"""Sources and destinations: made in steps, tested, verified, changed, deleted; and the API keys of sources."""

import secrets as random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg
import orjson
from sqlalchemy import RowMapping

from carelane.domain.delivery import Judgement, Verdict
from carelane.domain.errors import Conflict, Stale
from carelane.domain.ids import OrgId
from carelane.domain.listening import ListenPorts
from carelane.domain.office import ApiKey, Draft, Endpoint, EndpointKind, Use
from carelane.domain.permissions import ENVIRONMENTS, Right, demand, may, nothing_here
from carelane.domain.views import InboxItem, Person
from carelane.kit.ids import public, uuid7
from carelane.store import audit
from carelane.store.catalogue.endpoint import create_endpoint, key_hash
from carelane.store.catalogue.listen_port import release
from carelane.store.database import Database
from carelane.store.inbox import Inbox
from carelane.store.keys import Keyring
from carelane.store.office.listening import Listening
from carelane.store.office.reading import fetch
from carelane.store.office.shelf import EndpointShelf

PREFIX: Mapping[EndpointKind, str] = {"source": "src", "destination": "dst"}
_KINDS: tuple[tuple[EndpointKind, str, str], ...] = (("source", "NULL::timestamptz", "arrived_at"), ("destination", "e.verified_at", "delivered_at"))
_LIST: Mapping[EndpointKind, str] = {
    kind: f"""
SELECT e.id, e.uid, e.name, e.environment, e.transport, e.format, e.enabled, e.org_id = :org AS mine, o.name AS owner, e.version,
       CASE WHEN e.org_id = :org THEN e.settings ELSE '{{}}' END AS settings, {verified} AS verified_at,
       (SELECT count(*) FROM subscription s WHERE s.{kind}_id = e.id AND s.state <> 'ended') AS uses,
       (SELECT max(l.{last}) FROM subscription s JOIN lane_now l ON l.subscription_id = s.id WHERE s.{kind}_id = e.id) AS last_at
FROM {kind} e JOIN organization o ON o.id = e.org_id
WHERE e.deleted_at IS NULL AND (CAST(:uid AS uuid) IS NULL OR e.uid = :uid) AND (CAST(:owner AS bigint) IS NULL OR e.org_id = :owner)
  AND (:environment = '' OR e.environment = :environment)
ORDER BY array_position(ARRAY['development', 'staging', 'production'], e.environment), lower(e.name) LIMIT 500
"""  # noqa: S608  (two fixed names)
    for kind, verified, last in _KINDS
}
_USES = """
SELECT s.uid, s.name, s.data_model, s.state FROM subscription s JOIN {0} e ON e.id = s.{0}_id WHERE e.uid = :uid AND s.state <> 'ended' ORDER BY s.name
"""
_LOCK = "SELECT * FROM {0} WHERE uid = $1 AND org_id = $2 AND deleted_at IS NULL FOR UPDATE"
_CHANGE = """
UPDATE {0} SET name = $2, settings = $3::jsonb, secrets = $4, secrets_key = $5, enabled = $6, version = version + 1 WHERE id = $1
"""
_DELETE = "UPDATE {0} SET deleted_at = now(), enabled = false, version = version + 1 WHERE id = $1"
_DRAFTS = """
SELECT uid, kind, environment, name, transport, format, settings, updated_at FROM draft
WHERE CAST(:uid AS uuid) IS NULL OR uid = :uid ORDER BY updated_at DESC
"""
_SAVE = """
INSERT INTO draft (uid, org_id, kind, environment, name, transport, format, settings, secrets, secrets_key)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8::jsonb, $9, $10)
ON CONFLICT (uid) DO UPDATE SET name = $5, settings = $8::jsonb, secrets = $9, secrets_key = $10, updated_at = now() WHERE draft.org_id = $2
"""
_KEYS = """
SELECT k.uid, k.name, s.name AS source, s.uid AS source_uid, s.environment, k.last_four, k.created_at, k.last_used_at, k.revoked_at
FROM api_key k JOIN source s ON s.id = k.source_id WHERE s.deleted_at IS NULL ORDER BY k.revoked_at IS NOT NULL, k.created_at DESC
"""
_NEW_KEY = "INSERT INTO api_key (uid, org_id, source_id, name, token_sha256, last_four) VALUES ($1, $2, $3, $4, $5, $6)"
_REVOKE = """
UPDATE api_key k SET revoked_at = now() FROM source s WHERE k.uid = $1 AND k.org_id = $2 AND k.revoked_at IS NULL AND s.id = k.source_id
  AND s.environment = ANY($3) RETURNING k.name
"""


@dataclass(frozen=True)
class Endpoints:
    """The engineers' side: where messages start and where they are delivered."""

    database: Database
    keyring: Keyring
    shelf: EndpointShelf
    ports: ListenPorts

    async def find(self, person: Person, kind: EndpointKind, *, environment: str = "", partner: UUID | None = None) -> list[Endpoint]:
        """Return one's own endpoints, or with ``partner`` the names of a connected organization's."""
        demand(person, Right.SEE)
        owner: int = person.org_id
        if partner is not None:
            found = await fetch(self.database, person.org_id, "SELECT id FROM organization WHERE uid = :uid", uid=partner)
            if not found:
                raise nothing_here()
            owner = found[0]["id"]
        rows = await fetch(self.database, person.org_id, _LIST[kind], uid=None, owner=owner, environment=environment)
        return [self._shown(kind, row) for row in rows if row["environment"] in person.environments]

    async def one(self, person: Person, kind: EndpointKind, uid: UUID) -> Endpoint:
        """Return one endpoint; raises ``NotFound``."""
        rows = await fetch(self.database, person.org_id, _LIST[kind], uid=uid, owner=None, environment="")
        if not rows:
            raise nothing_here()
        demand(person, Right.SEE, rows[0]["environment"])
        if not rows[0]["mine"]:
            return self._shown(kind, rows[0])
        async with self.database.engine.acquire() as connection:
            secret = await self._secrets(connection, kind, uid, person.org_id)
        return self._shown(kind, rows[0], secret)

    async def uses(self, person: Person, kind: EndpointKind, uid: UUID) -> list[Use]:
        """Return the live subscriptions of an endpoint."""
        rows = await fetch(self.database, person.org_id, _USES.format(kind), uid=uid)
        return [Use(row["uid"], row["name"], row["data_model"], row["state"]) for row in rows]

    async def create(
        self, person: Person, kind: EndpointKind, *, environment: str, name: str, transport: str, format: str = "", settings: Mapping[str, object]
    ) -> UUID:
        """Create an endpoint.

        Raises:
            Conflict: the name is taken, the format does not fit the method, or the port is another's.
            Misconfigured: a setting cannot work; names the field.
        """
        demand(person, Right.BUILD)
        if environment not in ENVIRONMENTS:
            raise Conflict(f"Choose an environment: {', '.join(ENVIRONMENTS)}.")
        demand(person, Right.BUILD, environment)
        _check_name(name)
        chosen = self._format(kind, transport, format)
        plain, secret = self.shelf.split(kind, transport, environment, settings)
        _, uid = await create_endpoint(
            self.database, self.keyring, kind, org=person.org_id, environment=environment, name=name.strip(), transport=transport, format=chosen,
            settings=plain, secret=secret, listens=self._listening.claim_of(kind, transport, {**plain, **secret}), actor=person.email,
        )  # fmt: skip
        return uid

    async def change(
        self,
        person: Person,
        kind: EndpointKind,
        uid: UUID,
        *,
        name: str | None = None,
        settings: Mapping[str, object] | None = None,
        enabled: bool | None = None,
        version: int | None = None,
    ) -> None:
        """Rename an endpoint, change its settings, or switch it off and on. A secret left empty stays as it is.

        Raises:
            Conflict: the name is taken or empty, or the port is another's.
            Misconfigured: a setting cannot work; names the field.
            Stale: it was changed since it was read.
        """
        async with self.database.engine.acquire() as connection, connection.transaction():
            row = await self._locked(connection, person, kind, uid)
            if name is not None:
                _check_name(name)
            if version is not None and version != row["version"]:
                raise Stale(f"Somebody changed this {kind} since you read it.", pointer="Read it again, then repeat your change.")
            plain, secret = orjson.loads(row["settings"]), await self._secrets(connection, kind, uid, person.org_id)
            if settings is not None:
                before = {**plain, **secret}
                given = {key: value for key, value in settings.items() if not (key in secret and value in ("", None))}
                plain, secret = self.shelf.split(kind, row["transport"], row["environment"], {**secret, **given})
                await self._listening.follow(connection, row, kind, before, {**plain, **secret})
            key_id, sealed = self.keyring.seal(person.org_id, uid, "secrets", orjson.dumps(secret)) if secret else (None, None)
            try:
                await connection.execute(
                    _CHANGE.format(kind), row["id"], (name or row["name"]).strip(), orjson.dumps(plain).decode(), sealed, key_id,
                    row["enabled"] if enabled is None else enabled,
                )  # fmt: skip
            except asyncpg.UniqueViolationError:
                raise Conflict(f"There is a {kind} named {name} in {row['environment']} already; choose another name.") from None
            changed = sorted(set(settings or ())) if settings is not None else []
            await self._tell(connection, person, kind, "change", uid, {"name": name, "settings": changed, "enabled": enabled})

    async def delete(self, person: Person, kind: EndpointKind, uid: UUID) -> None:
        """Delete an endpoint that nothing uses; raises ``Conflict`` naming what does."""
        async with self.database.engine.acquire() as connection, connection.transaction():
            row = await self._locked(connection, person, kind, uid)
            uses = await self.uses(person, kind, uid)
            if uses:
                shown = ", ".join(use.name for use in uses[:5]) + (" and more" if len(uses) > 5 else "")
                raise Conflict(f"{row['name']} is used by {len(uses)} subscription{'' if len(uses) == 1 else 's'} ({shown}); end them first.")
            await connection.execute(_DELETE.format(kind), row["id"])
            if kind == "source":
                await release(connection, row["id"])
            await self._tell(connection, person, kind, "delete", uid, {"name": row["name"]})

    async def test(self, person: Person, kind: EndpointKind, uid: UUID) -> Judgement:
        """Try to reach an endpoint with its settings."""
        return await self.shelf.probe(*await self._whole(person, kind, uid))

    async def try_settings(self, person: Person, kind: EndpointKind, transport: str, environment: str, settings: Mapping[str, object]) -> Judgement:
        """Try settings that are not saved yet; raises ``Misconfigured``."""
        demand(person, Right.BUILD, environment)
        plain, secret = self.shelf.split(kind, transport, environment, settings)
        return await self.shelf.probe(transport, {**plain, **secret})

    async def verify(self, person: Person, uid: UUID) -> Judgement:
        """Challenge a destination and note when it answered rightly."""
        transport, settings = await self._whole(person, "destination", uid)
        found = await self.shelf.verify(transport, settings) or Judgement(Verdict.DELIVERED, "this method needs no proof")
        if found.verdict is Verdict.DELIVERED:
            async with self.database.engine.acquire() as connection, connection.transaction():
                await connection.execute("UPDATE destination SET verified_at = now() WHERE uid = $1", uid)
                await self._tell(connection, person, "destination", "verify", uid, {})
        return found

    async def drafts(self, person: Person) -> list[Draft]:
        """Return the endpoints half way through their wizard."""
        demand(person, Right.BUILD)
        return [self._draft(row, {}) for row in await fetch(self.database, person.org_id, _DRAFTS, uid=None)]

    async def draft(self, person: Person, uid: UUID) -> tuple[Draft, Mapping[str, object]]:
        """Return a draft, and all its settings for going on with it."""
        rows = await fetch(self.database, person.org_id, _DRAFTS, uid=uid)
        if not rows:
            raise nothing_here()
        demand(person, Right.BUILD, rows[0]["environment"])
        async with self.database.engine.acquire() as connection:
            secret = await self._secrets(connection, "draft", uid, person.org_id)
        return self._draft(rows[0], secret), {**rows[0]["settings"], **secret}

    async def save_draft(
        self,
        person: Person,
        uid: UUID | None,
        kind: EndpointKind,
        *,
        environment: str,
        name: str,
        transport: str,
        settings: Mapping[str, object],
        secret: Mapping[str, object],
    ) -> UUID:
        """Keep the progress of a wizard; nothing is checked yet but the name."""
        demand(person, Right.BUILD)
        if environment not in ENVIRONMENTS:
            raise Conflict(f"Choose an environment: {', '.join(ENVIRONMENTS)}.")
        demand(person, Right.BUILD, environment)
        _check_name(name)
        identity = uid or uuid7()
        chosen = self._format(kind, transport, "")
        begun = settings if uid else await self._listening.begin(person.org_id, kind, transport, settings)
        plain = orjson.dumps(dict(begun)).decode()
        key_id, sealed = self.keyring.seal(person.org_id, identity, "secrets", orjson.dumps(dict(secret))) if secret else (None, None)
        await self.database.engine.execute(
            _SAVE, identity, person.org_id, kind, environment, name.strip(), transport, chosen, plain,
            sealed, key_id,
        )  # fmt: skip
        return identity

    async def drop_draft(self, person: Person, uid: UUID) -> None:
        """Forget a draft."""
        demand(person, Right.BUILD)
        await self.database.engine.execute("DELETE FROM draft WHERE uid = $1 AND org_id = $2 AND environment = ANY($3)", uid, person.org_id, _buildable(person))

    async def keys(self, person: Person) -> list[ApiKey]:
        """Return the API keys of one's sources, live ones first."""
        demand(person, Right.SEE)
        rows = await fetch(self.database, person.org_id, _KEYS)
        return [ApiKey(**row) for row in rows if row["environment"] in person.environments]

    async def create_key(self, person: Person, source: UUID, name: str) -> tuple[UUID, str]:
        """Make a key for a source; return its id and the key: this is the only time it can be seen."""
        token, uid = f"ck_{random.token_urlsafe(32)}", uuid7()
        async with self.database.engine.acquire() as connection, connection.transaction():
            row = await self._locked(connection, person, "source", source)
            _check_name(name)
            await connection.execute(_NEW_KEY, uid, person.org_id, row["id"], name.strip(), key_hash(token), token[-4:])
            await audit.record(connection, person.org_id, person.email, "key.create", public("key", uid), {"name": name, "source": row["name"]})
        return uid, token

    async def revoke_key(self, person: Person, uid: UUID) -> None:
        """Make a key useless at once; raises ``NotFound``."""
        demand(person, Right.BUILD)
        async with self.database.engine.acquire() as connection, connection.transaction():
            name = await connection.fetchval(_REVOKE, uid, person.org_id, _buildable(person))
            if name is None:
                raise nothing_here()
            await audit.record(connection, person.org_id, person.email, "key.revoke", public("key", uid), {"name": name})

    async def inbox(self, person: Person, uid: UUID) -> list[InboxItem]:
        """Return what an inbox destination received; a look at content, so it needs the right to it and is audited."""
        found = await self.one(person, "destination", uid)
        if not found.mine:
            raise nothing_here()
        demand(person, Right.PAYLOADS, found.environment)
        async with self.database.engine.acquire() as connection, connection.transaction():
            await audit.record(connection, person.org_id, person.email, "inbox.view", public("dst", uid), {})
        return await Inbox(self.database, self.keyring).items(person.org_id, found.id)  # type: ignore[arg-type]

    @property
    def _listening(self) -> Listening:
        return Listening(self.database, self.shelf, self.ports)

    def _format(self, kind: EndpointKind, transport: str, wanted: str) -> str:
        possible = self.shelf.formats(kind, transport)
        if wanted and wanted not in possible:
            raise Conflict(f"{transport} carries {', '.join(possible)}, not {wanted}.")
        return wanted or possible[0]

    async def _whole(self, person: Person, kind: EndpointKind, uid: UUID) -> tuple[str, dict[str, object]]:
        async with self.database.engine.acquire() as connection:
            row = await connection.fetchrow(f"SELECT * FROM {kind} WHERE uid = $1 AND org_id = $2 AND deleted_at IS NULL", uid, person.org_id)  # noqa: S608
            if row is None:
                raise nothing_here()
            demand(person, Right.BUILD, row["environment"])
            return row["transport"], {**orjson.loads(row["settings"]), **await self._secrets(connection, kind, uid, person.org_id)}

    async def _locked(self, connection: asyncpg.Connection, person: Person, kind: EndpointKind, uid: UUID) -> asyncpg.Record:
        row = await connection.fetchrow(_LOCK.format(kind), uid, person.org_id)
        if row is None:
            raise nothing_here()
        demand(person, Right.BUILD, row["environment"])
        return row

    async def _secrets(self, connection: asyncpg.Connection, table: str, uid: UUID, org: OrgId) -> dict[str, Any]:
        row = await connection.fetchrow(f"SELECT secrets, secrets_key FROM {table} WHERE uid = $1 AND org_id = $2", uid, org)  # noqa: S608
        if row is None or row["secrets"] is None:
            return {}
        found: dict[str, Any] = orjson.loads(self.keyring.unseal(org, uid, "secrets", row["secrets_key"], row["secrets"]))
        return found

    async def _tell(self, connection: asyncpg.Connection, person: Person, kind: EndpointKind, verb: str, uid: UUID, body: dict[str, object]) -> None:
        await audit.record(connection, person.org_id, person.email, f"{kind}.{verb}", public(PREFIX[kind], uid), body)

    def _shown(self, kind: EndpointKind, row: RowMapping, secret: Mapping[str, Any] | None = None) -> Endpoint:
        return Endpoint(
            kind, row["uid"], row["name"], row["environment"], row["transport"], row["format"], row["enabled"], row["mine"], row["owner"], row["settings"],
            _last_four(secret or {}), row["verified_at"], row["last_at"], row["uses"], row["version"], row["id"],
        )  # fmt: skip

    def _draft(self, row: RowMapping, secret: Mapping[str, Any]) -> Draft:
        return Draft(**{**row, "secrets": _last_four(secret)})


def _last_four(secret: Mapping[str, Any]) -> dict[str, str]:
    return {name: "…" + str(value)[-4:] if len(str(value)) >= 12 else "set" for name, value in secret.items() if value}


def _check_name(name: str) -> None:
    if not 1 <= len(name.strip()) <= 200:
        raise Conflict("A name has between 1 and 200 characters.")


def _buildable(person: Person) -> list[str]:
    return [environment for environment in ENVIRONMENTS if may(person, Right.BUILD, environment)]

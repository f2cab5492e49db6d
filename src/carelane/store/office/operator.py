"""What only the operator of a hub may do, at its own machine: create organizations, help people back in, shut people out."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from carelane.domain.errors import Conflict, NotFound
from carelane.store import audit
from carelane.store.database import Database
from carelane.store.office.team import Team
from carelane.store.people import hash_password, weakness

_USERS = """
SELECT u.email, u.name, u.disabled_at, (SELECT max(i.seen_at) FROM sign_in i WHERE i.user_id = u.id) AS seen_at,
       coalesce((SELECT jsonb_agg(jsonb_build_array(o.name, m.role) ORDER BY o.name) FROM membership m JOIN organization o ON o.id = m.org_id
                 WHERE m.user_id = u.id), '[]') AS organizations
FROM user_account u ORDER BY u.email
"""
_ORGANIZATIONS = """
SELECT o.slug, o.name, o.kind, o.listed, o.disabled_at, (SELECT count(*) FROM membership m WHERE m.org_id = o.id) AS members
FROM organization o ORDER BY o.name
"""
_HOLDS = """
SELECT o.slug, o.name, h.reason, h.placed_by, h.placed_at FROM legal_hold h JOIN organization o ON o.id = h.org_id
WHERE h.lifted_at IS NULL ORDER BY h.placed_at
"""
_LIFT = "UPDATE legal_hold SET lifted_at = now(), lifted_by = $2 WHERE org_id = $1 AND lifted_at IS NULL RETURNING id"
_PORTS = """
SELECT p.port, o.slug, o.name AS organization, s.name AS source, s.environment, p.since,
       CASE WHEN p.source_id IS NULL THEN 'reserved' WHEN s.enabled THEN 'in use' ELSE 'switched off' END AS state
FROM listen_port p JOIN organization o ON o.id = p.org_id LEFT JOIN source s ON s.id = p.source_id ORDER BY p.port
"""
_PORT = """
SELECT p.org_id, p.source_id, o.name AS organization, s.name AS source
FROM listen_port p JOIN organization o ON o.id = p.org_id LEFT JOIN source s ON s.id = p.source_id WHERE p.port = $1 FOR UPDATE OF p
"""
_FREE_PORT = "DELETE FROM listen_port WHERE port = $1"
_KEEP_PORT = "INSERT INTO listen_port (port, org_id) VALUES ($1, $2)"
_BY_EMAIL = "SELECT id, email, name, disabled_at FROM user_account WHERE email = lower($1) FOR UPDATE"
_ORGS = "SELECT org_id FROM membership WHERE user_id = $1 ORDER BY org_id"
_ONLY_OWNER = """
SELECT o.name FROM membership m JOIN organization o ON o.id = m.org_id AND o.disabled_at IS NULL
WHERE m.user_id = $1 AND m.role = 'owner' AND NOT EXISTS (
  SELECT 1 FROM membership x JOIN user_account u ON u.id = x.user_id AND u.disabled_at IS NULL
  WHERE x.org_id = m.org_id AND x.role = 'owner' AND x.user_id <> $1)
ORDER BY o.name
"""


@dataclass(frozen=True)
class Operator:
    """Every change is in the audit trail of the organizations it touches, under the operator's name."""

    database: Database
    team: Team
    actor: str

    async def users(self) -> Sequence[asyncpg.Record]:
        """Return every person with their organizations."""
        found: Sequence[asyncpg.Record] = await self.database.engine.fetch(_USERS)
        return found

    async def organizations(self) -> Sequence[asyncpg.Record]:
        """Return every organization, the built-in ones too."""
        found: Sequence[asyncpg.Record] = await self.database.engine.fetch(_ORGANIZATIONS)
        return found

    async def create_organization(self, name: str, kind: str, owner: str, owner_name: str) -> str | None:
        """Create an organization owned by this person; return the password of one who was not known before.

        Raises:
            Conflict: a name or kind will not do, or the person is disabled.
        """
        address = owner.strip().lower()
        row = await self.database.engine.fetchrow(_BY_EMAIL, address)
        if row is not None:
            if row["disabled_at"] is not None:
                raise Conflict(f"{address} is disabled; enable them first (carelane admin enable-user).")
            await self.team.create_organization(name, kind, actor=self.actor, owner=row["id"])
            return None
        password = _password()
        await self.team.sign_up(email=address, name=owner_name or address.split("@")[0], password=password, organization=name, kind=kind)
        return password

    async def reset_password(self, email: str, password: str = "") -> str:
        """Give a person a new password, made up when none is given; their sign-ins end. Raises ``NotFound`` or ``Conflict``."""
        async with self.database.engine.acquire() as connection, connection.transaction():
            row = await self._person(connection, email)
            chosen = password or _password()
            if found := weakness(chosen, row["email"], row["name"]):
                raise Conflict(found)
            await connection.execute("UPDATE user_account SET password_hash = $2, password_changed_at = now() WHERE id = $1", row["id"], hash_password(chosen))
            await self._shut_out(connection, row["id"])
            await self._tell(connection, row["id"], "user.reset-password", row["email"])
        return chosen

    async def disable(self, email: str, *, force: bool = False) -> None:
        """Shut a person out: sign-ins end, keys are refused. Raises ``NotFound``, or ``Conflict`` for the only owner of an organization."""
        async with self.database.engine.acquire() as connection, connection.transaction():
            row = await self._person(connection, email)
            alone = [found["name"] for found in await connection.fetch(_ONLY_OWNER, row["id"])]
            if alone and not force:
                raise Conflict(f"{row['email']} is the only owner of {', '.join(alone)}: make somebody else an owner first, or repeat with --force.")
            await connection.execute("UPDATE user_account SET disabled_at = coalesce(disabled_at, now()) WHERE id = $1", row["id"])
            await self._shut_out(connection, row["id"])
            await self._tell(connection, row["id"], "user.disable", row["email"])

    async def enable(self, email: str) -> None:
        """Let a person in again. Raises ``NotFound``."""
        async with self.database.engine.acquire() as connection, connection.transaction():
            row = await self._person(connection, email)
            await connection.execute("UPDATE user_account SET disabled_at = NULL WHERE id = $1", row["id"])
            await self._tell(connection, row["id"], "user.enable", row["email"])

    async def holds(self) -> Sequence[asyncpg.Record]:
        """Return the legal holds that stand."""
        found: Sequence[asyncpg.Record] = await self.database.engine.fetch(_HOLDS)
        return found

    async def hold(self, slug: str, reason: str) -> None:
        """Keep what an organization sent, received and was told beyond its time. Raises ``NotFound``, or ``Conflict`` when it is held already."""
        async with self.database.engine.acquire() as connection, connection.transaction():
            org = await self._organization(connection, slug)
            try:
                await connection.execute("INSERT INTO legal_hold (org_id, reason, placed_by) VALUES ($1, $2, $3)", org, reason, self.actor)
            except asyncpg.UniqueViolationError:
                raise Conflict(f"{slug} is held already; lift that hold first (carelane admin holds lift {slug}).") from None
            await audit.record(connection, org, self.actor, "hold.place", slug, {"reason": reason})

    async def lift(self, slug: str) -> None:
        """End a legal hold: what it kept goes with the next upkeep. Raises ``NotFound``, or ``Conflict`` when there is none."""
        async with self.database.engine.acquire() as connection, connection.transaction():
            org = await self._organization(connection, slug)
            if await connection.fetchval(_LIFT, org, self.actor) is None:
                raise Conflict(f"{slug} is not held.")
            await audit.record(connection, org, self.actor, "hold.lift", slug, {})

    async def _organization(self, connection: asyncpg.Connection, slug: str) -> int:
        org = await connection.fetchval("SELECT id FROM organization WHERE slug = $1 FOR UPDATE", slug)
        if org is None:
            raise NotFound(f"there is no organization {slug}", pointer="carelane admin organizations")
        return int(org)

    async def ports(self) -> Sequence[asyncpg.Record]:
        """Return every listen port that is somebody's, and whose."""
        found: Sequence[asyncpg.Record] = await self.database.engine.fetch(_PORTS)
        return found

    async def free_port(self, port: int, *, to: str = "", force: bool = False) -> None:
        """Let anybody have a reserved port, or only the organization with the short name ``to``.

        Raises:
            NotFound: the port is nobody's, or there is no such organization.
            Conflict: a source has it; with ``force`` it loses the port and is closed.
        """
        async with self.database.engine.acquire() as connection, connection.transaction():
            held = await connection.fetchrow(_PORT, port)
            if held is None and not to:
                raise NotFound(f"Port {port} is nobody's.", pointer="See: carelane admin ports list")
            if held is not None and held["source_id"] is not None and not force:
                raise Conflict(
                    f"Port {port} belongs to the source {held['source']} of {held['organization']}: delete the source or give it another port first, "
                    "or repeat with --force, which closes it."
                )
            heir = await connection.fetchval("SELECT id FROM organization WHERE slug = $1", to) if to else None
            if to and heir is None:
                raise NotFound(f"There is no organization with the short name {to}.", pointer="See: carelane admin organizations")
            await connection.execute(_FREE_PORT, port)
            if held is not None:
                await audit.record(connection, held["org_id"], self.actor, "port.free", f"port {port}", {"source": held["source"]})
            if heir is not None:
                await connection.execute(_KEEP_PORT, port, heir)
                await audit.record(connection, heir, self.actor, "port.reserve", f"port {port}", {})

    async def _person(self, connection: asyncpg.Connection, email: str) -> asyncpg.Record:
        row = await connection.fetchrow(_BY_EMAIL, email.strip())
        if row is None:
            raise NotFound(f"Nobody here has the address {email.strip()}.", pointer="See: carelane admin users")
        return row

    async def _shut_out(self, connection: asyncpg.Connection, user: int) -> None:
        await connection.execute("DELETE FROM sign_in WHERE user_id = $1", user)

    async def _tell(self, connection: asyncpg.Connection, user: int, action: str, email: str) -> None:
        for found in await connection.fetch(_ORGS, user):
            await audit.record(connection, found["org_id"], self.actor, action, email, {})


def _password() -> str:
    return secrets.token_urlsafe(15)

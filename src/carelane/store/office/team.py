"""Organizations and their people: sign-up, invitations, roles, profile. At least one owner stays, always."""

import hashlib
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from carelane.domain.errors import Conflict, Stale
from carelane.domain.ids import OrgId
from carelane.domain.office import KINDS, Invitation, Member, Moment, Organization
from carelane.domain.permissions import ENVIRONMENT_ROLES, ENVIRONMENTS, ORGANIZATION_ROLES, Right, demand, nothing_here, rights
from carelane.domain.views import Person
from carelane.kit.ids import public, uuid7
from carelane.store import audit
from carelane.store.catalogue.organization import create_organization
from carelane.store.database import Database
from carelane.store.keys import Keyring
from carelane.store.office.defaults import add_defaults
from carelane.store.office.partners import Notify
from carelane.store.office.reading import ORGANIZATION, fetch, organization_of
from carelane.store.people import create_user, hash_password, verify, weakness

_TAKEN = "This e-mail address has an account already; sign in, then create the organization from the menu."
_INVITED_DAYS = 14
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,190}\.[^@\s.]{2,}")
_ME = f"SELECT {ORGANIZATION.format('o')} FROM organization o WHERE o.id = :org"  # noqa: S608
_PROFILE = """
UPDATE organization SET name = $2, kind = $3, listed = $4, profile = $5::jsonb, version = version + 1
WHERE id = $1 AND ($6::int IS NULL OR version = $6) RETURNING id
"""
_LOGO = "UPDATE organization SET logo = $2, logo_type = $3, version = version + 1 WHERE id = $1"
_MOST_LOGO_BYTES = 128 * 1024
_IMAGES = {"image/png": ((0, b"\x89PNG\r\n\x1a\n"),), "image/jpeg": ((0, b"\xff\xd8\xff"),), "image/webp": ((0, b"RIFF"), (8, b"WEBP"))}
_MEMBERS = """
SELECT u.uid, u.name, u.email, m.role, m.payloads, u.disabled_at IS NOT NULL AS disabled, m.version,
  coalesce((SELECT jsonb_object_agg(e.environment, e.role) FROM environment_role e WHERE e.org_id = m.org_id AND e.user_id = m.user_id), '{}') AS environments
FROM membership m JOIN user_account u ON u.id = m.user_id ORDER BY array_position(ARRAY['owner', 'admin', 'member'], m.role), lower(u.name)
"""
_INVITATIONS = """
SELECT uid, email, role, environments, payloads, created_at, expires_at, accepted_at, revoked_at FROM invitation ORDER BY created_at DESC LIMIT 200
"""
_INVITE = """
INSERT INTO invitation (uid, org_id, email, role, environments, payloads, token_sha256, invited_by, expires_at)
VALUES ($1, $2, $3, $4, $5::jsonb, $6, $7, $8, now() + make_interval(days => $9))
"""
_OPEN = """
SELECT i.*, o.name AS org_name FROM invitation i JOIN organization o ON o.id = i.org_id
WHERE i.token_sha256 = $1 AND i.accepted_at IS NULL AND i.revoked_at IS NULL AND i.expires_at > now() AND o.disabled_at IS NULL
"""
_JOIN = """
INSERT INTO membership (org_id, user_id, role, payloads) VALUES ($1, $2, $3, $4)
ON CONFLICT (org_id, user_id) DO UPDATE SET role = $3, payloads = $4, version = membership.version + 1
"""
_LOCK = "SELECT m.*, u.email FROM membership m JOIN user_account u ON u.id = m.user_id WHERE m.org_id = $1 AND u.uid = $2 FOR UPDATE OF m"
_OWNERS = "SELECT count(*) FROM (SELECT 1 FROM membership WHERE org_id = $1 AND role = 'owner' FOR UPDATE) x"
_ENVIRONMENT = "INSERT INTO environment_role (org_id, user_id, environment, role) VALUES ($1, $2, $3, $4)"
_AUDIT = "SELECT at, actor, action, subject, body FROM audit WHERE (:action = '' OR action LIKE :like) ORDER BY n DESC LIMIT 100 OFFSET :skip"


@dataclass(frozen=True)
class Team:
    """Who belongs to an organization, and what it says of itself."""

    database: Database
    keyring: Keyring
    notify: Notify
    models: Sequence[str]
    """The data models the hub knows: what default connections carry."""

    async def sign_up(self, *, email: str, name: str, password: str, organization: str, kind: str) -> None:
        """Create a person and their organization, with environments, endpoints and default connections.

        Raises:
            Conflict: something is missing or taken; the sentence says what.
        """
        _check_person(email, name, password)
        _check_organization(organization, kind)
        if await self.database.engine.fetchval("SELECT 1 FROM user_account WHERE email = lower($1)", email.strip()):
            raise Conflict(_TAKEN)
        org = await self.create_organization(organization, kind, actor=email.strip().lower())
        try:
            await create_user(self.database, email=email.strip(), name=name.strip(), password=password, orgs=[org])
        except asyncpg.UniqueViolationError:  # the same person signed up twice at the same moment
            await self.database.engine.execute("UPDATE organization SET disabled_at = now() WHERE id = $1", org)
            raise Conflict(_TAKEN) from None

    async def create_organization(self, name: str, kind: str, *, actor: str, owner: int | None = None) -> OrgId:
        """Create an organization with its default connections; ``owner`` becomes its first owner."""
        _check_organization(name, kind)
        org = await self._create(name.strip(), kind, actor)
        await add_defaults(self.database, self.keyring, org, self.models)
        if owner is not None:
            async with self.database.engine.acquire() as connection, connection.transaction():
                await connection.execute(_JOIN, org, owner, "owner", True)
                for environment in ENVIRONMENTS:
                    await connection.execute(_ENVIRONMENT, org, owner, environment, "engineer")
        return org

    async def me(self, person: Person) -> Organization:
        """Return one's own organization."""
        return organization_of((await fetch(self.database, person.org_id, _ME))[0])

    async def change_profile(self, person: Person, *, name: str, kind: str, listed: bool, profile: Mapping[str, object], version: int | None = None) -> None:
        """Change what the directory shows.

        Raises:
            Conflict: the name is empty, or the alert address is none.
            Stale: it was changed since it was read.
        """
        demand(person, Right.PROFILE)
        if not 1 <= len(name.strip()) <= 200 or kind not in KINDS:
            raise Conflict("An organization has a name and a kind.")
        alert = str(profile.get("alert_email") or "")
        if alert and not _EMAIL.fullmatch(alert):
            raise Conflict("The alert address is no e-mail address.")
        async with self.database.engine.acquire() as connection, connection.transaction():
            changed = await connection.fetchval(_PROFILE, person.org_id, name.strip(), kind, listed, orjson.dumps(dict(profile)).decode(), version)
            if changed is None:
                raise Stale("Somebody changed the profile since you read it.", pointer="Read it again, then repeat your change.")
            await audit.record(connection, person.org_id, person.email, "organization.change", "profile", {"listed": listed, "name": name.strip()})

    async def set_logo(self, person: Person, image: bytes) -> None:
        """Change the logo; no bytes take it away.

        Raises:
            Conflict: it is too large, or no PNG, JPEG or WebP.
        """
        demand(person, Right.PROFILE)
        kind = next((kind for kind, marks in _IMAGES.items() if all(image[at : at + len(mark)] == mark for at, mark in marks)), None)
        if image and kind is None:
            raise Conflict("A logo is a PNG, JPEG or WebP image.")
        if len(image) > _MOST_LOGO_BYTES:
            raise Conflict(f"A logo has at most {_MOST_LOGO_BYTES // 1024} KB; a square of 256 pixels is plenty.")
        async with self.database.engine.acquire() as connection, connection.transaction():
            await connection.execute(_LOGO, person.org_id, image or None, kind if image else None)
            await audit.record(connection, person.org_id, person.email, "organization.change", "logo", {"bytes": len(image)})

    async def logo(self, person: Person, uid: UUID) -> tuple[str, bytes]:
        """Return the media type and bytes of the logo of one's own organization, a partner or a listed one; raises ``NotFound``."""
        rows = await fetch(self.database, person.org_id, "SELECT logo, logo_type FROM organization WHERE uid = :uid AND logo IS NOT NULL", uid=uid)
        if not rows:
            raise nothing_here()
        return rows[0]["logo_type"], rows[0]["logo"]

    async def members(self, person: Person) -> list[Member]:
        """Return the people of one's organization; raises ``NotFound`` without the right to see roles."""
        demand(person, Right.SEE_ROLES)
        return [Member(**row) for row in await fetch(self.database, person.org_id, _MEMBERS)]

    async def difference(self, person: Person, uid: UUID, *, role: str, environments: Mapping[str, str], payloads: bool) -> tuple[list[str], list[str]]:
        """Return what a person would gain and lose by a change of roles."""
        found = next((member for member in await self.members(person) if member.uid == uid), None)
        if found is None:
            raise nothing_here()
        before = rights(found.role, found.environments, payloads=found.payloads)
        after = rights(role, environments, payloads=payloads)
        return [one for one in after if one not in before], [one for one in before if one not in after]

    async def change_roles(self, person: Person, uid: UUID, *, role: str, environments: Mapping[str, str], payloads: bool, version: int | None = None) -> None:
        """Give a person other roles.

        Raises:
            Conflict: an unknown role, or the last owner would go.
            NotFound: there is no such person here, or one may not change these roles.
            Stale: they were changed since they were read.
        """
        demand(person, Right.ENVIRONMENT_ROLES)
        _check_roles(role, environments)
        async with self.database.engine.acquire() as connection, connection.transaction():
            row = await connection.fetchrow(_LOCK, person.org_id, uid)
            if row is None:
                raise nothing_here()
            if version is not None and version != row["version"]:
                raise Stale("Somebody changed these roles since you read them.", pointer="Read them again, then repeat your change.")
            if role != row["role"]:
                demand(person, Right.ORGANIZATION_ROLES)
                await self._keep_an_owner(connection, person, row, role)
            await connection.execute(_JOIN, person.org_id, row["user_id"], role, payloads)
            await connection.execute("DELETE FROM environment_role WHERE org_id = $1 AND user_id = $2", person.org_id, row["user_id"])
            for environment, one in environments.items():
                await connection.execute(_ENVIRONMENT, person.org_id, row["user_id"], environment, one)
            body = {"role": role, "environments": dict(environments), "payloads": payloads}
            await audit.record(connection, person.org_id, person.email, "member.change", public("usr", uid), body)

    async def remove(self, person: Person, uid: UUID) -> None:
        """Take a person out of the organization; they are signed out of it at once."""
        demand(person, Right.ORGANIZATION_ROLES)
        async with self.database.engine.acquire() as connection, connection.transaction():
            row = await connection.fetchrow(_LOCK, person.org_id, uid)
            if row is None:
                raise nothing_here()
            await self._keep_an_owner(connection, person, row, "")
            await connection.execute("DELETE FROM membership WHERE org_id = $1 AND user_id = $2", person.org_id, row["user_id"])
            await connection.execute("DELETE FROM sign_in WHERE org_id = $1 AND user_id = $2", person.org_id, row["user_id"])
            await audit.record(connection, person.org_id, person.email, "member.remove", public("usr", uid), {"email": row["email"]})

    async def _keep_an_owner(self, connection: asyncpg.Connection, person: Person, row: asyncpg.Record, role: str) -> None:
        if row["role"] == "owner" and role != "owner" and await connection.fetchval(_OWNERS, person.org_id) < 2:
            raise Conflict("An organization keeps at least one owner: make somebody else an owner first.")

    async def invitations(self, person: Person) -> list[Invitation]:
        """Return the invitations of one's organization, newest first."""
        demand(person, Right.INVITE)
        return [Invitation(**row) for row in await fetch(self.database, person.org_id, _INVITATIONS)]

    async def invite(self, person: Person, *, email: str, role: str, environments: Mapping[str, str], payloads: bool) -> str:
        """Invite somebody; return the token of the link, which is mailed where mail is configured.

        Raises:
            Conflict: no e-mail address, an unknown role, or one is invited already.
        """
        demand(person, Right.INVITE)
        _check_roles(role, environments)
        if role != "member":
            demand(person, Right.ORGANIZATION_ROLES)
        address = email.strip().lower()
        if not _EMAIL.fullmatch(address):
            raise Conflict("Write an e-mail address, such as ann@example.org.")
        token, uid = secrets.token_urlsafe(32), uuid7()
        async with self.database.engine.acquire() as connection, connection.transaction():
            try:
                await connection.execute(
                    _INVITE, uid, person.org_id, address, role, orjson.dumps(dict(environments)).decode(), payloads, _hash(token), person.id, _INVITED_DAYS
                )
            except asyncpg.UniqueViolationError:
                raise Conflict(f"{address} has an open invitation already; withdraw it to send another.") from None
            await audit.record(connection, person.org_id, person.email, "invitation.create", public("inv", uid), {"email": address, "role": role})
        text = f"{person.name} invites you to {person.org_name} on Carelane. Open /join/{token} on this hub within {_INVITED_DAYS} days."
        await self.notify([address], f"Invitation to {person.org_name}", text)
        return token

    async def revoke_invitation(self, person: Person, uid: UUID) -> None:
        """Withdraw an invitation that was not accepted yet."""
        demand(person, Right.INVITE)
        async with self.database.engine.acquire() as connection, connection.transaction():
            email = await connection.fetchval(
                "UPDATE invitation SET revoked_at = now() WHERE uid = $1 AND org_id = $2 AND accepted_at IS NULL AND revoked_at IS NULL RETURNING email",
                uid, person.org_id,
            )  # fmt: skip
            if email is None:
                raise nothing_here()
            await audit.record(connection, person.org_id, person.email, "invitation.revoke", public("inv", uid), {"email": email})

    async def invitation(self, token: str) -> Invitation | None:
        """Return the open invitation of a link; None when it is used, withdrawn, too old or unknown."""
        row = await self.database.engine.fetchrow(_OPEN, _hash(token))
        if row is None:
            return None
        plain: dict[str, Any] = {name: row[name] for name in ("uid", "email", "role", "payloads", "created_at", "expires_at", "accepted_at", "revoked_at")}
        return Invitation(environments=orjson.loads(row["environments"]), organization=row["org_name"], **plain)

    async def join(self, token: str, *, name: str, password: str) -> str:
        """Accept an invitation: a known person proves their password, a new one chooses it. Return the e-mail address.

        Raises:
            Conflict: the invitation is over, the password is weak or, for a known person, wrong.
        """
        async with self.database.engine.acquire() as connection, connection.transaction():
            row = await connection.fetchrow(_OPEN + " FOR UPDATE OF i", _hash(token))
            if row is None:
                raise Conflict("This invitation was used, withdrawn or is too old; ask for a new one.")
            user = await connection.fetchrow("SELECT id, password_hash FROM user_account WHERE email = $1 AND disabled_at IS NULL", row["email"])
            user_id = user["id"] if user else await self._new_user(connection, row["email"], name, password)
            if user is not None and not verify(user["password_hash"], password):
                raise Conflict("This address has an account: write its password to join with it.")
            await connection.execute(_JOIN, row["org_id"], user_id, row["role"], row["payloads"])
            await connection.execute("DELETE FROM environment_role WHERE org_id = $1 AND user_id = $2", row["org_id"], user_id)
            for environment, one in orjson.loads(row["environments"]).items():
                await connection.execute(_ENVIRONMENT, row["org_id"], user_id, environment, one)
            await connection.execute("UPDATE invitation SET accepted_at = now() WHERE id = $1", row["id"])
            await audit.record(connection, row["org_id"], row["email"], "invitation.accept", public("inv", row["uid"]), {"role": row["role"]})
        return str(row["email"])

    async def _new_user(self, connection: asyncpg.Connection, email: str, name: str, password: str) -> int:
        _check_person(email, name, password)
        return int(
            await connection.fetchval(
                "INSERT INTO user_account (uid, email, name, password_hash) VALUES ($1, $2, $3, $4) RETURNING id",
                uuid7(),
                email,
                name.strip(),
                hash_password(password),
            )
        )

    async def trail(self, person: Person, *, action: str = "", page: int = 1) -> list[tuple[Moment, str]]:
        """Return the audit trail, newest first, a hundred entries a page, with what each is about."""
        demand(person, Right.AUDIT)
        rows = await fetch(self.database, person.org_id, _AUDIT, action=action, like=f"{action.replace('%', '')}%", skip=(max(page, 1) - 1) * 100)
        return [(Moment(row["at"], row["actor"], row["action"], row["body"]), row["subject"]) for row in rows]

    async def chain(self, person: Person) -> int | None:
        """Walk the audit trail; return the first entry that does not fit, None when all do."""
        demand(person, Right.AUDIT)
        async with self.database.engine.acquire() as connection:
            return await audit.verify(connection, person.org_id)

    async def _create(self, name: str, kind: str, actor: str) -> OrgId:
        """Two that sign up under one name at the same moment both get in: the short name is ours to choose."""
        for last in (False, False, False, True):
            try:
                return await create_organization(self.database, self.keyring, slug=await self._slug(name), name=name, kind=kind, listed=False, actor=actor)
            except Conflict:
                if last:
                    raise
        raise AssertionError("the loop returns or raises")

    async def _slug(self, name: str) -> str:
        base = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:48] or "organization"
        base = base if len(base) > 1 else f"{base}-org"
        taken = {row["slug"] for row in await self.database.engine.fetch("SELECT slug FROM organization WHERE slug LIKE $1", f"{base}%")}
        return next(slug for slug in (base, *(f"{base}-{number}" for number in range(2, 10_000))) if slug not in taken)


def _check_person(email: str, name: str, password: str) -> None:
    if not _EMAIL.fullmatch(email.strip()):
        raise Conflict("Write an e-mail address, such as ann@example.org.")
    if not 1 <= len(name.strip()) <= 200:
        raise Conflict("Write your name, as partners will read it.")
    if found := weakness(password, email, name):
        raise Conflict(found)


def _check_organization(name: str, kind: str) -> None:
    if not 1 <= len(name.strip()) <= 200:
        raise Conflict("Name your organization, as partners know it.")
    if kind not in KINDS:
        raise Conflict("Choose what kind of organization it is.")


def _check_roles(role: str, environments: Mapping[str, str]) -> None:
    if role not in ORGANIZATION_ROLES or not set(environments) <= set(ENVIRONMENTS) or not set(environments.values()) <= set(ENVIRONMENT_ROLES):
        raise Conflict(f"Roles are {', '.join(ORGANIZATION_ROLES)}; per environment {', '.join(ENVIRONMENT_ROLES)}.")


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()

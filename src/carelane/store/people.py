"""Users, their organizations, and signing in: argon2id passwords, server-side sign-ins."""

import hashlib
import secrets

import asyncpg
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from carelane.domain.ids import OrgId
from carelane.domain.views import Person
from carelane.kit.ids import uuid7
from carelane.store.database import Database

_HASHER = PasswordHasher()
_SHORTEST, _LONGEST = 12, 256
_COMMON = ("password", "passwordpassword", "qwertyuiop", "qwertyuiopas", "letmeinletmein", "administrator", "iloveyouiloveyou", "welcomewelcome", "carelane",
           "carelanecarelane", "abcdefghijkl", "1234567890ab", "changemechangeme")  # fmt: skip
_NOBODY = _HASHER.hash("nobody has this password")  # checked when the user is unknown, so that both take as long
_NEW = "INSERT INTO user_account (uid, email, name, password_hash) VALUES ($1, lower($2), $3, $4) RETURNING id"
_JOIN = "INSERT INTO membership (org_id, user_id, role, payloads) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING"
_BY_EMAIL = "SELECT id, password_hash FROM user_account WHERE email = lower($1) AND disabled_at IS NULL"
_FIRST_ORG = "SELECT org_id FROM membership WHERE user_id = $1 ORDER BY created_at, org_id LIMIT 1"
_SIGN_IN = "INSERT INTO sign_in (token_sha256, user_id, org_id, expires_at) VALUES ($1, $2, $3, now() + interval '12 hours')"
_WHO = """
UPDATE sign_in i SET seen_at = now() FROM user_account u, organization o, membership m
WHERE i.token_sha256 = $1 AND i.expires_at > now() AND i.seen_at > now() - interval '60 minutes'
  AND u.id = i.user_id AND u.disabled_at IS NULL AND o.id = i.org_id AND o.disabled_at IS NULL AND m.org_id = i.org_id AND m.user_id = i.user_id
RETURNING u.id, u.name, u.email, i.org_id, o.name AS org_name, m.role, m.payloads
"""
_WAITING = "SELECT count(*) FROM connection WHERE partner_org_id = $1 AND state = 'requested'"
_ENVIRONMENTS = "SELECT environment, role FROM environment_role WHERE org_id = $1 AND user_id = $2"
_ENGINEER = "INSERT INTO environment_role (org_id, user_id, environment, role) SELECT $1, $2, kind, $3 FROM environment WHERE org_id = $1"
_ORGS = "SELECT o.id, o.slug, o.name FROM membership m JOIN organization o ON o.id = m.org_id WHERE m.user_id = $1 ORDER BY m.created_at, o.id"
_SWITCH = """
UPDATE sign_in SET org_id = m.org_id FROM membership m
WHERE token_sha256 = $1 AND m.user_id = sign_in.user_id AND m.org_id = $2 RETURNING m.org_id
"""


async def create_user(database: Database, *, email: str, name: str, password: str, orgs: list[OrgId], role: str = "owner") -> int:
    """Create a user who belongs to organizations: an engineer everywhere, or as a plain member a viewer."""
    async with database.engine.acquire() as connection, connection.transaction():
        user = await connection.fetchval(_NEW, uuid7(), email, name, _HASHER.hash(password))
        for org in orgs:
            await connection.execute(_JOIN, org, user, role, True)
            await connection.execute(_ENGINEER, org, user, "engineer" if role != "member" else "viewer")
    return int(user)


async def sign_in(database: Database, email: str, password: str) -> str | None:
    """Check a password; return the token for the cookie, or None. The same time passes for a user nobody knows."""
    row = await database.engine.fetchrow(_BY_EMAIL, email)
    if not verify(row["password_hash"] if row else _NOBODY, password) or row is None:
        return None
    org = await database.engine.fetchval(_FIRST_ORG, row["id"])
    if org is None:
        return None
    token = secrets.token_urlsafe(32)
    await database.engine.execute(_SIGN_IN, _hash(token), row["id"], org)
    return token


async def who(database: Database, token: str) -> Person | None:
    """Return who holds this token, unless it expired or its user or organization was disabled."""
    row = await database.engine.fetchrow(_WHO, _hash(token))
    if row is None:
        return None
    return await person_of(database, row)


async def person_of(database: Database, row: asyncpg.Record) -> Person:
    """Complete a person's row with their organizations and environment roles."""
    orgs: list[asyncpg.Record] = await database.engine.fetch(_ORGS, row["id"])
    return Person(
        row["id"],
        row["name"],
        row["email"],
        OrgId(row["org_id"]),
        row["org_name"],
        row["role"],
        row["payloads"],
        tuple((org["id"], org["name"]) for org in orgs),
        {found["environment"]: found["role"] for found in await database.engine.fetch(_ENVIRONMENTS, row["org_id"], row["id"])},
        await database.engine.fetchval(_WAITING, row["org_id"]) if row["role"] in ("owner", "admin") else 0,
    )


async def switch(database: Database, token: str, org: int) -> bool:
    """Act for another of one's organizations; False when one does not belong to it."""
    return await database.engine.fetchval(_SWITCH, _hash(token), org) is not None


async def sign_out(database: Database, token: str) -> None:
    """End a sign-in."""
    await database.engine.execute("DELETE FROM sign_in WHERE token_sha256 = $1", _hash(token))


def hash_password(password: str) -> str:
    """Return what is stored of a password (argon2id)."""
    return _HASHER.hash(password)


def weakness(password: str, *about: str) -> str:
    """Say what is wrong with a new password; empty when it will do (NIST SP 800-63B: length and common ones, no rules of composition)."""
    if len(password) < _SHORTEST:
        return f"Use at least {_SHORTEST} characters; a few words in a row are easy to remember."
    if len(password) > _LONGEST:
        return f"Use at most {_LONGEST} characters."
    plain = password.casefold()
    if len(set(plain)) < 5:
        return "This repeats the same characters; use a few different words."
    known = [word for text in about for word in text.casefold().replace("@", " ").replace(".", " ").split() if len(word) >= 4]
    if any(plain.strip("0123456789!?. ") == word for word in (*known, *_COMMON)):
        return "This password is among the first that are guessed; use a few different words."
    return ""


def verify(stored: str, password: str) -> bool:
    """Check a password against what is stored of it."""
    try:
        return _HASHER.verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()

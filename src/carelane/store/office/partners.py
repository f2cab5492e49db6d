"""Connections: found in the directory, requested, decided, suspended, ended; what both sides agreed to is kept."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy import RowMapping

from carelane.domain.errors import Conflict
from carelane.domain.office import Agreed, Connection, Moment, Offer, Organization, Stop
from carelane.domain.permissions import ENVIRONMENTS, Right, demand, nothing_here
from carelane.domain.states import next_connection_state
from carelane.domain.views import Person
from carelane.kit.ids import public, uuid7
from carelane.store import audit
from carelane.store.database import Database
from carelane.store.office.reading import ORGANIZATION, fetch, organization_of

Notify = Callable[[Sequence[str], str, str], Awaitable[None]]
"""(addresses, subject, text): sends an e-mail, or logs that there was one to send."""

_LIST = f"""
SELECT c.id, c.uid, c.state, c.org_id = :org AS mine, c.purpose, c.note, c.environments, c.target_date, c.requested_name, c.requested_at,
       c.decided_name, c.decided_at, coalesce(c.decision_reason, '') AS decision_reason, c.on_stop, c.version, {ORGANIZATION.format("p")},
       (SELECT array_agg(jsonb_build_array(o.data_model, o.org_id = :org) ORDER BY o.org_id = :org, o.data_model)
        FROM connection_offer o WHERE o.connection_id = c.id) AS offers
FROM connection c JOIN organization p ON p.id = CASE WHEN c.org_id = :org THEN c.partner_org_id ELSE c.org_id END
WHERE (CAST(:uid AS uuid) IS NULL OR c.uid = :uid) AND (CAST(:states AS text[]) IS NULL OR c.state = ANY(:states))
ORDER BY c.requested_at DESC, c.id DESC LIMIT 500
"""  # noqa: S608  (fixed columns)
_AGREED = """
SELECT a.data_model, s.name AS sender, r.name AS receiver, a.org_id = :org AS outward, a.asked_name, a.signed_name, a.signed_at
FROM agreement a JOIN connection c ON c.id = a.connection_id JOIN organization s ON s.id = a.org_id JOIN organization r ON r.id = a.partner_org_id
WHERE c.uid = :uid ORDER BY outward DESC, a.data_model
"""
_QUEUED = """
SELECT coalesce(sum(l.tail_seq - l.head_seq), 0)::bigint AS queued FROM lane_now l JOIN subscription s ON s.id = l.subscription_id
JOIN connection c ON c.id = s.connection_id WHERE c.uid = :uid
"""
_TIMELINE = """
SELECT at, actor, action, body FROM audit
WHERE subject = :subject OR body->>'connection' = :subject ORDER BY n DESC LIMIT 200
"""
_DIRECTORY = f"""
SELECT {ORGANIZATION.format("o")}, (SELECT jsonb_build_array(c.uid, c.state) FROM connection c
   WHERE :org IN (c.org_id, c.partner_org_id) AND o.id IN (c.org_id, c.partner_org_id) AND c.state NOT IN ('ended', 'declined', 'withdrawn') LIMIT 1) AS known
FROM organization o
WHERE o.id <> :org AND o.disabled_at IS NULL AND o.kind <> 'built-in'
  AND (o.listed OR CAST(:uid AS uuid) IS NOT NULL) AND (CAST(:uid AS uuid) IS NULL OR o.uid = :uid)
  AND (:text = '' OR o.name ILIKE :like OR o.profile->>'place' ILIKE :like OR o.profile->>'ehr' ILIKE :like OR o.profile->>'about' ILIKE :like)
  AND (:kind = '' OR o.kind = :kind)
  AND (:model = '' OR o.profile->'offers' ? :model OR o.profile->'wants' ? :model)
  AND (CAST(:after AS uuid) IS NULL OR o.uid > :after)
ORDER BY CASE WHEN :by_id THEN o.uid::text ELSE lower(o.name) END LIMIT :size OFFSET :skip
"""  # noqa: S608  (fixed columns)
_NEW = """
INSERT INTO connection (uid, org_id, partner_org_id, purpose, note, environments, target_date, requested_by, requested_name)
SELECT $1, $2, o.id, $4, $5, $6, $7, $8, $9 FROM organization o WHERE o.uid = $3 AND o.disabled_at IS NULL AND (o.listed OR o.kind = 'built-in')
RETURNING id, partner_org_id
"""
_OFFER = "INSERT INTO connection_offer (connection_id, org_id, partner_org_id, data_model) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING"
_LOCK = "SELECT * FROM connection WHERE uid = $1 AND $2 IN (org_id, partner_org_id) FOR UPDATE"
_MOVE = "UPDATE connection SET state = $2, version = version + 1, on_stop = coalesce($3, on_stop) WHERE id = $1"
_DECIDE = "UPDATE connection SET decided_by = $2, decided_name = $3, decided_at = now(), decision_reason = $4 WHERE id = $1"
_SIGN = """
INSERT INTO agreement (connection_id, org_id, partner_org_id, data_model, signed_by, signed_name, asked_by, asked_name)
SELECT o.connection_id, o.org_id, o.partner_org_id, o.data_model, $2, $3, $4, $5 FROM connection_offer o
WHERE o.connection_id = $1 AND (o.org_id, o.data_model) IN (SELECT * FROM unnest($6::bigint[], $7::text[])) RETURNING data_model
"""
_END_ALL = """
UPDATE subscription SET state = 'ended', ended_at = now(), drain = $2 AND state <> 'paused', version = version + 1 WHERE connection_id = $1 AND state <> 'ended'
"""
_DECIDERS = """
SELECT u.email FROM membership m JOIN user_account u ON u.id = m.user_id
WHERE m.org_id = $1 AND m.role IN ('owner', 'admin') AND u.disabled_at IS NULL ORDER BY u.email
"""
_ONLY_PARTNER, _ONLY_ASKER = ("accept", "decline"), ("withdraw",)


@dataclass(frozen=True)
class Partners:
    """The business side: who exchanges data with whom."""

    database: Database
    notify: Notify

    async def directory(
        self, person: Person, *, text: str = "", kind: str = "", model: str = "", page: int = 1, size: int = 24, after: UUID | None = None, by_id: bool = False
    ) -> list[tuple[Organization, str]]:
        """Return listed organizations with the state of one's connection to each (empty when there is none), by name or by id."""
        demand(person, Right.REQUEST_CONNECTION)
        like = f"%{text.replace('%', '').replace('_', '')[:100]}%"
        rows = await fetch(
            self.database,
            person.org_id,
            _DIRECTORY,
            uid=None,
            text=text,
            like=like,
            kind=kind,
            model=model,
            size=size,
            skip=max(page - 1, 0) * size,
            after=after,
            by_id=by_id,
        )
        return [(_public(row), row["known"][1] if row["known"] else "") for row in rows]

    async def profile(self, person: Person, uid: UUID) -> tuple[Organization, UUID | None, str]:
        """Return an organization's profile, with the connection to it and its state.

        Raises:
            NotFound: it is neither listed nor a partner.
        """
        demand(person, Right.REQUEST_CONNECTION)
        rows = await fetch(self.database, person.org_id, _DIRECTORY, uid=uid, text="", like="", kind="", model="", size=1, skip=0, after=None, by_id=False)
        if not rows:
            raise nothing_here()
        known = rows[0]["known"]
        return _public(rows[0]), UUID(known[0]) if known else None, known[1] if known else ""

    async def connections(self, person: Person, *states: str) -> list[Connection]:
        """Return the connections of one's organization, newest first; of these states, or all."""
        rows = await fetch(self.database, person.org_id, _LIST, uid=None, states=list(states) or None)
        return [_connection(row) for row in rows]

    async def connection(self, person: Person, uid: UUID) -> Connection:
        """Return one connection with its agreement and how many messages wait.

        Raises:
            NotFound: there is none, or it is not one's own.
        """
        rows = await fetch(self.database, person.org_id, _LIST, uid=uid, states=None)
        if not rows:
            raise nothing_here()
        agreed = await fetch(self.database, person.org_id, _AGREED, uid=uid)
        queued = await fetch(self.database, person.org_id, _QUEUED, uid=uid)
        return replace(_connection(rows[0]), agreed=tuple(Agreed(**line) for line in agreed), queued=queued[0]["queued"])

    async def timeline(self, person: Person, uid: UUID) -> list[Moment]:
        """Return every move of a connection and of its subscriptions, newest first."""
        rows = await fetch(self.database, person.org_id, _TIMELINE, subject=public("con", uid))
        return [Moment(row["at"], row["actor"], row["action"], row["body"]) for row in rows]

    async def request(
        self,
        person: Person,
        partner: UUID,
        *,
        purpose: str,
        offers: Sequence[Offer],
        environments: Sequence[str] = ("development",),
        note: str = "",
        target_date: date | None = None,
    ) -> UUID:
        """Ask an organization to connect; its owners and admins are told.

        Raises:
            Conflict: what is asked cannot be asked: the sentence says why.
            NotFound: there is no such organization in the directory.
        """
        demand(person, Right.REQUEST_CONNECTION)
        _check_request(purpose, offers, environments)
        uid = uuid7()
        async with self.database.engine.acquire() as connection, connection.transaction():
            try:
                row = await connection.fetchrow(
                    _NEW, uid, person.org_id, partner, purpose.strip(), note.strip(), list(environments), target_date, person.id, person.name
                )
            except asyncpg.UniqueViolationError:
                raise Conflict("There is a connection or an open request between your organizations already; see Connections.") from None
            except asyncpg.CheckViolationError:
                raise Conflict("An organization cannot connect to itself. To deliver to your own destination, create a one-party subscription.") from None
            if row is None:
                raise nothing_here()
            for offer in offers:
                sender, receiver = (person.org_id, row["partner_org_id"]) if offer.outward else (row["partner_org_id"], person.org_id)
                await connection.execute(_OFFER, row["id"], sender, receiver, offer.data_model)
            for party in sorted((person.org_id, row["partner_org_id"])):
                await audit.record(
                    connection, party, person.email, "connection.request", public("con", uid), {"models": sorted({o.data_model for o in offers})}
                )
            told = [found["email"] for found in await connection.fetch(_DECIDERS, row["partner_org_id"])]
        await self.notify(
            told,
            f"{person.org_name} asks to connect",
            f"{person.name} of {person.org_name} asks to exchange data with you. Decide under Connections, Requests.",
        )
        return uid

    async def accept(self, person: Person, uid: UUID, models: Sequence[Offer] | None = None) -> None:
        """Accept a request as it is, or with a narrower list.

        Raises:
            Conflict: the request is no longer open, or the list holds nothing, or more than was asked for.
            NotFound: there is no such request to one's organization.
        """
        async with self.database.engine.acquire() as connection, connection.transaction():
            row = await self._locked(connection, person, uid, "accept")
            offered = {
                (offer["org_id"], offer["data_model"]) for offer in await connection.fetch("SELECT * FROM connection_offer WHERE connection_id = $1", row["id"])
            }
            asked = {(person.org_id if one.outward else row["org_id"], one.data_model) for one in models} if models is not None else offered
            if not asked:
                raise Conflict("Choose at least one data model, or decline the request.")
            if not asked <= offered:
                raise Conflict("You can accept less than was asked for, not more. Ask the partner to send a new request.")
            senders, names = zip(*sorted(asked), strict=True)
            signed = await connection.fetch(_SIGN, row["id"], person.id, person.name, row["requested_by"], row["requested_name"], list(senders), list(names))
            await connection.execute(_DECIDE, row["id"], person.id, person.name, None)
            await self._moved(connection, person, row, "accept", {"models": sorted({line["data_model"] for line in signed})})

    async def decline(self, person: Person, uid: UUID, reason: str) -> None:
        """Decline a request; the reason is shown to the other side.

        Raises:
            Conflict: the request is no longer open, or there is no reason.
            NotFound: there is no such request to one's organization.
        """
        if not reason.strip():
            raise Conflict("Say why you decline: the other side will read it.")
        async with self.database.engine.acquire() as connection, connection.transaction():
            row = await self._locked(connection, person, uid, "decline")
            await connection.execute(_DECIDE, row["id"], person.id, person.name, reason.strip()[:1000])
            await self._moved(connection, person, row, "decline", {"reason": reason.strip()[:1000]})

    async def withdraw(self, person: Person, uid: UUID) -> None:
        """Take one's own request back; raises ``Conflict`` once it was decided."""
        async with self.database.engine.acquire() as connection, connection.transaction():
            row = await self._locked(connection, person, uid, "withdraw", Right.REQUEST_CONNECTION)
            await self._moved(connection, person, row, "withdraw", {})

    async def suspend(self, person: Person, uid: UUID, stop: Stop) -> None:
        """Stop exchanging for a while: nothing new is taken; what is queued is held or drained."""
        async with self.database.engine.acquire() as connection, connection.transaction():
            row = await self._locked(connection, person, uid, "suspend")
            await self._moved(connection, person, row, "suspend", {"queued": stop}, stop)

    async def resume(self, person: Person, uid: UUID) -> None:
        """Exchange again after a suspension."""
        async with self.database.engine.acquire() as connection, connection.transaction():
            row = await self._locked(connection, person, uid, "resume")
            await self._moved(connection, person, row, "resume", {})

    async def end(self, person: Person, uid: UUID, stop: Stop) -> None:
        """End a connection and its subscriptions for good; history stays."""
        async with self.database.engine.acquire() as connection, connection.transaction():
            row = await self._locked(connection, person, uid, "end")
            await connection.execute(_END_ALL, row["id"], stop == "drain")
            await self._moved(connection, person, row, "end", {"queued": stop}, stop)

    async def _locked(self, connection: asyncpg.Connection, person: Person, uid: UUID, verb: str, right: Right = Right.DECIDE_CONNECTION) -> asyncpg.Record:
        """Return the connection, locked; whoever comes second waits here and then meets the new state."""
        demand(person, right)
        row = await connection.fetchrow(_LOCK, uid, person.org_id)
        asker = row is not None and row["org_id"] == person.org_id
        if row is None or (verb in _ONLY_PARTNER and asker) or (verb in _ONLY_ASKER and not asker):
            raise nothing_here()
        next_connection_state(row["state"], verb)
        return row

    async def _moved(
        self, connection: asyncpg.Connection, person: Person, row: asyncpg.Record, verb: str, body: dict[str, object], stop: Stop | None = None
    ) -> None:
        await connection.execute(_MOVE, row["id"], next_connection_state(row["state"], verb), stop)
        for party in sorted((row["org_id"], row["partner_org_id"])):
            await audit.record(connection, party, person.email, f"connection.{verb}", public("con", row["uid"]), body)


def _check_request(purpose: str, offers: Sequence[Offer], environments: Sequence[str]) -> None:
    if not purpose.strip():
        raise Conflict("Say what the connection is for: the other side decides by it.")
    if not offers:
        raise Conflict("Choose at least one data model to send or to receive.")
    if not environments or not set(environments) <= set(ENVIRONMENTS):
        raise Conflict(f"Choose at least one environment of {', '.join(ENVIRONMENTS)}.")


def _public(row: RowMapping) -> Organization:
    """What others see: not where alerts go."""
    return replace(organization_of(row), alert_email="")


def _connection(row: RowMapping) -> Connection:
    plain: dict[str, Any] = {name: row[name] for name in _PLAIN}
    offers = tuple(Offer(model, outward) for model, outward in row["offers"] or ())
    return Connection(partner=_public(row), environments=tuple(row["environments"]), offers=offers, **plain)


_PLAIN = (
    "id", "uid", "state", "mine", "purpose", "note", "target_date", "requested_name", "requested_at", "decided_name", "decided_at", "decision_reason",
    "on_stop", "version",
)  # fmt: skip

"""The ports of sources as people save them: suggested, claimed, kept."""

from collections.abc import Mapping
from dataclasses import dataclass

import asyncpg

from carelane.domain.errors import Misconfigured
from carelane.domain.ids import OrgId
from carelane.domain.listening import ListenPorts
from carelane.domain.office import EndpointKind
from carelane.store.catalogue.listen_port import Claim, claim, free_ports, take
from carelane.store.database import Database
from carelane.store.office.shelf import EndpointShelf


@dataclass(frozen=True)
class Listening:
    """Which port settings ask for, and whether the operator allows it."""

    database: Database
    shelf: EndpointShelf
    ports: ListenPorts

    def claim_of(self, kind: EndpointKind, transport: str, settings: Mapping[str, object]) -> Claim | None:
        """Return the claim an endpoint's settings make, None for one that does not listen. Raises ``Misconfigured``."""
        port = self.shelf.port_of(kind, transport, settings)
        return Claim(port, self.ports) if port is not None else None

    async def follow(
        self, connection: asyncpg.Connection, row: asyncpg.Record, kind: EndpointKind, before: Mapping[str, object], after: Mapping[str, object]
    ) -> None:
        """Claim the port of changed settings.

        One that was saved before and is not the source's may stay written, so that such a source can be renamed and switched off: it is not opened.

        Raises:
            Conflict, Misconfigured: the new port cannot be had.
        """
        wanted = self.claim_of(kind, row["transport"], after)
        if wanted is None:
            return
        if wanted == self._claim_before(kind, row["transport"], before):
            await take(connection, row["org_id"], row["id"], wanted)
        else:
            await claim(connection, row["org_id"], row["id"], wanted)

    async def begin(self, org: OrgId, kind: EndpointKind, transport: str, settings: Mapping[str, object]) -> Mapping[str, object]:
        """Return the settings a wizard begins with: a free port is suggested where one is needed."""
        name = self.shelf.listens(kind, transport)
        if name is None or name in settings:
            return settings
        async with self.database.engine.acquire() as connection:
            free = await free_ports(connection, org, self.ports)
        return {**settings, name: free[0]} if free else settings

    def _claim_before(self, kind: EndpointKind, transport: str, settings: Mapping[str, object]) -> Claim | None:
        try:
            return self.claim_of(kind, transport, settings)
        except Misconfigured:  # saved by an earlier version
            return None

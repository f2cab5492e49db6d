"""What the office asks of the transports on the shelf: their settings checked, their ports told, their reach tried."""

from collections.abc import Mapping
from typing import Any, Protocol

from carelane.domain.delivery import Judgement
from carelane.domain.office import EndpointKind


class EndpointShelf(Protocol):
    """What the office asks of the transports on the shelf."""

    def split(self, kind: EndpointKind, transport: str, environment: str, values: Mapping[str, object]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Check settings; return the plain ones and the secret ones. Raises ``Misconfigured`` naming each field."""
        ...

    def formats(self, kind: EndpointKind, transport: str) -> tuple[str, ...]:
        """Return the formats a transport carries, the usual one first; raises ``Misconfigured``."""
        ...

    def listens(self, kind: EndpointKind, transport: str) -> str | None:
        """Return which setting is the port a source of this transport listens on; None where it has none of its own."""
        ...

    def port_of(self, kind: EndpointKind, transport: str, settings: Mapping[str, object]) -> int | None:
        """Return the port an endpoint with these settings listens on, None for one that does not. Raises ``Misconfigured``."""
        ...

    async def probe(self, transport: str, settings: Mapping[str, object]) -> Judgement:
        """Try to reach what the settings point at."""
        ...

    async def verify(self, transport: str, settings: Mapping[str, object]) -> Judgement | None:
        """Ask a destination to prove that it is meant; None where a transport needs no proof."""
        ...

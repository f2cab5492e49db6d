"""Inbox: a destination inside the hub that one can look into, for trying things without a server of one's own.

Maturity: gold.
"""

import asyncio
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field

from carelane.domain.delivery import Judgement, Verdict
from carelane.domain.endpoint import Destination
from carelane.exchange.ports import Ambiguous, Parcel, Reply, Taken, Tools

TITLE = "Inbox"
REQUIRES = ""
FORMATS = ("datamodel", "hl7v2", "fhir")


class Settings(BaseModel):
    """An inbox needs nothing."""

    model_config = ConfigDict(extra="forbid")

    concurrency: int = Field(8, ge=1, le=64, description="Subscriptions delivered at the same time.", examples=[8])


class Sender:
    """Keeps what it is given."""

    longest_s = 30.0
    most_at_once = 32

    def __init__(self, destination: Destination, settings: Settings, tools: Tools) -> None:
        self._destination = destination
        self._put = tools.put_in_inbox
        self._settings = settings

    @property
    def concurrency(self) -> int:
        """As set."""
        return self._settings.concurrency

    async def send(self, parcel: Parcel) -> Reply:
        """Keep one message; a repeat of the same delivery is kept once."""
        await self.send_many([parcel])
        return Reply(judgement=Judgement(Verdict.DELIVERED, "kept in the inbox"))

    async def send_many(self, parcels: Sequence[Parcel]) -> Taken:
        """Keep several messages in one transaction, or none."""
        owner = self._destination
        items = [(parcel.delivery_id, parcel.message_id, parcel.content_type, parcel.body) for parcel in parcels]
        try:
            async with asyncio.timeout(self.longest_s):
                parcels[0].leave()
                await self._put(owner.org_id, owner.id, items)
        except TimeoutError:
            raise Ambiguous(f"the inbox did not answer within {self.longest_s:g} s") from None
        return Taken(len(parcels))

    async def reset(self) -> None:
        """Nothing is open."""

    async def close(self) -> None:
        """Nothing is open."""


async def probe(settings: Settings, tools: Tools) -> Judgement:
    """An inbox always answers."""
    _ = settings, tools
    return Judgement(Verdict.DELIVERED, "ready")

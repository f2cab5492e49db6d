"""Hints between nodes, by PostgreSQL's notifications; a poll behind them makes a lost one cost time, never correctness."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import suppress

import asyncpg

from carelane.domain.ids import LaneId
from carelane.store.database import Database
from carelane.store.trouble import LOST, lost

_ANSWER_S = 5.0
_MOST_PAYLOAD = 7500
"""A notification carries less than 8000 bytes."""
_RING = "SELECT pg_notify('carelane_ring', payload) FROM unnest($1::text[]) AS payload"


class Bell:
    """Hears of catalogue changes, verbs, arrivals at other nodes, and nodes that come and go."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: asyncpg.Connection | None = None
        self.catalogue = asyncio.Event()
        self.shards = asyncio.Event()
        self.lanes: asyncio.Queue[LaneId] = asyncio.Queue()
        self.tails: asyncio.Queue[tuple[LaneId, int]] = asyncio.Queue()

    async def listen(self) -> None:
        """Connect, or connect again after the database was away.

        Raises:
            StoreLost: it is still away.
        """
        await self.close()
        try:
            connection = await self._database.connect_owner()
            await connection.add_listener("carelane_catalogue", lambda *_: self.catalogue.set())
            await connection.add_listener("carelane_shards", lambda *_: self.shards.set())
            await connection.add_listener("carelane_lane", lambda _c, _p, _ch, payload: self.lanes.put_nowait(LaneId(int(payload))))
            await connection.add_listener("carelane_ring", lambda _c, _p, _ch, payload: self._heard(payload))
        except LOST as error:
            raise lost(error) from None
        self._connection = connection
        self.catalogue.set()

    @property
    def deaf(self) -> bool:
        """Whether the listening connection is gone."""
        return self._connection is None or self._connection.is_closed()

    async def check(self) -> None:
        """Ask over the line itself: one whose far end is gone without a word carries nothing, and is given up."""
        if self._connection is None or self._connection.is_closed():
            return
        try:
            await self._connection.fetchval("SELECT 1", timeout=_ANSWER_S)
        except Exception:
            self._connection.terminate()

    async def ring(self, tails: Mapping[LaneId, int]) -> None:
        """Tell the other nodes which lanes have new messages.

        Raises:
            StoreLost: the database is away.
        """
        try:
            await self._database.engine.execute(_RING, list(_payloads(tails)))
        except LOST as error:
            raise lost(error) from None

    async def close(self) -> None:
        """Stop listening."""
        if self._connection is not None:
            with suppress(*LOST):
                await self._connection.close(timeout=2)
            self._connection = None

    def _heard(self, payload: str) -> None:
        for word in payload.split():
            lane, tail = word.split(":")
            self.tails.put_nowait((LaneId(int(lane)), int(tail)))


def _payloads(tails: Mapping[LaneId, int]) -> Iterator[str]:
    payload = ""
    for lane, tail in tails.items():
        word = f"{lane}:{tail}"
        if len(payload) + len(word) >= _MOST_PAYLOAD:
            yield payload
            payload = ""
        payload += f" {word}"
    if payload:
        yield payload

"""Upkeep that must not be done twice at once: whichever node finds a chore due does it, alone."""

from collections.abc import Awaitable, Callable

from carelane.store.database import Database
from carelane.store.trouble import LOST, lost

_BEGIN = """
INSERT INTO chore AS c (name, owner, until) VALUES ($1, $2, now() + make_interval(secs => $4))
ON CONFLICT (name) DO UPDATE SET owner = $2, until = excluded.until
WHERE (c.until IS NULL OR c.until < now()) AND (c.done_at IS NULL OR c.done_at <= now() - make_interval(secs => $3))
RETURNING name
"""
_DONE = "UPDATE chore SET until = NULL, done_at = now() WHERE name = $1 AND owner = $2"
_FAILED = "UPDATE chore SET until = NULL WHERE name = $1 AND owner = $2"
LONGEST_S = 900.0
"""A chore whose node died is taken up by another after this long."""


class Chores:
    """One node's share of the upkeep."""

    def __init__(self, database: Database, node: str) -> None:
        self._database = database
        self._node = node

    async def do(self, name: str, every_s: float, work: Callable[[], Awaitable[object]]) -> bool:
        """Do a chore if it is due and nobody else is at it; say whether it was done.

        Raises:
            StoreLost: the database is away. What ``work`` raises is passed on; the chore stays due.
        """
        if not await self._ask(_BEGIN, name, self._node, every_s * 0.9, LONGEST_S):
            return False
        try:
            await work()
        except BaseException:
            await self._ask(_FAILED, name, self._node)
            raise
        await self._ask(_DONE, name, self._node)
        return True

    async def _ask(self, statement: str, *values: object) -> object:
        try:
            return await self._database.engine.fetchval(statement, *values)
        except LOST as error:
            raise lost(error) from None

"""Waiting for what must happen: no limit of its own, so that a busy machine makes a test late and never red."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

Found = TypeVar("Found")


async def until(condition: Callable[[], Awaitable[Found]]) -> Found:
    """Ask again and again; return the first answer that says yes. The time limit of a test (pyproject.toml) ends what never happens."""
    while not (found := await condition()):
        await asyncio.sleep(0.02)
    return found

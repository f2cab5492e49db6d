"""One source's listener: opened, tried again until it opens, and closed. Whatever a listener raises, or never ends, stays here."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from carelane.domain.endpoint import Source
from carelane.domain.errors import Misconfigured
from carelane.exchange.ports import Listener
from carelane.kit.clock import Clock

START_S, STOP_S = 10.0, 15.0
"""Seconds a listener may take to open, and to answer what it took and close."""
FIRST_RETRY_S, LONGEST_RETRY_S = 1.0, 30.0
_CANCEL_S = 1.0


class Door:
    """Begins to open at once, behind the doors it comes ``after``; ``note`` hears its trouble, and an empty text when it opened.

    Attributes:
        settled: done when the first try is over, well or not.
        task: done when it is closed for good.
    """

    def __init__(self, source: Source, port: int | None, listener: Listener, note: Callable[[Source, str], None], clock: Clock) -> None:
        self.source, self.port, self.listener = source, port, listener
        self._note, self._clock = note, clock
        loop = asyncio.get_running_loop()
        self._closing: asyncio.Future[None] = loop.create_future()
        self._stuck: asyncio.Task[None] | None = None
        self.settled: asyncio.Future[None] = loop.create_future()
        self.task: asyncio.Task[None]

    def begin(self, after: Sequence["Door"] = ()) -> "Door":
        """Start opening, once the others are closed."""
        self.task = asyncio.get_running_loop().create_task(self._keep(after))
        return self

    def leave(self) -> None:
        """Begin to close; ``task`` ends when it is closed."""
        if not self._closing.done():
            self._closing.set_result(None)

    async def _keep(self, after: Sequence["Door"]) -> None:
        wait_s, opened = FIRST_RETRY_S, False
        try:
            if after:
                await asyncio.wait([door.task for door in after])
            while not (opened or self._closing.done()):
                trouble = await self._start()
                opened = not trouble
                if not self._closing.done():
                    self._note(self.source, trouble)
                _done(self.settled)
                if not opened:
                    await self._pause(wait_s)
                    wait_s = min(wait_s * 2, LONGEST_RETRY_S)
            await asyncio.wait({self._closing})
        finally:
            _done(self.settled)
            if opened:
                await self._stop()

    async def _start(self) -> str:
        """Return what is wrong, empty when the port is open. What did not open whole is closed again."""
        if self._stuck is not None and not self._stuck.done():
            return f"{self.source.name} is still stuck in its last attempt to open; restart the hub if it stays so"
        trouble = await self._within(START_S, self.listener.start(), {self._closing})
        if trouble:
            await self._stop()
        return trouble

    async def _stop(self) -> None:
        trouble = await self._within(STOP_S, self.listener.stop(), set())
        if trouble and not self._closing.done():
            self._note(self.source, trouble)

    async def _within(self, seconds: float, work: Coroutine[Any, Any, None], unless: set[asyncio.Future[None]]) -> str:
        """Run one call of the listener for so long at most; return what went wrong with it."""
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        await asyncio.wait({task, *unless}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=_CANCEL_S)
        if not task.done():
            self._stuck = task
            task.add_done_callback(self._close_late)
        if not task.done() or task.cancelled():
            return f"{self.source.name} did not open or close within {seconds:.0f} seconds; it is tried again"
        error = task.exception()
        if error is None:
            return ""
        return str(error) if isinstance(error, Misconfigured) else f"{self.source.name} failed to open or close: {type(error).__name__}; check its settings"

    def _close_late(self, task: asyncio.Task[None]) -> None:
        """What opens long after its time was up, and cannot be cancelled, is closed when it comes."""
        if not task.cancelled() and task.exception() is None:
            self._stuck = asyncio.get_running_loop().create_task(self._stop())

    async def _pause(self, seconds: float) -> None:
        nap = asyncio.get_running_loop().create_task(self._clock.sleep(seconds))
        await asyncio.wait({nap, self._closing}, return_when=asyncio.FIRST_COMPLETED)
        nap.cancel()


def _done(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)

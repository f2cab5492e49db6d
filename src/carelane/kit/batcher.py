"""Natural group commit: whatever queued up while the last batch was in flight goes into the next one."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Closed(Exception):
    """The batcher takes nothing more: its owner is shutting down."""


class Batcher(Generic[Item, Result]):
    """Collects items and hands them to ``work`` in order, one batch at a time, without any timer.

    ``work`` gets up to ``most`` items and returns one result for each. When it raises, every item of that batch
    fails with the same error and the next batch is tried afresh. A caller who stops waiting does not stop the work.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]],
        *,
        most: int,
        weigh: Callable[[Item], int] | None = None,
        heaviest: int = 32 * 1024 * 1024,
    ) -> None:
        self._work = work
        self._most = most
        self._weigh = weigh
        self._heaviest = heaviest
        self._queue: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._runner: asyncio.Task[None] | None = None
        self._closed = False

    def submit(self, item: Item) -> "asyncio.Future[Result]":
        """Queue an item; await the future for its result.

        Raises:
            Closed: after ``close``.
        """
        if self._closed:
            raise Closed("no more work is taken")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        self._queue.append((item, future))
        if self._runner is None:
            self._runner = loop.create_task(self._run())
        return future

    @property
    def waiting(self) -> int:
        """How many items have not been handed to ``work`` yet."""
        return len(self._queue)

    async def close(self) -> None:
        """Take nothing more, and finish what was taken."""
        self._closed = True
        while self._runner is not None:
            await asyncio.shield(self._runner)

    async def _run(self) -> None:
        while self._queue:
            batch = self._take()
            try:
                results = await self._work([item for item, _ in batch])
            except Exception as error:  # whoever waits decides; the batcher itself must live on
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
                        future.exception()  # a caller who went away must not leave a warning behind
            else:
                for (_, future), result in zip(batch, results, strict=True):
                    if not future.done():
                        future.set_result(result)
        self._runner = None

    def _take(self) -> list[tuple[Item, "asyncio.Future[Result]"]]:
        batch = [self._queue.popleft()]
        weight = self._weigh(batch[0][0]) if self._weigh else 0
        while self._queue and len(batch) < self._most:
            if self._weigh:
                weight += self._weigh(self._queue[0][0])
                if weight > self._heaviest:
                    break
            batch.append(self._queue.popleft())
        return batch

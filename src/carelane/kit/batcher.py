"""Natural group commit: whatever queued up while the last batch was in flight goes into the next one."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Closed(Exception):
    """The batcher takes nothing more: its owner is shutting down."""


class _Unit(NamedTuple):
    """What stays together: one item, or a group; ``future`` gets its result, or the list of them."""

    items: Sequence[Any]
    future: "asyncio.Future[Any]"
    grouped: bool


class Batcher(Generic[Item, Result]):
    """Collects items and hands them to ``work`` in order, one batch at a time, without any timer.

    ``work`` gets up to ``most`` items and returns one result for each; a group handed in together is never torn apart,
    however large. When ``work`` raises, every item of that batch fails with the same error and the next batch is tried
    afresh. An error of a kind in ``bisect`` promises that nothing was done because of some item: such a batch is tried
    again in halves, in order, until the item or group that spoils it stands alone and fails alone.
    A caller who stops waiting does not stop the work. ``between`` is awaited, with the size of the last batch, before
    the next one is taken: others may need the time.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]],
        *,
        most: int,
        weigh: Callable[[Item], int] | None = None,
        heaviest: int = 32 * 1024 * 1024,
        bisect: tuple[type[Exception], ...] = (),
        between: Callable[[int], Awaitable[None]] | None = None,
    ) -> None:
        self._work = work
        self._most = most
        self._weigh = weigh
        self._heaviest = heaviest
        self._bisect = bisect
        self._between = between
        self._queue: deque[_Unit] = deque()
        self._runner: asyncio.Task[None] | None = None
        self._closed = False

    def submit(self, item: Item) -> "asyncio.Future[Result]":
        """Queue an item; await the future for its result.

        Raises:
            Closed: after ``close``.
        """
        return self._put((item,), grouped=False)

    def submit_many(self, items: Sequence[Item]) -> "asyncio.Future[list[Result]]":
        """Queue a group that goes into one call of ``work``, side by side; await the future for its results.

        Raises:
            Closed: after ``close``.
        """
        return self._put(items, grouped=True)

    def _put(self, items: Sequence[Item], *, grouped: bool) -> "asyncio.Future[Any]":
        if self._closed:
            raise Closed("no more work is taken")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._queue.append(_Unit(items, future, grouped))
        if self._runner is None:
            self._runner = loop.create_task(self._run())
        return future

    @property
    def waiting(self) -> int:
        """How many items have not been handed to ``work`` yet."""
        return sum(len(unit.items) for unit in self._queue)

    async def close(self) -> None:
        """Take nothing more, and finish what was taken."""
        self._closed = True
        while self._runner is not None:
            await asyncio.shield(self._runner)

    async def _run(self) -> None:
        while self._queue:
            batch = self._take()
            await self._try(batch)
            if self._between is not None and self._queue and not self._closed:
                await self._between(sum(len(unit.items) for unit in batch))
        self._runner = None

    async def _try(self, batch: Sequence[_Unit]) -> None:
        items = [item for unit in batch for item in unit.items]
        try:
            results = await self._work(items)
            if len(results) != len(items):
                raise RuntimeError(f"{len(items)} items gave {len(results)} results")
        except Exception as error:  # whoever waits decides; the batcher itself must live on
            if len(batch) > 1 and isinstance(error, self._bisect):
                middle = len(batch) // 2
                await self._try(batch[:middle])
                await self._try(batch[middle:])
            else:
                _fail(batch, error)
        else:
            _finish(batch, results)

    def _take(self) -> list[_Unit]:
        first = self._queue.popleft()
        batch, count, weight = [first], len(first.items), self._weight(first)
        while self._queue:
            count += len(self._queue[0].items)
            weight += self._weight(self._queue[0])
            if count > self._most or weight > self._heaviest:
                break
            batch.append(self._queue.popleft())
        return batch

    def _weight(self, unit: _Unit) -> int:
        return sum(map(self._weigh, unit.items)) if self._weigh else 0


def _fail(batch: Sequence[_Unit], error: Exception) -> None:
    for unit in batch:
        if not unit.future.done():
            unit.future.set_exception(error)
            unit.future.exception()  # a caller who went away must not leave a warning behind


def _finish(batch: Sequence[_Unit], results: Sequence[Any]) -> None:
    at = 0
    for unit in batch:
        if not unit.future.done():
            unit.future.set_result(list(results[at : at + len(unit.items)]) if unit.grouped else results[at])
        at += len(unit.items)

"""The one place that hears SIGTERM and SIGINT: the first asks to stop in order, the second cuts what is left at once.

Without a second one the end of the grace cuts. A signal that comes before the event loop runs is kept for it.
"""

import asyncio
import signal
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

from carelane.ops.logs import tell

_HEARD = (signal.SIGINT, signal.SIGTERM)
_kept: list[int] = []


@dataclass
class Ending:
    """How a process ends: ``stop`` is set when it is asked to come down in order, ``cut`` when nothing more may be waited for.

    ``minded`` is set by who watches ``stop`` from then on, or comes down by itself; before that a start is simply called off.
    """

    grace_s: float
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    cut: asyncio.Event = field(default_factory=asyncio.Event)
    minded: asyncio.Event = field(default_factory=asyncio.Event)
    _until: float | None = None

    def begin(self) -> None:
        """Start the grace, once."""
        if self._until is None:
            loop = asyncio.get_running_loop()
            self._until = loop.time() + self.grace_s
            loop.call_at(self._until, self.cut.set)
            tell("hub.stopping", f"within {self.grace_s:g} s; a second signal cuts what is in flight")

    def left_s(self) -> float:
        """Return how many seconds of the grace are left."""
        if self._until is None:
            return self.grace_s
        return 0.0 if self.cut.is_set() else max(0.0, self._until - asyncio.get_running_loop().time())

    def hear(self) -> None:
        """Take a signal: begin, or cut when it has begun."""
        if self._until is not None:
            self.cut.set()
        self.begin()
        self.stop.set()


def keep_signals() -> None:
    """Keep signals until ``heard`` listens: the imports before it take longer than an impatient supervisor waits."""
    for name in _HEARD:
        signal.signal(name, _keep)


@contextmanager
def heard(grace_s: float) -> Iterator[Ending]:
    """Listen for signals in the running event loop, instead of whoever did before."""
    ending, loop = Ending(grace_s), asyncio.get_running_loop()
    for name in _HEARD:
        loop.add_signal_handler(name, ending.hear)
    for _ in range(len(_kept)):
        _kept.pop()
        ending.hear()
    try:
        yield ending
    finally:
        for name in _HEARD:
            loop.remove_signal_handler(name)
            signal.signal(name, signal.SIG_IGN)  # what is left is the interpreter's own end


async def until_ended(ending: Ending, work: Coroutine[object, object, None]) -> None:
    """Run ``work`` to its end; when it is to stop before it minds ``ending``, cancel it, which brings down what had come up."""
    loop = asyncio.get_running_loop()
    running = loop.create_task(work)
    watching = [loop.create_task(event.wait()) for event in (ending.stop, ending.minded)]
    await asyncio.wait({running, *watching}, return_when=asyncio.FIRST_COMPLETED)
    for watch in watching:
        watch.cancel()
    called_off = ending.stop.is_set() and not ending.minded.is_set() and running.cancel()
    try:
        await running
    except asyncio.CancelledError:
        if not called_off:
            raise


def _keep(number: int, _frame: FrameType | None) -> None:
    _kept.append(number)

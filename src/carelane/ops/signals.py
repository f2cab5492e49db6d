"""The one place that hears SIGTERM and SIGINT: the first asks to stop in order, the second cuts what is left at once.

Without a second one the end of the grace cuts. A signal that comes before the event loop runs is kept for it.
"""

import asyncio
import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

from carelane.ops.logs import tell

_HEARD = (signal.SIGINT, signal.SIGTERM)
_kept: list[int] = []


@dataclass
class Ending:
    """How a process ends: ``stop`` is set when it is to come down in order, ``cut`` when nothing more may be waited for."""

    grace_s: float
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    cut: asyncio.Event = field(default_factory=asyncio.Event)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    """Set by a signal alone: a start that fails comes down in order too, and its error must be told."""
    _until: float = 0.0

    def begin(self) -> None:
        """Start the grace, once."""
        if self.stop.is_set():
            return
        loop = asyncio.get_running_loop()
        self._until = loop.time() + self.grace_s
        loop.call_at(self._until, self.cut.set)
        self.stop.set()
        tell("hub.stopping", f"within {self.grace_s:g} s; a second signal cuts what is in flight")

    def left_s(self) -> float:
        """Return how many seconds of the grace are left."""
        if self.cut.is_set():
            return 0.0
        return max(0.0, self._until - asyncio.get_running_loop().time()) if self.stop.is_set() else self.grace_s

    def hear(self) -> None:
        """Take a signal: begin, or cut when it has begun."""
        self.asked.set()
        if self.stop.is_set():
            self.cut.set()
        self.begin()


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


async def until_ended(ending: Ending, work: Callable[[Callable[[], None]], Coroutine[object, object, None]]) -> None:
    """Run ``work``, which says when it is up and from then on minds ``ending`` itself; a start that is not up yet is called off."""
    up, loop = asyncio.Event(), asyncio.get_running_loop()
    running = loop.create_task(work(up.set))
    watching = [loop.create_task(ending.asked.wait()), loop.create_task(up.wait())]
    await asyncio.wait({running, *watching}, return_when=asyncio.FIRST_COMPLETED)
    for watch in watching:
        watch.cancel()
    called_off = ending.asked.is_set() and not up.is_set() and running.cancel()
    try:
        await running
    except asyncio.CancelledError:
        if not called_off:
            raise


def _keep(number: int, _frame: FrameType | None) -> None:
    _kept.append(number)

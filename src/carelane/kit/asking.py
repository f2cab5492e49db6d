"""The calling end of a framed connection: one body out, one answer back."""

import asyncio
from collections.abc import Callable
from typing import cast

from carelane.kit.framing import CR, END, START, Flaw, Frame, Framing
from carelane.kit.sockets import keep_alive

SILENT_S = 1.0


class Unanswered(Exception):
    """The body was written, and no usable answer came. The text says why, without content."""


class Asking(asyncio.Protocol):
    """One connection with at most one body in flight. After any trouble it is closed and not used again."""

    def __init__(self, most_bytes: int) -> None:
        self._framing = Framing(most_bytes)
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[bytes] | None = None
        self._silence: asyncio.TimerHandle | None = None

    @property
    def usable(self) -> bool:
        """Whether it is open, and nothing came on it that answers nothing."""
        return self._transport is not None and not self._transport.is_closing() and not self._framing.inside

    async def ask(self, body: bytes, leave: Callable[[], None]) -> bytes:
        """Write a body and wait for its answer. ``leave`` is called right before the first byte is written; what it raises stops it.

        Raises:
            ConnectionError: it was not ``usable``; nothing was written.
            Unanswered: the answer was no answer, or the connection broke before it came.
        """
        if self._transport is None or not self.usable:
            raise ConnectionResetError("the connection was closed meanwhile")
        leave()
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(b"".join((START, body, END, CR)))
        try:
            return await self._answer
        finally:
            self._answer = None

    def close(self) -> None:
        """Close for good."""
        self._hush()
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)
        keep_alive(transport)

    def data_received(self, data: bytes) -> None:
        """Look for the one answer; anything else ends the connection."""
        self._hush()
        framing, skipped = self._framing, self._framing.junk
        framing.feed(data)
        frame = framing.next()
        if frame is not None:
            self._came(frame)
        elif framing.broken is not None or (self._answer is None and (framing.inside or framing.junk > skipped)):
            self._fail("what came back could not be told apart")
        elif framing.ending:
            self._silence = asyncio.get_running_loop().call_later(SILENT_S, self._end)

    def eof_received(self) -> bool:
        """An answer without its last CR is one when the receiver has closed."""
        self._end()
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """Whoever waits is told."""
        self._hush()
        self._fail("the receiver closed the connection without an acknowledgement" if error is None else f"the connection broke ({type(error).__name__})")
        self._transport = None

    def _end(self) -> None:
        if (last := self._framing.end()) is not None:
            self._came(last)

    def _came(self, frame: Frame) -> None:
        if not frame.whole:
            self._fail("the acknowledgement was cut off" if frame.flaw is Flaw.CUT else "the acknowledgement holds an end block inside")
        elif self._framing.next() is not None or self._framing.inside:
            self._fail("more than one acknowledgement came for one message")
        elif self._answer is None or self._answer.done():
            self.close()
        else:
            self._answer.set_result(frame.data)

    def _fail(self, why: str) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(Unanswered(why))
        self.close()

    def _hush(self) -> None:
        if self._silence is not None:
            self._silence.cancel()
            self._silence = None

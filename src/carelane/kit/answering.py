"""The listening end of a framed connection: frames in, answers out in the order of the frames, however many are in the works."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, cast

from carelane.kit.framing import CR, END, START, Frame, Framing
from carelane.kit.room import Rooms, Tenant
from carelane.kit.sockets import keep_alive

MOST_WAITING = 256
MOST_WAITING_BYTES = 1024 * 1024
SILENT_S = 1.0
_GRACE_S = 10.0

Answer = bytes | None
"""What is written back, without its frame; empty writes nothing, None closes the connection without a word."""


@dataclass(eq=False)
class Door:
    """What the connections of one port have in common.

    ``told`` hears of oddities: ``junk``, ``too-large``, ``slow``, ``cut-off``, ``too-many``, ``stranger``.
    """

    take: Callable[[Frame], Coroutine[Any, Any, Answer]]
    told: Callable[[str], None]
    allows: Callable[[str], bool]
    rooms: Rooms
    most_bytes: int
    frame_timeout_s: float
    most_connections: int

    def __post_init__(self) -> None:
        self.connections: set[Answering] = set()

    def enter(self, connection: "Answering", peer: str) -> bool:
        """Let a connection in, if its address may and there is a place."""
        refusal = "" if peer and self.allows(peer) else "stranger"
        if not refusal and (len(self.connections) >= self.most_connections or self.rooms.connections >= self.rooms.most_connections):
            refusal = "too-many"
        if refusal:
            self.told(refusal)
            return False
        self.connections.add(connection)
        self.rooms.connections += 1
        return True

    def leave(self, connection: "Answering") -> None:
        """Forget a connection."""
        if connection in self.connections:
            self.connections.discard(connection)
            self.rooms.connections -= 1


class Answering(asyncio.Protocol):
    """One connection. It reads no further than it may keep: what waits for its answer, or for room, stays with the sender."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._framing = Framing(door.most_bytes)
        self._tenant = Tenant(door.rooms, door, door.most_bytes + MOST_WAITING_BYTES, self._go_on)
        self._waiting: deque[asyncio.Task[Answer]] = deque()
        self._weights: deque[int] = deque()
        self._waiting_bytes = 0
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timed = ""
        self._junk_told = False
        self._began = 0.0
        self._paused = False
        self._unread_answers = False
        self._ended = False
        self._closing = False
        self._idle = asyncio.Event()
        self._idle.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let it in, or close it at once."""
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        if self._door.enter(self, peer[0] if peer else ""):
            keep_alive(transport)
        else:
            self._abort()

    def data_received(self, data: bytes) -> None:
        """Take bytes; after the decision to close, none."""
        if not self._closing:
            self._framing.feed(data)
            self._go_on()

    def eof_received(self) -> bool:
        """A sender that has said all it wants still gets its answers (TLS knows no half-closed connections)."""
        self._ended = True
        self._go_on()
        return self._transport is not None and self._transport.get_extra_info("sslcontext") is None

    def connection_lost(self, error: Exception | None) -> None:
        """What was taken is still finished, though nobody hears the answer."""
        self._closing = True
        self._transport = None
        self._door.leave(self)
        self._watch("")
        self._rest()

    def pause_writing(self) -> None:
        """A sender that does not read its answers is not read either."""
        self._unread_answers = True

    def resume_writing(self) -> None:
        """It reads again, so it is read again."""
        self._unread_answers = False
        self._go_on()

    async def finish(self) -> None:
        """Take nothing more, answer what was taken, close."""
        self._closing = True
        self._watch("")
        try:
            await asyncio.wait_for(self._idle.wait(), _GRACE_S)
        except TimeoutError:
            self._abort()
        if self._transport is not None:
            self._transport.close()

    def _go_on(self) -> None:
        """Take up the frames that are there, as far as may wait; then read on, or not."""
        framing = self._framing
        while not self._closing and self._has_place() and (frame := framing.next()) is not None:
            self._start(frame)
        if self._closing:
            return
        if framing.junk and not self._junk_told:
            self._junk_told = True
            self._door.told("junk")
        if framing.broken is not None:
            self._door.told(framing.broken)
            self._close_after_answers()
        elif self._ended and not framing.unread:
            self._finish_reading()
        else:
            self._throttle()

    def _has_place(self) -> bool:
        return len(self._waiting) < MOST_WAITING and self._waiting_bytes < MOST_WAITING_BYTES and not self._unread_answers

    def _start(self, frame: Frame) -> None:
        loop = asyncio.get_running_loop()
        task = loop.create_task(self._door.take(frame))
        self._began = loop.time()
        self._idle.clear()
        self._waiting.append(task)
        self._weights.append(len(frame.data))
        self._waiting_bytes += len(frame.data)
        task.add_done_callback(self._answer)

    def _finish_reading(self) -> None:
        if (last := self._framing.end()) is not None:
            self._start(last)
        elif self._framing.inside:
            self._door.told("cut-off")
        self._close_after_answers()

    def _answer(self, _: "asyncio.Task[Answer]") -> None:
        """Write every answer whose turn has come."""
        while self._waiting and self._waiting[0].done():
            task = self._waiting.popleft()
            self._waiting_bytes -= self._weights.popleft()
            self._write(_outcome(task))
        if not self._closing:
            self._go_on()
        if not self._waiting:
            self._rest()

    def _rest(self) -> None:
        """Nothing is in the works: whoever waits for that may go on, and a connection that was to be closed is."""
        if self._waiting:
            return
        self._idle.set()
        if self._closing:
            self._tenant.close()
            if self._transport is not None:
                self._transport.close()

    def _write(self, answer: Answer) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if answer is None:
            self._abort()
        elif answer:
            self._transport.write(START + answer + END + CR)

    def _throttle(self) -> None:
        """Stop reading while enough waits or there is no room; a clock runs only while we listen."""
        if self._transport is None or self._transport.is_closing():
            return
        framing = self._framing
        may = self._tenant.fits(framing.held + self._waiting_bytes) and self._has_place() and not framing.unread
        if may is self._paused:
            self._paused = not may
            if may:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()
        self._watch("" if not may else "silence" if framing.ending else "frame" if framing.inside else "")

    def _watch(self, what: str) -> None:
        """A started frame has a deadline, and so has the silence after FS; a quiet connection has none (feeds sleep at night)."""
        if what == self._timed:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timed, self._timer = what, None
        if what:
            loop = asyncio.get_running_loop()
            self._began = loop.time()
            wait, then = (self._door.frame_timeout_s, self._look_at_frame) if what == "frame" else (SILENT_S, self._listen_again)
            self._timer = loop.call_later(wait, then)

    def _look_at_frame(self) -> None:
        """The clock was set for a frame; the one that is arriving now may have begun later."""
        loop = asyncio.get_running_loop()
        left = self._began + self._door.frame_timeout_s - loop.time()
        if left > 0:
            self._timer = loop.call_later(left, self._look_at_frame)
        else:
            self._door.told("slow")
            self._abort()

    def _listen_again(self) -> None:
        """After a stall of ours the clock rings before the socket is read: what has come meanwhile is read first."""
        self._timer = asyncio.get_running_loop().call_later(SILENT_S / 20, self._silent)

    def _silent(self) -> None:
        self._watch("")
        if (last := self._framing.end()) is not None:
            self._start(last)
            self._throttle()

    def _close_after_answers(self) -> None:
        self._closing = True
        self._watch("")
        self._rest()

    def _abort(self) -> None:
        self._closing = True
        self._watch("")
        if self._transport is not None:
            self._transport.abort()


def _outcome(task: "asyncio.Task[Answer]") -> Answer:
    """A fault of ours means no answer, so that the sender tries again; its type is told, no content."""
    if task.cancelled():
        return None
    if (error := task.exception()) is not None:
        asyncio.get_running_loop().call_exception_handler({"message": f"taking a frame failed: {type(error).__name__}"})
        return None
    return task.result()

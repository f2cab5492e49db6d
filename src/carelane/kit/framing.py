"""Frames in a byte stream: start block VT, end block FS, then CR (the minimal lower layer protocol)."""

from collections import deque
from enum import StrEnum
from typing import NamedTuple

START, END, CR = b"\x0b", b"\x1c", b"\r"
MOST_JUNK_BYTES = 64 * 1024


class Flaw(StrEnum):
    """What was wrong with a frame. Only ``NO_CR`` leaves it whole."""

    NO_CR = "no-cr"
    CUT = "cut"
    END_INSIDE = "end-inside"


class Broken(StrEnum):
    """Why a stream cannot be followed any further."""

    JUNK = "junk"
    TOO_LARGE = "too-large"


class Frame(NamedTuple):
    """What stood between a start block and its end, and what was wrong with it."""

    data: bytes
    flaw: Flaw | None = None

    @property
    def whole(self) -> bool:
        """Whether the sender meant it to end here."""
        return self.flaw is None or self.flaw is Flaw.NO_CR


class Framing:
    """Cuts a byte stream into frames, one at a time, so that whoever is busy leaves the rest unread.

    A block ends at FS and CR, or at FS and the VT of the next block. FS and nothing may be the end or half of it:
    ``ending`` says so, and ``end`` takes it when the peer has closed or fallen silent. FS and anything else is a
    byte in the wrong place: the frame is given up there and the stream is followed again from the next VT. A VT
    inside a block begins the next one and leaves the first cut. Each byte is compared with each mark once.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._chunks: deque[bytes] = deque()
        self._data = b""
        self._at = 0
        self._end = -1
        self._held = bytearray()
        self._room = MOST_JUNK_BYTES
        self._queued = 0
        self.inside = False
        self.ending = False
        self.junk = 0
        """How many bytes outside of frames were skipped; line ends do not count."""
        self.broken: Broken | None = None
        """Set when the connection must be closed: nothing more comes out."""

    @property
    def unread(self) -> int:
        """Bytes that were fed and not looked at yet."""
        return self._queued + len(self._data) - self._at

    @property
    def held(self) -> int:
        """Bytes kept: those of the frame that is arriving, and the unread ones."""
        return len(self._held) + self.unread

    def feed(self, data: bytes) -> None:
        """Take bytes."""
        if self._at == len(self._data):
            self._data, self._at, self._end = data, 0, -1
        else:
            self._chunks.append(data)
            self._queued += len(data)

    def next(self) -> Frame | None:
        """Return the next frame; None until more bytes come, and for ever once ``broken``."""
        while self.broken is None:
            if self._at == len(self._data):
                if not self._chunks:
                    return None
                self._data, self._at, self._end = self._chunks.popleft(), 0, -1
                self._queued -= len(self._data)
            if not self.inside:
                self._between()
            elif (found := self._after_end() if self.ending else self._within()) is not None:
                return found
        return None

    def end(self) -> Frame | None:
        """Take a block whose FS nothing followed; None when no block stands at its end."""
        return self._done(Flaw.NO_CR) if self.ending else None

    def _within(self) -> Frame | None:
        data, at = self._data, self._at
        if self._end < at:
            found = data.find(END, at)
            self._end = found if found >= 0 else len(data)
        start = data.find(START, at, self._end)
        upto = self._end if start < 0 else start
        if len(self._held) + upto - at > self._most:
            self._break(Broken.TOO_LARGE)
            return None
        self._held += data[at:upto]
        if start >= 0:
            self._at = start + 1
            cut = self._done(Flaw.CUT) if self._held else None
            self.inside = True
            return cut
        self._at = min(upto + 1, len(data))
        self.ending = upto < len(data)
        return None

    def _after_end(self) -> Frame | None:
        following = self._data[self._at : self._at + 1]
        if following == CR:
            self._at += 1
            return self._done(None)
        return self._done(Flaw.NO_CR if following == START else Flaw.END_INSIDE)

    def _done(self, flaw: Flaw | None) -> Frame:
        frame = Frame(bytes(self._held), flaw)
        self._held = bytearray()
        self.inside = self.ending = False
        self._room = self._most if flaw is Flaw.END_INSIDE else MOST_JUNK_BYTES if frame.whole else self._room
        return frame

    def _between(self) -> None:
        data, at = self._data, self._at
        start = data.find(START, at)
        self.inside = start >= 0
        self._at = start + 1 if start >= 0 else len(data)
        if start == at:
            return
        skipped = len(data[at : start if start >= 0 else len(data)].strip(b"\r\n"))
        self.junk += skipped
        self._room -= skipped
        if self._room < 0:
            self._break(Broken.JUNK)

    def _break(self, why: Broken) -> None:
        self.broken = why
        self._held = bytearray()
        self._chunks.clear()
        self._data, self._at, self._queued = b"", 0, 0
        self.inside = self.ending = False

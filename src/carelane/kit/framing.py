"""Frames in a byte stream: start block VT, end block FS, then CR (the minimal lower layer protocol)."""

START, END, CR = b"\x0b", b"\x1c", b"\r"


class Framing:
    """Cuts a byte stream into frames; never looks at a byte twice, never keeps more than one frame over the limit."""

    def __init__(self, most_bytes: int) -> None:
        self._buffer = bytearray()
        self._searched = 0
        self._most = most_bytes
        self.inside = False

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes; return the frames that are complete now.

        Raises:
            ValueError: bytes outside a frame, or a frame over the limit: the connection must be closed.
        """
        self._buffer += data
        frames: list[bytes] = []
        while True:
            if not self.inside and not self._open():
                return frames
            end = self._buffer.find(END, self._searched)
            if end < 0:
                self._searched = len(self._buffer)
                if self._searched > self._most:
                    raise ValueError("the frame is over the size limit")
                return frames
            if end > self._most:
                raise ValueError("the frame is over the size limit")
            frames.append(bytes(self._buffer[:end]))
            del self._buffer[: end + 1]
            self._searched, self.inside = 0, False

    def _open(self) -> bool:
        """Skip line ends between frames (the CR after FS, and what sloppy senders add), then take the start block."""
        skipped = len(self._buffer) - len(self._buffer.lstrip(b"\r\n"))
        del self._buffer[:skipped]
        if not self._buffer:
            return False
        if self._buffer[:1] != START:
            raise ValueError("bytes outside a frame")
        del self._buffer[:1]
        self.inside = True
        return True

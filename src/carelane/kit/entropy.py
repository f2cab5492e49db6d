"""Random bytes from the operating system, fetched in blocks: one system call serves many ids and nonces."""

import os
import threading

_BLOCK_BYTES = 4096
_lock = threading.Lock()
_block = b""
_at = 0


def random_bytes(count: int) -> bytes:
    """Return fresh random bytes; none is ever given twice, not even to a forked child. For ids and nonces, not for keys."""
    global _block, _at
    with _lock:
        if _at + count > len(_block):
            _block, _at = os.urandom(max(_BLOCK_BYTES, count)), 0
        found = _block[_at : _at + count]
        _at += count
    return found


def _forget() -> None:
    global _block, _at, _lock
    _lock = threading.Lock()
    _block, _at = b"", 0


os.register_at_fork(after_in_child=_forget)

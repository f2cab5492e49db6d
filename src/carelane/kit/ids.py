"""Time-ordered UUIDs (RFC 9562, version 7) and the prefixed ids that people see."""

import threading
import time
from datetime import UTC, date, datetime
from uuid import UUID

from carelane.kit.entropy import random_bytes

_LATEST_MS = int(datetime(9999, 12, 31, tzinfo=UTC).timestamp() * 1000)
_VERSION = 0x7 << 76
_VARIANT = 0x2 << 62
_LOCK = threading.Lock()
_last_ms = 0
_counter = 0


def uuid7() -> UUID:
    """Make a UUID that sorts by its time of birth, also within one millisecond of this process."""
    global _last_ms, _counter
    with _LOCK:
        now_ms = time.time_ns() // 1_000_000
        if now_ms > _last_ms:
            _last_ms, _counter = now_ms, 0
        else:
            _counter += 1
            if _counter > 0xFFF:
                _last_ms, _counter = _last_ms + 1, 0
        value = (_last_ms << 80) | _VERSION | (_counter << 64) | _VARIANT | (int.from_bytes(random_bytes(8)) >> 2)
    return UUID(int=value)


def born_at(identifier: UUID) -> datetime:
    """Return the UTC moment written into a version 7 UUID; of one that is no such thing, some day up to the year 9999."""
    return datetime.fromtimestamp(min(identifier.int >> 80, _LATEST_MS) / 1000, UTC)


def born_on(identifier: UUID) -> date:
    """Return the UTC day written into a version 7 UUID: the partition its row lives in."""
    return born_at(identifier).date()


def public(prefix: str, identifier: UUID | int) -> str:
    """Write an id as people see it: ``msg_0190…`` for a UUID, ``lane_17`` for a number."""
    return f"{prefix}_{identifier.hex if isinstance(identifier, UUID) else identifier}"


def parse_uuid(prefix: str, text: str) -> UUID:
    """Read a public id back. Accepts the bare UUID too.

    Raises:
        ValueError: the text is no id with this prefix.
    """
    bare = text.removeprefix(f"{prefix}_")
    try:
        return UUID(bare)
    except ValueError:
        raise ValueError(f"not an id of the form {prefix}_<32 hexadecimal digits>") from None


def parse_number(prefix: str, text: str) -> int:
    """Read a public numeric id back, with or without its prefix.

    Raises:
        ValueError: the text is no id with this prefix.
    """
    bare = text.removeprefix(f"{prefix}_")
    if not bare.isascii() or not bare.isdigit():
        raise ValueError(f"not an id of the form {prefix}_<number>")
    return int(bare)

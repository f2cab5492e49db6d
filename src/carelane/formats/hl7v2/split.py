"""Files and frames with several messages: FHS/BHS batches, or one MSH after another."""

import re
from itertools import islice

_MESSAGE = re.compile(rb"(?:^|(?<=[\r\n]))MSH(?=[^A-Za-z0-9\r\n ])")
_TRAILER = re.compile(rb"(?:^|[\r\n])(?:BTS|FTS|BHS|FHS)[^A-Za-z0-9].*", re.DOTALL)


def split_messages(raw: bytes, most: int | None = None) -> list[bytes]:
    """Return each message with its own bytes; whatever has no MSH comes back whole, for its refusal.

    With ``most``, looking ends at one message more than that: the last one holds the rest.
    """
    if raw[:3] == b"MSH" and raw.find(b"MSH", 3) < 0:
        return [raw]  # the usual case, without a regular expression over every byte
    starts = [found.start() for found in islice(_MESSAGE.finditer(raw), None if most is None else most + 1)]
    if len(starts) < 2 and not raw.lstrip(b"\xef\xbb\xbf\x0b\r\n\t ").startswith((b"FHS", b"BHS")):
        return [raw]
    if not starts:
        return [raw]
    parts = [raw[start:end] for start, end in zip(starts, [*starts[1:], len(raw)], strict=True)]
    return [_TRAILER.sub(b"", part).rstrip(b"\x1c\n") for part in parts]

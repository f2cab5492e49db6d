"""The Idempotency-Key header (IETF draft-ietf-httpapi-idempotency-key-header): a structured string, or bare as most clients send it."""

import re
from collections.abc import Sequence

MOST_CHARACTERS = 255
_BARE = re.compile(r"[\x21-\x7e]{1,255}")
_QUOTED = re.compile(r'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')


def read_key(fields: Sequence[str]) -> str | None:
    """Return the key that a request's header fields carry; None when there is none. A key means the same with quotes and without.

    Raises:
        ValueError: several keys, none in the field, too long, or characters that are not printable ASCII.
    """
    if not fields:
        return None
    if len(fields) > 1:
        raise ValueError("One request carries one Idempotency-Key.")
    text = fields[0].strip()
    if text.startswith('"'):
        found = _QUOTED.fullmatch(text)
        text = re.sub(r"\\(.)", r"\1", found.group(1)) if found else ""
        if 1 <= len(text) <= MOST_CHARACTERS:
            return text
    elif _BARE.fullmatch(text):
        return text
    raise ValueError(f"Idempotency-Key must have 1 to {MOST_CHARACTERS} printable ASCII characters.")

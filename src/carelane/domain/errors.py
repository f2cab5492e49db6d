"""The error tree. A message says what happened, to which id, and the next move; never message content.

CarelaneError
├── Misconfigured          a setting cannot work
├── Unavailable            the store or a part of the hub is not usable right now: acknowledge nothing
│   ├── StoreLost          the database went away or its answer is unknown
│   └── ShuttingDown       the hub takes nothing more
├── Rejected               a sender's request cannot be taken; carries an HTTP status and an HL7 error code
│   ├── Unauthorized       unknown or revoked key
│   ├── Forbidden          known, but not allowed here
│   ├── NotFound           no such thing, or not yours
│   ├── Malformed          the bytes are not what they claim to be
│   ├── TooLarge           over a size limit
│   ├── KeyReused          an Idempotency-Key that came before, with another request
│   └── Stale              somebody changed the thing since it was read
├── Unstorable             the database refused these values: nothing of the batch was stored
├── Unreadable             a format cannot read these bytes
├── Unmappable             a document cannot be written in the wanted format
│   └── Exhausted          an overlay asks for more work than a message of this size may take
├── PackBroken             a map pack does not compile
└── Conflict               the change does not fit the state things are in
"""


class CarelaneError(Exception):
    """Something Carelane could not do."""


class Misconfigured(CarelaneError):
    """A setting cannot work."""


class Unavailable(CarelaneError):
    """The hub cannot take messages right now; nothing may be acknowledged."""


class StoreLost(Unavailable):
    """The database went away, or whether it committed is unknown."""


class ShuttingDown(Unavailable):
    """The hub takes nothing more."""


class Rejected(CarelaneError):
    """A sender's request cannot be taken.

    Attributes:
        title: the kind of problem, the same for every case of it (RFC 9457).
        pointer: what to look at or do next.
        status: HTTP status.
        hl7_code: HL7 table 0357 code for an ERR segment.
    """

    title = "Request rejected"
    status = 400
    hl7_code = "207"

    def __init__(self, detail: str, *, pointer: str = "", module: str = "Hub") -> None:
        super().__init__(detail)
        self.detail = detail
        self.pointer = pointer
        self.module = module


class Unauthorized(Rejected):
    """The key is missing, unknown or revoked."""

    title = "Not authorized"
    status = 401


class Forbidden(Rejected):
    """The sender is known but may not do this here."""

    title = "Forbidden"
    status = 403


class NotFound(Rejected):
    """There is no such thing, or it is not yours to see."""

    title = "Not found"
    status = 404
    hl7_code = "204"


class Malformed(Rejected):
    """The bytes are not what they claim to be."""

    title = "Malformed message"
    status = 400
    hl7_code = "100"


class TooLarge(Rejected):
    """The message is over a size limit."""

    title = "Message too large"
    status = 413


class Stale(Rejected):
    """Somebody changed the thing since it was read (RFC 9110, 13.1.1)."""

    title = "Changed meanwhile"
    status = 412


class KeyReused(Rejected):
    """The Idempotency-Key came before, with another request (IETF draft of that header, 2.6)."""

    title = "Idempotency-Key reused"
    status = 422


class Unstorable(CarelaneError):
    """The database refused these values; nothing of the batch they came in was stored, and the rest of it may be tried again."""


class Unreadable(CarelaneError):
    """A format cannot read these bytes."""


class Unmappable(CarelaneError):
    """A document cannot be written in the wanted format."""


class Exhausted(Unmappable):
    """An overlay asks for more work than a message of this size may take."""


class PackBroken(CarelaneError):
    """A map pack does not compile: names the file, the row and the reason."""

    def __init__(self, file: str, row: str, reason: str) -> None:
        super().__init__(f"{file}: row {row}: {reason}")
        self.file, self.row, self.reason = file, row, reason


class Conflict(CarelaneError):
    """The change does not fit the state things are in."""

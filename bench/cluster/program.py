"""A program of the cluster in a session of its own, known by its process id and its folder, and never left running."""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path


class Program:
    """Started with a command; what it prints goes to a log file in its folder."""

    def __init__(self, command: Sequence[str], folder: Path) -> None:
        self.command, self.folder = list(command), folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; it ends with this process at the latest, if the command says so (``Parts.mortal``)."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
                env={**os.environ, "HOME": str(self.folder)},
            )

    @property
    def pid(self) -> int | None:
        """Its process id while it lives."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def last_words(self) -> str:
        """The end of what it printed."""
        log = self.folder / "log"
        return log.read_text(errors="replace").strip()[-300:] if log.exists() else "nothing"

    def send(self, number: int) -> None:
        """Send it a signal, if it lives."""
        if self.pid is not None:
            os.kill(self.pid, number)

    async def stop(self, number: int = signal.SIGTERM, patience_s: float = 15) -> None:
        """Ask it to end, and kill it when it does not in time."""
        self.send(signal.SIGCONT)
        self.send(number)
        waited = 0.0
        while self.pid is not None and waited < patience_s:
            await asyncio.sleep(0.05)
            waited += 0.05
        self.send(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()


def living_in(folder: Path) -> list[int]:
    """Return the processes that work inside a folder of ours: a server that outlived its keeper, and its children."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                place = (entry / "cwd").readlink()
                if place == folder or folder in place.parents:
                    found.append(int(entry.name))
    return found


def kill_all(pids: Sequence[int], number: int = signal.SIGKILL) -> None:
    """Send a signal to recorded processes; one that is gone already is no matter."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


async def emptied(folder: Path, within_s: float = 20) -> None:
    """Kill whatever still lives in a folder, and wait until nothing does.

    Raises:
        RuntimeError: something survived; its process ids are named.
    """
    waited = 0.0
    while left := living_in(folder):
        if waited > within_s:
            raise RuntimeError(f"processes {left} in {folder} did not end")
        kill_all(left)
        await asyncio.sleep(0.1)
        waited += 0.1

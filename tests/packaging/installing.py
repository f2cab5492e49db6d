"""Builds the wheel and the sdist of this checkout, and installs one where nothing else is: no repository, no dev extra."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

from uv import find_uv_bin

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "requirements.lock"
VERSIONS = os.environ.get("CARELANE_TEST_VERSIONS", "locked")
"""``locked``, or how uv is to choose within the declared ranges: ``highest``, ``lowest-direct`` (see ``make ranges``)."""


def build(source: Path, out: Path, *kinds: str) -> Path:
    """Build from a checkout or an sdist with the backend of this environment, so that nothing is fetched; return the folder."""
    _uv("build", "-q", "--no-build-isolation", "--python", sys.executable, "--no-create-gitignore", "-o", str(out), *kinds, str(source))
    return out


@dataclass(frozen=True)
class Installed:
    """An environment that holds the package, and the folder a stranger would work in."""

    python: Path
    home: Path

    def run(self, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Run ``carelane`` to its end."""
        command = [str(self.python.with_name("carelane")), *arguments]
        return subprocess.run(command, input=stdin, capture_output=True, check=False, cwd=self.home, env=self._environment())

    def look(self, script: Path) -> object:
        """Run a script with this environment's Python, and nothing of the repository on its path; return the JSON it prints."""
        command = [str(self.python), "-I", str(script)]
        return json.loads(subprocess.run(command, capture_output=True, check=True, cwd=self.home, env=self._environment()).stdout)

    @contextmanager
    def started(self, *arguments: str, **settings: str) -> Iterator[subprocess.Popen[str]]:
        """Start ``carelane`` and leave it running; whatever happens it is stopped, its database with it."""
        command = [str(self.python.with_name("carelane")), *arguments]
        environment = {**self._environment(), **settings}
        with (
            self.log(arguments[0]).open("wb") as log,
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, cwd=self.home, env=environment) as process,
        ):
            try:
                yield process
            finally:
                process.terminate()
                with suppress(subprocess.TimeoutExpired):
                    process.wait(60)
                process.kill()

    def log(self, command: str) -> Path:
        """Where a started command's log goes."""
        return self.home / f"{command}.log"

    def _environment(self) -> dict[str, str]:
        return {"PATH": "/usr/bin:/bin", "HOME": str(self.home), "LANG": "C.UTF-8", "NO_COLOR": "1", "COLUMNS": "120", "PYTHONUNBUFFERED": "1"}


def install(package: Path, place: Path) -> Installed:
    """Install a wheel or an sdist into a new environment, in the versions of the lock and with its hashes."""
    home = place / "home"
    home.mkdir()
    _uv("venv", "-q", "--python", sys.executable, str(place / "venv"))
    python = place / "venv" / "bin" / "python"
    chosen = ["--constraint", str(LOCK)] if VERSIONS == "locked" else ["--resolution", VERSIONS]
    _uv("pip", "install", "-q", "--python", str(python), *chosen, "--build-constraints", str(LOCK), str(package))
    return Installed(python, home)


def first_answer(port: int, path: str, process: subprocess.Popen[str]) -> tuple[int, str]:
    """Ask until the process listens, however long that takes; return the status and the text."""
    while process.poll() is None:
        try:
            return ask(port, path)
        except ConnectionRefusedError:
            time.sleep(0.05)
    raise AssertionError(f"ended with {process.returncode} before it listened on {port}")


def ask(port: int, path: str, form: str | None = None) -> tuple[int, str]:
    """Get a page, or post a form to it, as a browser would; return the status and the text."""
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {"Sec-Fetch-Site": "same-origin", "Content-Type": "application/x-www-form-urlencoded"}
    try:
        connection.request("GET" if form is None else "POST", path, form, headers)
        reply = connection.getresponse()
        return reply.status, reply.read().decode()
    finally:
        connection.close()


def _uv(*arguments: str) -> None:
    clean = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")}
    done = subprocess.run([find_uv_bin(), *arguments], capture_output=True, check=False, text=True, env=clean, cwd="/")
    assert done.returncode == 0, f"uv {' '.join(arguments)}: {done.stderr}"

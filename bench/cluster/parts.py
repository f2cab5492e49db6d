"""Finds what a cluster is made of: etcd, Patroni, PostgreSQL's binaries, and a way to start them as somebody who is not root."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from bench.machine import mortal
from carelane.domain.errors import Misconfigured
from carelane.store.embedded import find_binaries
from carelane.store.osuser import ServerUser, server_user

CACHE = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "carelane-test"
_PACKAGE = "etcd-server"
# PostgreSQL refuses to run as root; root's own folders, the interpreter's among them, stay readable by this right alone.
_READ_ALL = ("--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search")


class Missing(Exception):
    """A part of the cluster cannot be had on this machine; the message says which one and why."""


@dataclass(frozen=True)
class Parts:
    """What a cluster is started from. ``mortal`` and ``unprivileged`` go in front of a command: the program then ends when we do."""

    etcd: Path
    binaries: Path
    user: ServerUser
    mortal: tuple[str, ...]
    unprivileged: tuple[str, ...]


def find_parts(folder: Path) -> Parts:
    """Find or fetch every part; ``folder`` is where the members will live. Nothing is installed on the machine.

    Raises:
        Missing: one of them cannot be had.
    """
    if not mortal():
        raise Missing("setpriv (util-linux) is not installed")
    for module, package in (("patroni", "patroni[etcd3]"), ("psycopg", "psycopg[binary]")):
        if find_spec(module) is None:
            raise Missing(f"the Python package {package} is not installed beside {sys.executable}")
    try:
        user = server_user()
        _, binaries = user.reachable(folder, find_binaries())
    except Misconfigured as error:
        raise Missing(str(error)) from error
    unprivileged = (*mortal("TERM"), *_as(user))
    tried = subprocess.run([*unprivileged, sys.executable, "-m", "patroni", "--version"], capture_output=True, text=True, check=False, cwd="/")
    if tried.returncode != 0:
        raise Missing(f"Patroni does not start as user {user.uid}: {tried.stderr.strip()[-200:]}")
    return Parts(_find_etcd(), binaries, user, tuple(mortal()), unprivileged)


def _as(user: ServerUser) -> tuple[str, ...]:
    return () if user.uid is None else ("--reuid", str(user.uid), "--regid", str(user.gid), "--clear-groups", *_READ_ALL)


def _find_etcd() -> Path:
    if found := shutil.which("etcd"):
        return Path(found)
    unpacked = CACHE / _PACKAGE / "usr" / "bin" / "etcd"
    if not unpacked.exists():
        _fetch_etcd(unpacked)
    return unpacked


def _fetch_etcd(unpacked: Path) -> None:
    """Unpack Debian's package into the cache: the machine itself keeps as it is."""
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        raise Missing("etcd is neither installed nor to be had: this is no Debian (apt-get, dpkg)")
    partial = CACHE / f"partial-{os.getpid()}"
    partial.mkdir(parents=True, exist_ok=True)
    try:
        if not _download(partial) and os.geteuid() == 0:
            subprocess.run(["apt-get", "update", "-qq"], capture_output=True, check=False)
            _download(partial)
        packages = list(partial.glob(f"{_PACKAGE}_*.deb"))
        if not packages:
            raise Missing(f"apt-get cannot download {_PACKAGE}: no network, or no package lists (apt-get update)")
        subprocess.run(["dpkg", "-x", str(packages[0]), str(partial / "tree")], check=True)
        (unpacked.parents[2]).parent.mkdir(parents=True, exist_ok=True)
        if not unpacked.exists():
            (partial / "tree").rename(unpacked.parents[2])
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _download(folder: Path) -> bool:
    return subprocess.run(["apt-get", "download", "-qq", _PACKAGE], cwd=folder, capture_output=True, check=False).returncode == 0

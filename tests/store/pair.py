"""A primary and its standby on loopback, made with the server's own tools, and a planned switchover between them."""

import asyncio
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg

from carelane.domain.errors import StoreLost
from carelane.store.database import Database
from carelane.store.embedded import find_binaries
from carelane.store.osuser import server_user

_CONF = """
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = ''
fsync = on
hot_standby = on
max_wal_size = 1GB
shared_buffers = 32MB
primary_conninfo = 'host=127.0.0.1 port={other} user=postgres application_name=pair'
"""


@dataclass
class Server:
    """One of the two: a folder, a port, and the process when it runs."""

    folder: Path
    port: int
    other: int
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def run(self, tool: str, *words: str) -> None:
        """Run one of PostgreSQL's tools as the user the server runs as."""
        user = server_user()
        _, binaries = user.reachable(self.folder, find_binaries())
        subprocess.run([str(binaries / tool), *words], check=True, capture_output=True, cwd="/", **user.spawn())

    def configure(self) -> None:
        with (self.folder / "postgresql.auto.conf").open("a") as conf:
            conf.write(_CONF.format(port=self.port, other=self.other))

    async def start(self) -> None:
        """Start it and wait until it answers."""
        user = server_user()
        _, binaries = user.reachable(self.folder, find_binaries())
        with (self.folder.parent / "postgres.log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(binaries / "postgres"), "-D", str(self.folder)], stdout=log, stderr=log, cwd="/", start_new_session=True, **user.spawn()
            )
        while not await self.answers():
            await asyncio.sleep(0.05)

    async def answers(self) -> bool:
        try:
            await (await asyncpg.connect(self.url("postgres"), timeout=2)).close()
        except (OSError, asyncpg.PostgresError):
            return False
        return True

    async def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(how)
            await asyncio.to_thread(self.process.wait)

    def url(self, database: str = "hub") -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"


@dataclass
class Pair:
    """The two servers; ``url`` names both."""

    primary: Server
    standby: Server

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.primary.port},127.0.0.1:{self.standby.port}/hub"

    async def switch_over(self) -> None:
        """Stop the primary in order, promote the standby, and let the old primary follow it: what a maintenance does."""
        old, new = self.primary, self.standby
        await old.stop()
        new.run("pg_ctl", "promote", "-w", "-D", str(new.folder))
        (old.folder / "standby.signal").touch()
        server_user().own_file(old.folder / "standby.signal")
        await old.start()
        self.primary, self.standby = new, old


@asynccontextmanager
async def running_pair() -> AsyncIterator[Pair]:
    home = Path(tempfile.mkdtemp(prefix="carelane-pair-"))
    home.chmod(0o755)
    ports = [_free_port(), _free_port()]
    first, second = Server(home / "a", ports[0], ports[1]), Server(home / "b", ports[1], ports[0])
    server_user().own_folder(first.folder)
    server_user().own_folder(second.folder)
    try:
        first.run("initdb", "-D", str(first.folder), "-U", "postgres", "-A", "trust", "--no-instructions", "--no-sync", "--locale=C", "--encoding=UTF8")
        first.configure()
        await first.start()
        admin = await asyncpg.connect(first.url("postgres"))
        await admin.execute("CREATE DATABASE hub")
        await admin.execute("CREATE ROLE carelane_engine")
        await admin.close()
        second.run("pg_basebackup", "-D", str(second.folder), "-R", "-h", "127.0.0.1", "-p", str(first.port), "-U", "postgres", "-c", "fast", "-X", "stream")
        second.configure()
        await second.start()
        yield Pair(first, second)
    finally:
        await second.stop()
        await first.stop()
        shutil.rmtree(home, ignore_errors=True)


async def attempts_until_written(database: Database, most: int) -> int:
    """Write one row, as a caller that tries again does; return how many attempts were refused before."""
    for refused in range(most):
        try:
            await database.engine.execute("INSERT INTO kept DEFAULT VALUES")
        except StoreLost:
            await asyncio.sleep(0.05)
        else:
            return refused
    raise AssertionError(f"no write went through in {most} attempts")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

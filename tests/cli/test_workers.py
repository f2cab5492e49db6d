"""``carelane serve --workers``: several nodes of one machine under one parent."""

import asyncio
import os
import signal
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from carelane.domain.errors import Misconfigured
from carelane.kit.locks import AlreadyLocked, FolderLock
from carelane.ops.workers import admit
from carelane.store.ground import hold_as_worker, hold_ground
from tests.journeys.hubs import free_port
from tests.waiting import until


class Family:
    """A parent with two workers, and what they said."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port, self.said = folder, port, ""

    async def start(self) -> None:
        env = {**os.environ, "CARELANE_DATA": str(self.folder / "data"), "CARELANE_PORT": str(self.port), "CARELANE_LOW_WATER_MB": "0"}
        command = [sys.executable, "-m", "carelane", "serve", "--workers", "2"]
        self.parent = await asyncio.create_subprocess_exec(*command, env=env, stderr=asyncio.subprocess.PIPE)
        self.reading = asyncio.create_task(self._read())
        await until(self.has_said("hub.started"))

    async def _read(self) -> None:
        while line := await self.parent.stderr.readline():
            self.said += line.decode()

    def has_said(self, word: str):
        async def said() -> bool:
            return word in self.said or self.parent.returncode is not None

        return said

    @property
    def workers(self) -> list[int]:
        return [pid for pid in _children(self.parent.pid) if b"--as-worker" in Path(f"/proc/{pid}/cmdline").read_bytes()]

    async def healthy(self) -> bool:
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{self.port}/health") as answer:
            return answer.status == 200


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _left(folder: Path) -> list[str]:
    words = (path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.parent.exists())
    return [word.decode() for word in words if str(folder).encode() in word]


@asynccontextmanager
async def family(folder: Path):
    folder.chmod(0o755)
    made = Family(folder, free_port())
    await made.start()
    try:
        yield made
    finally:
        if made.parent.returncode is None:
            made.parent.send_signal(signal.SIGTERM)
        await made.parent.wait()
        await made.reading


async def test_two_workers_share_the_port_one_that_dies_is_replaced_and_all_come_down_in_order(tmp_path):
    async with family(tmp_path) as hub:
        before = hub.workers
        os.kill(before[0], signal.SIGKILL)
        await until(hub.has_said("worker.died"))

        async def replaced() -> bool:
            return len(hub.workers) == 2 and hub.workers != before and await hub.healthy()

        assert await until(replaced)
        hub.parent.send_signal(signal.SIGTERM)
        assert 0 == await hub.parent.wait()
        assert [] == _left(tmp_path / "data")


async def test_workers_whose_parent_was_killed_drain_and_end(tmp_path):
    async with family(tmp_path) as hub:
        workers = hub.workers
        hub.parent.kill()

        async def gone() -> bool:
            return not any(Path(f"/proc/{pid}").exists() and b"--as-worker" in Path(f"/proc/{pid}/cmdline").read_bytes() for pid in workers)

        assert await until(gone)
    async with hold_ground(tmp_path / "data", None, serve=True) as ground:
        await ground.ready()


def test_more_workers_than_the_machine_serves_are_refused_with_a_sentence():
    with pytest.raises(Misconfigured, match="9 workers are more than this machine can serve: it has 4 cores, so at most 8"):
        admit(9, cores=4)


async def test_no_hub_counts_as_alone_while_a_worker_lives_on_its_folder(place, tmp_path):
    tmp_path.chmod(0o755)
    with hold_as_worker(tmp_path):
        async with hold_ground(tmp_path, None, serve=True) as ground:
            await ground.ready()
            assert not ground.alone
    async with hold_ground(tmp_path, None, serve=True) as ground:
        await ground.ready()
        assert ground.alone


def test_several_workers_share_a_lock_that_nobody_else_gets(tmp_path):
    one, two = FolderLock(tmp_path / "lock").acquire(shared=True), FolderLock(tmp_path / "lock").acquire(shared=True)
    with pytest.raises(AlreadyLocked):
        FolderLock(tmp_path / "lock").acquire()
    one.release()
    two.release()
    FolderLock(tmp_path / "lock").acquire().release()

"""Several nodes on one machine: a parent owns the folder, the database and the signals; its workers share the ports and the lanes.

A worker is a node like any other, and never alone: what one that died was sending is waited for before another sends on its lanes.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from carelane.domain.errors import Misconfigured, StoreLost
from carelane.ops.signals import Ending

MOST_PER_CORE = 2
CONNECTIONS_EACH, CONNECTIONS_MORE = 24, 20
"""Database connections of a worker, and those of visiting commands and upkeep."""
_AGAIN_S, _LAST_S = 1.0, 10.0
_UP = b"up"
_LIFELINE = "CARELANE_LIFELINE"

Tell = Callable[[str, str], None]


def admit(workers: int, cores: int) -> None:
    """Refuse a number this machine cannot serve.

    Raises:
        Misconfigured: it is over twice the number of cores.
    """
    if workers > cores * MOST_PER_CORE:
        raise Misconfigured(
            f"{workers} workers are more than this machine can serve: it has {cores} cores, so at most {cores * MOST_PER_CORE}; "
            "more machines can share one database, see docs/how-to/cluster.md"
        )


def connections(workers: int) -> int:
    """Return how many connections the database must allow."""
    return workers * CONNECTIONS_EACH + CONNECTIONS_MORE


class Workers:
    """Starts them, starts one again that dies, and brings them down in order."""

    def __init__(self, count: int, command: Sequence[str], environment: Mapping[str, str], tell: Tell) -> None:
        self._command = command
        self._environment = {**os.environ, **environment, _LIFELINE: "1"}
        self._tell = tell
        self._processes: dict[int, asyncio.subprocess.Process] = {}
        self._up = [asyncio.Event() for _ in range(count)]
        self._stopping = False
        self._keepers: list[asyncio.Task[None]] = []

    @property
    def pids(self) -> list[int]:
        """The processes that run at this moment."""
        return sorted(process.pid for process in self._processes.values())

    async def start(self) -> None:
        """Start all; return when each takes messages.

        Raises:
            StoreLost: one ended before it was up; its own words are in the log.
        """
        loop = asyncio.get_running_loop()
        self._keepers = [loop.create_task(self._keep(number)) for number in range(len(self._up))]
        ready = loop.create_task(self._all_up())
        await asyncio.wait({ready, *self._keepers}, return_when=asyncio.FIRST_COMPLETED)
        if not ready.done():
            ready.cancel()
            raise StoreLost("a worker did not start; what it said stands above")

    async def stop(self, ending: Ending) -> None:
        """Ask each to drain, cut when it is cut, and wait for all; one that hangs even then is killed."""
        self._stopping = True
        self._signal(signal.SIGTERM)
        waiting: asyncio.Future[Any] = asyncio.gather(*self._keepers, return_exceptions=True)
        cutting: asyncio.Future[Any] = asyncio.ensure_future(ending.cut.wait())
        await asyncio.wait({waiting, cutting}, return_when=asyncio.FIRST_COMPLETED)
        cutting.cancel()
        if not waiting.done():
            self._signal(signal.SIGTERM)
            await asyncio.wait({waiting}, timeout=_LAST_S)
        if not waiting.done():
            self._tell("worker.killed", f"{self.pids} did not end")
            self._signal(signal.SIGKILL)
            await waiting

    async def _all_up(self) -> None:
        for up in self._up:
            await up.wait()

    async def _keep(self, number: int) -> None:
        """Run one worker, again and again; before it was up once, its end is the end of the start."""
        while not self._stopping:
            process = await self._spawn()
            self._processes[number] = process
            if self._stopping:
                process.send_signal(signal.SIGTERM)
            code = await self._watch(number, process)
            del self._processes[number]
            if self._stopping or not self._up[number].is_set():
                return
            self._tell("worker.died", f"process {process.pid} ended with {code}; another takes its place")
            await asyncio.sleep(_AGAIN_S)

    async def _spawn(self) -> asyncio.subprocess.Process:
        pipe = asyncio.subprocess.PIPE  # its end tells a worker that its parent is gone, however that went
        return await asyncio.create_subprocess_exec(*self._command, env=self._environment, stdin=pipe, stdout=pipe, start_new_session=True)

    async def _watch(self, number: int, process: asyncio.subprocess.Process) -> int:
        assert process.stdout is not None
        while line := await process.stdout.readline():
            if line.strip() == _UP:
                self._up[number].set()
        return await process.wait()

    def _signal(self, number: int) -> None:
        for process in self._processes.values():
            if process.returncode is None:
                process.send_signal(number)


def tell_parent() -> None:
    """Say that this worker takes messages."""
    if _LIFELINE in os.environ:
        sys.stdout.buffer.write(_UP + b"\n")
        sys.stdout.buffer.flush()


async def end_with_parent(ending: Ending) -> None:
    """Drain when the parent is gone: nobody would start us again, or stop us."""
    if _LIFELINE not in os.environ:
        return
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    try:
        await reader.read()
        ending.hear()
    finally:
        transport.close()

"""What ``carelane serve`` runs: one process, or a parent with workers."""

import asyncio
import os
import sys

from carelane.assembly import run_hub_with_web
from carelane.domain.errors import StoreLost
from carelane.ops.logs import tell
from carelane.ops.settings import Settings
from carelane.ops.signals import Ending
from carelane.ops.workers import Workers, admit, connections, end_with_parent, tell_parent
from carelane.store.ground import Ground, hold_as_worker, hold_ground
from carelane.store.store import open_on

_LOOK_S = 1.0


async def serve(settings: Settings, held: Ground, ending: Ending) -> None:
    """Run a hub with its web server, on a ground that is held, until it is told to end."""
    async with run_hub_with_web(settings, ending, held) as (_, port):
        ending.minded.set()
        tell("hub.started", f"http://{settings.host}:{port}")
        await ending.stop.wait()


async def serve_as_worker(settings: Settings, workers: int, ending: Ending) -> None:
    """Run one of several nodes of this machine, until it is told to end or its parent is gone."""
    lifeline = asyncio.get_running_loop().create_task(end_with_parent(ending))
    url = settings.database_url.get_secret_value() or None
    try:
        with hold_as_worker(settings.data):
            async with hold_ground(settings.data, url, serve=False) as ground, run_hub_with_web(settings, ending, ground, workers):
                ending.minded.set()
                tell_parent()
                await ending.stop.wait()
    finally:
        lifeline.cancel()


async def serve_with_workers(settings: Settings, workers: int, ending: Ending) -> None:
    """Own the folder, the database and the signals, and have workers do the rest."""
    from carelane.web.server import reserved  # noqa: PLC0415  (its imports are not waited for by a hub of one process)

    admit(workers, os.cpu_count() or 1)
    url = settings.database_url.get_secret_value() or None
    async with hold_ground(settings.data, url, serve=True, tell=tell) as ground:
        async with open_on(ground, settings.master_key.get_secret_value() or None) as store:
            if store.server is not None:
                await store.server.allow(connections(workers))
        with reserved(settings.host, settings.port) as port:
            environment = {"CARELANE_DATABASE_URL": ground.dsn, "CARELANE_DATA": str(ground.data), "CARELANE_PORT": str(port)}
            command = [sys.executable, "-m", "carelane", "serve", "--workers", str(workers), "--as-worker"]
            family = Workers(workers, command, environment, tell)
            reviving = asyncio.get_running_loop().create_task(_keep_alive(ground))
            try:
                await family.start()
                ending.minded.set()
                tell("hub.started", f"http://{settings.host}:{port}, {workers} workers")
                await ending.stop.wait()
            finally:
                ending.minded.set()
                ending.begin()
                await family.stop(ending)
                reviving.cancel()


async def _keep_alive(ground: Ground) -> None:
    """Start the embedded database again when it died; the workers only notice that it is away."""
    while ground.server is not None:
        await asyncio.sleep(_LOOK_S)
        try:
            if await ground.server.revive():
                tell("store.revived", "the embedded database was started again")
        except StoreLost as error:
            tell("node.chore_failed", str(error))

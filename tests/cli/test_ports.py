"""What the operator's commands say of listen ports, beside a running hub and without one."""

import asyncio
import json
import os
import signal
import sys
from contextlib import asynccontextmanager

import pytest

from carelane.domain.listening import ListenPorts
from carelane.store.catalogue.endpoint import create_endpoint
from carelane.store.catalogue.listen_port import Claim
from carelane.store.catalogue.organization import create_organization
from carelane.store.store import open_store
from tests.cli.test_commands import carelane
from tests.journeys.hubs import free_port

EVERY = ListenPorts.parse("1-65535")


@pytest.fixture
async def hospital(tmp_path):
    """A data folder with a source that has its port, one outside the operator's ports, and one whose port is nobody's."""
    tmp_path.chmod(0o755)
    data, (mine, outside, unclaimed) = tmp_path / "data", (free_port(), 80, free_port())
    async with open_store(data, None, None, serve=True) as store:
        org = await create_organization(store.database, store.keyring, slug="north", name="North", kind="provider")
        for name, port, claim in (("mine", mine, Claim(mine, EVERY)), ("outside", outside, Claim(outside, EVERY)), ("unclaimed", unclaimed, None)):
            await create_endpoint(
                store.database, store.keyring, "source", org=org, environment="development", name=name, transport="mllp", format="hl7v2",
                settings={"port": port}, listens=claim,
            )  # fmt: skip
    env = {"CARELANE_DATA": str(data), "CARELANE_PORT": str(free_port()), "CARELANE_LOW_WATER_MB": "1", "CARELANE_LISTEN_PORTS": "1024-65535"}
    return mine, env


async def checked(env) -> dict[str, tuple[bool, str]]:
    done = await run_in("check", "--json", env=env)
    return {one["check"]: (one["ok"], one["detail"]) for one in json.loads(done.stdout)}


async def run_in(*arguments: str, env):
    return await asyncio.to_thread(carelane, *arguments, **env)


async def test_check_tells_which_sources_may_not_listen(hospital):
    mine, env = hospital
    found = await checked(env)
    assert (True, f"127.0.0.1:{mine} free") == found["port of mine"]
    assert (False, True) == (found["port of outside"][0], "port 80 is not among the ports of this hub (1024-65535)" in found["port of outside"][1])
    assert (False, True) == (found["port of unclaimed"][0], "does not belong to it" in found["port of unclaimed"][1])


@asynccontextmanager
async def serving(env):
    """Run a hub in a process of its own; give what its log said until it took messages."""
    hub = await asyncio.create_subprocess_exec(sys.executable, "-m", "carelane", "serve", env={**os.environ, **env}, stderr=asyncio.subprocess.PIPE)
    try:
        yield (await asyncio.wait_for(hub.stderr.readuntil(b"hub.started"), 60)).decode()
    finally:
        hub.send_signal(signal.SIGTERM)
        await hub.communicate()


async def test_check_beside_a_running_hub_tells_its_troubles_and_admin_whose_ports_are(hospital):
    mine, env = hospital
    other = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", mine)
    async with serving(env) as said:
        busy = (await checked(env))["port of mine"]
        free = await run_in("admin", "ports", "free", str(mine), "--force", env=env)
        listed = json.loads((await run_in("admin", "ports", "list", "--json", env=env)).stdout)
    other.close()
    assert (False, True, True) == (busy[0], "is another program using the port?" in busy[1], "listener.trouble" in said)
    assert (0, [(80, "in use", "outside")]) == (free.returncode, [(row["port"], row["state"], row["source"]) for row in listed])


async def test_freeing_a_port_that_is_nobody_s_ends_with_1(hospital):
    done = await run_in("admin", "ports", "free", "20000", env=hospital[1])
    assert (1, True) == (done.returncode, b"nobody's" in done.stderr)


@pytest.mark.parametrize("ports", ["", "high", "30-20", "1-99999"])
async def test_check_names_the_setting_of_ports_that_cannot_be(tmp_path, ports):
    done = await run_in("check", env={"CARELANE_DATA": str(tmp_path), "CARELANE_LISTEN_PORTS": ports})
    assert (1, True) == (done.returncode, b"CARELANE_LISTEN_PORTS" in done.stdout)

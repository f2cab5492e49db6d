"""The three nodes of ``compose.cluster.yaml``, run as processes with its settings instead of as containers."""

import base64
import re
import signal
import sys
from contextlib import ExitStack
from pathlib import Path

import yaml

from tests.conftest import fresh_database
from tests.deploy.folder import DEPLOY, ROOT
from tests.journeys.hubs import free_ports
from tests.packaging.installing import Installed, first_answer

KEY = base64.b64encode(bytes(32)).decode()


def settings_of_nodes(**given: str) -> list[dict[str, str]]:
    """Return the environment of each service, its variables replaced as compose does."""
    services = yaml.safe_load((DEPLOY / "compose.cluster.yaml").read_text())["services"].values()

    def value(found: re.Match[str]) -> str:
        return given[found["name"]] if found["kind"] == ":?" else given.get(found["name"], found["text"])

    variable = re.compile(r"\$\{(?P<name>\w+)(?P<kind>:[-?])(?P<text>[^}]*)\}")
    return [{name: variable.sub(value, text) for name, text in service["environment"].items()} for service in services]


def start_and_stop(nodes: list[dict[str, str]], folder: Path) -> tuple[list[int], list[int]]:
    """Start all at once; return what each answers on /health, and how each ends."""
    ports = free_ports(len(nodes))
    with ExitStack() as stack:
        started = []
        for port, settings in zip(ports, nodes, strict=True):
            home = folder / settings["CARELANE_NODE"]
            home.mkdir()
            more = {"PYTHONPATH": str(ROOT / "src"), "CARELANE_PORT": str(port), "CARELANE_LOW_WATER_MB": "1"}
            started.append(stack.enter_context(Installed(Path(sys.executable), home).started("serve", **settings, **more)))
        answers = [first_answer(port, "/health", node)[0] for port, node in zip(ports, started, strict=True)]
        for node in started:
            node.send_signal(signal.SIGTERM)
        return answers, [node.wait() for node in started]


async def test_three_nodes_start_together_on_an_empty_database_and_end_in_order(place, tmp_path):
    async with fresh_database(place, "template0") as url:
        nodes = settings_of_nodes(CARELANE_DATABASE_URL=url, CARELANE_MASTER_KEY=KEY)
        assert ([200] * 3, [0] * 3) == start_and_stop(nodes, tmp_path)

"""Real processes: a hub that is killed, frozen and restarted under load, and three nodes of which one is killed while people act on lanes."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.timeout(300)


def run(*arguments: str) -> dict[str, Any]:
    """Run a harness in a process of its own: whatever happens to it, the nodes it started end with it."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    done = subprocess.run([sys.executable, "-m", *arguments], cwd=ROOT, env=env, capture_output=True, text=True, timeout=240, check=False)
    assert done.stdout, done.stderr[-2000:]
    figures: dict[str, Any] = orjson.loads(done.stdout)
    return {"returned": done.returncode, **figures}


@pytest.fixture(scope="module")
def one_hub() -> dict[str, Any]:
    return run("bench.faults", "--rounds", "4", "--seconds", "2", "--only", "kill-both,freeze-hub,restart,kill-database")


@pytest.fixture(scope="module")
def three_nodes() -> dict[str, Any]:
    return run("bench.nodes", "--rounds", "2", "--only", "kill,verbs")


def test_what_a_hub_acknowledged_arrives_in_order_whatever_befalls_it(one_hub):
    assert (0, 0) == (one_hub["lost"], one_hub["order_errors"])


def test_a_hub_repeats_at_most_the_head_of_a_lane_and_only_where_its_process_ended_or_stood_still(one_hub):
    assert [] == one_hub["repeats_without_excuse"]


def test_a_hub_comes_back_and_holds_no_lane_but_for_its_receiver(one_hub):
    assert (True, True) == (one_hub["held"]["came_back"], one_hub["held"]["held_for_its_receiver_only"])


def test_the_checker_of_a_hub_notices_a_broken_log():
    broken = run("bench.faults", "--rounds", "1", "--seconds", "3", "--only", "restart", "--break-checker")
    assert (0, False) == (broken["returned"], broken["held"]["order_kept"])


def test_what_any_node_acknowledged_arrives_in_order_although_one_is_killed(three_nodes):
    assert (0, 0) == (three_nodes["lost"], three_nodes["order_errors"])


def test_another_node_repeats_at_most_the_head_of_a_lane_and_nothing_for_a_verb_or_a_join(three_nodes):
    assert [] == three_nodes["repeats_without_excuse"]


def test_a_paused_lane_stands_on_whichever_node_it_is(three_nodes):
    assert 0 == three_nodes["sent_while_paused"]

"""A hub on a real cluster of three, kept by Patroni: one kill of the leader, one switchover, lost standbys, and the control that must lose."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

ROOT = Path(__file__).parents[2]
_NOT_TO_BE_HAD = 3
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def run() -> dict[str, Any]:
    """Run the harness once, in a process of its own: whatever happens to it, everything it started ends with it."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    done = subprocess.run([sys.executable, "-m", "bench.patroni", "--short"], cwd=ROOT, env=env, capture_output=True, text=True, timeout=240, check=False)
    if done.returncode == _NOT_TO_BE_HAD:
        pytest.skip(done.stderr.strip().splitlines()[-1])
    assert done.stdout, done.stderr[-2000:]
    figures: dict[str, Any] = orjson.loads(done.stdout)
    return figures


def test_nothing_acknowledged_is_lost_when_leaders_are_killed_and_switched_over(run: dict[str, Any]):
    assert (0, 0) == (run["lost"], run["lost_in_database"])


def test_order_is_kept_and_a_lane_repeats_its_head_at_most_once_an_event(run: dict[str, Any]):
    assert (0, 0) == (run["order_errors"], run["repeats_over_bound"])


def test_writes_go_on_soon_after_the_leaders_lease_ran_out(run: dict[str, Any]):
    assert [gap for gap in run["kills"]["gap_s"] if gap <= run["ttl_s"] + 3] == run["kills"]["gap_s"]


def test_writes_go_on_within_seconds_of_a_switchover(run: dict[str, Any]):
    assert [gap for gap in run["switchovers"]["gap_s"] if gap <= 5] == run["switchovers"]["gap_s"]


def test_the_hub_comes_back_without_being_started_anew(run: dict[str, Any]):
    assert 0 == run["hub_restarts_needed"]


def test_a_url_that_says_nothing_of_writes_still_leads_to_the_new_leader(run: dict[str, Any]):
    assert {} == run["probe_later_than_5_s"]


def test_nobody_is_acknowledged_while_both_standbys_are_gone(run: dict[str, Any]):
    assert [0] == [other["more"]["acknowledged_meanwhile"] for other in run["others"] if other["what"] == "both standbys gone"]


def test_without_synchronous_replication_somebody_is_acknowledged_although_both_standbys_are_gone(run: dict[str, Any]):
    assert run["control_asynchronous"]["acknowledged_alone"] > 0


def test_without_synchronous_replication_the_same_kill_loses_what_was_acknowledged(run: dict[str, Any]):
    assert run["control_asynchronous"]["lost_in_database"] > 0

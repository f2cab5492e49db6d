"""The units: systemd itself reads them where it is installed; what must hold for a hub holds everywhere."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.folder import DEPLOY, GRACE_S, SETTINGS

UNITS = ["carelane.service", "carelane@.service"]
MOST_EXPOSED = 20  # of 100, by systemd's own reckoning; without hardening a service has 96
ANALYZE = shutil.which("systemd-analyze")
needs_systemd = pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed: the units are read by our own tests only")


@pytest.fixture(params=UNITS)
def unit(request) -> dict[str, list[str]]:
    made: dict[str, list[str]] = {}
    for key, value in re.findall(r"^([A-Z]\w+)=(.*)$", (DEPLOY / "systemd" / request.param).read_text(), re.MULTILINE):
        made.setdefault(key, []).append(value)
    return made


@pytest.fixture(params=UNITS)
def installed(request, tmp_path: Path) -> Path:
    """A unit as it would be on a machine that has the program, a template with its instance."""
    path = tmp_path / request.param.replace("@.", "@1.")
    path.write_text((DEPLOY / "systemd" / request.param).read_text().replace("/opt/carelane/bin/carelane", sys.executable))
    return path


@needs_systemd
def test_systemd_has_nothing_to_say_about_a_unit(installed):
    done = subprocess.run([ANALYZE, "verify", "--man=no", str(installed)], capture_output=True, check=False, text=True)
    assert (0, []) == (done.returncode, [line for line in done.stderr.splitlines() if installed.name in line])


@needs_systemd
def test_systemd_counts_a_unit_as_hardened(installed):
    command = [ANALYZE, "security", "--offline=true", "--no-pager", f"--threshold={MOST_EXPOSED}", str(installed)]
    done = subprocess.run(command, capture_output=True, check=False, text=True)
    assert 0 == done.returncode, done.stdout + done.stderr


def test_a_unit_is_given_longer_to_stop_than_the_hub_takes_to_drain(unit):
    [seconds] = unit["TimeoutStopSec"]
    assert float(seconds.removesuffix("s")) >= 2 * GRACE_S


def test_sigterm_reaches_the_hub_alone_so_that_its_database_stops_last(unit):
    assert (["SIGTERM"], ["mixed"]) == (unit["KillSignal"], unit["KillMode"])


def test_a_unit_runs_as_a_user_of_its_own_in_a_folder_of_its_own(unit):
    [folder] = unit["StateDirectory"]
    assert (["carelane"], ["0700"], [f"%S/{folder}"]) == (unit["User"], unit["StateDirectoryMode"], unit["WorkingDirectory"])
    assert f"CARELANE_DATA=%S/{folder}" in unit["Environment"]


def test_every_setting_of_a_unit_is_one_of_the_hub(unit):
    texts = [*unit["Environment"], *unit.get("ExecStartPre", [])]
    assert set() == set(re.findall(r"CARELANE_\w+", " ".join(texts))) - SETTINGS


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"CARELANE_DATABASE_URL": "postgresql://x", "CARELANE_MASTER_KEY": "k"}, 0),
        ({"CARELANE_DATABASE_URL": "postgresql://x"}, 2),
        ({"CARELANE_MASTER_KEY": "k"}, 2),
        ({}, 2),
    ],
)
def test_a_node_without_the_shared_database_or_key_does_not_start(settings, code):
    text = (DEPLOY / "systemd" / "carelane@.service").read_text()
    [condition] = re.findall(r"^ExecStartPre=/bin/sh -c '(.*)'$", text, re.MULTILINE)
    done = subprocess.run(["/bin/sh", "-c", condition.replace("$$", "$")], capture_output=True, check=False, env=settings)
    assert code == done.returncode

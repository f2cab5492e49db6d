"""The first minutes of somebody who installed the package, and nothing else, away from the repository."""

import json
import signal
from pathlib import Path

import pytest

from carelane import __version__
from tests.journeys.hubs import free_ports
from tests.packaging.installing import ask, first_answer
from tests.world import ADT

PROBE = Path(__file__).with_name("probe.py")


def test_no_module_needs_what_only_the_dev_extra_brings(installed):
    # A behaviour suite is an exception: whoever inherits it runs pytest.
    broken = {"carelane.testing.transport_suite": "No module named 'pytest'"}
    assert {"missing": {"pytest": ["testing/transport_suite.py"]}, "broken": broken} == installed.look(PROBE)


def test_the_command_tells_its_version(installed):
    done = installed.run("--version")
    assert (0, f"carelane {__version__}\n") == (done.returncode, done.stdout.decode()), done.stderr


@pytest.mark.parametrize(
    ("target", "told"),
    [("datamodel", lambda document: document["Meta"]["DataModel"] == "PatientAdmin"), ("fhir", lambda bundle: bundle["resourceType"] == "Bundle")],
)
def test_a_message_is_converted(installed, target, told):
    done = installed.run("convert", "-", "--from", "hl7v2", "--to", target, "-q", stdin=ADT)
    assert (0, True) == (done.returncode, told(json.loads(done.stdout))), done.stderr


def test_a_fhir_resource_is_checked_against_its_schema(installed):
    (installed.home / "patient.json").write_text('{"resourceType": "Patient", "birthDate": "yesterday"}')
    done = installed.run("validate", "patient.json", "--json")
    assert (1, [False]) == (done.returncode, [one["valid"] for one in json.loads(done.stdout)]), done.stderr


@pytest.mark.parametrize("workers", [1, 2])
def test_the_hub_serves_its_pages_and_ends_well_on_sigterm(installed, workers):
    [port] = free_ports(1)
    with installed.started("serve", "--workers", str(workers), CARELANE_PORT=str(port), CARELANE_DATA="data", CARELANE_LOW_WATER_MB="1") as hub:
        assert (200, '{"status":"ok"}') == first_answer(port, "/health", hub), installed.log("serve").read_text()
        assert [200, 200, 200] == [ask(port, path)[0] for path in ("/sign-in", "/static/carelane.css", "/platform/v1/openapi.json")]
        assert 401 == ask(port, "/sign-in", "email=nobody%40example.org&password=x")[0]
        hub.send_signal(signal.SIGTERM)
        assert 0 == hub.wait()
    assert not (installed.home / "data" / "pg" / "postmaster.pid").exists()


def test_the_demo_delivers_its_first_message_and_stops(installed):
    port, mllp_port, vendor_port = free_ports(3)
    with installed.started("demo", "--port", f"{port}", "--mllp-port", f"{mllp_port}", "--vendor-port", f"{vendor_port}") as demo:
        greeting = next((line for line in demo.stdout if "Carelane is running" in line), installed.log("demo").read_text())
        demo.send_signal(signal.SIGINT)
        farewell, ended = demo.stdout.read(), demo.wait()
    assert (0, True, True) == (ended, "first message delivered" in greeting, "messages were delivered" in farewell), greeting

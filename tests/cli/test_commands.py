"""Commands as scripts meet them: output, JSON, exit codes."""

import base64
import json
import os
import subprocess
import sys

import pytest

from carelane.kit.ids import public
from carelane.kit.seal import Key, new_key
from carelane.store.database import Database
from carelane.store.keys import Keyring
from carelane.store.ledger import Ledger
from carelane.store.store import Store
from carelane.testing.partners import FakeReceiver, FakeWebhook
from tests.journeys.hubs import ingest_into
from tests.world import ADT, adt, make_world

HL7 = adt("C1")


def carelane(*arguments: str, stdin: bytes | None = None, **env: str):
    return subprocess.run(
        [sys.executable, "-m", "carelane", *arguments], input=stdin, capture_output=True, check=False, env={**os.environ, "NO_COLOR": "1", **env}, timeout=90
    )


@pytest.mark.parametrize(
    "command",
    [
        [],
        ["serve"],
        ["demo"],
        ["send"],
        ["convert"],
        ["check"],
        ["lanes"],
        ["messages"],
        ["lanes", "skip"],
        ["messages", "find"],
        ["admin"],
        ["admin", "reset-password"],
    ],
)
def test_every_command_explains_itself(command):
    done = carelane(*command, "--help")
    assert (0, True) == (done.returncode, b"Usage" in done.stdout)


def test_convert_prints_json_and_reports_on_stderr(tmp_path):
    (tmp_path / "a.hl7").write_bytes(HL7 + b"PV2|1||x\r")
    done = carelane("convert", str(tmp_path / "a.hl7"), "--from", "hl7v2", "--to", "datamodel")
    assert (0, "Arrival", True) == (done.returncode, json.loads(done.stdout)["Meta"]["EventType"], b"not mapped" in done.stderr)


def test_convert_to_the_same_format_reads_and_writes(tmp_path):
    raw = HL7.replace(b"\r", b"\r\n") + b"ZZZ|\xe9|\\X41\\"
    back = carelane("convert", "-", "--to", "hl7v2", stdin=raw).stdout.split(b"\r")
    assert ([line[:3] for line in raw.split(b"\r\n")], "ZZZ|\xe9|A".encode()) == ([line[:3] for line in back[:-1]], back[-2])


def test_convert_goes_back_to_hl7(tmp_path):
    there = carelane("convert", "-", stdin=HL7)
    back = carelane("convert", "-", "--from", "datamodel", "--to", "hl7v2", stdin=there.stdout)
    assert (0, True) == (back.returncode, b"|4711^^^NORTH^MR||Doe^Jo" in back.stdout or b"|4711^^^^MR||Doe^Jo" in back.stdout)


def test_convert_takes_a_folder(tmp_path):
    (tmp_path / "in").mkdir()
    for number in range(3):
        (tmp_path / "in" / f"{number}.hl7").write_bytes(adt(f"C{number}"))
    (tmp_path / "in" / "bad.hl7").write_bytes(b"nothing")
    done = carelane("convert", str(tmp_path / "in"), "--out", str(tmp_path / "out"))
    assert (1, True) == (done.returncode, b"4 files, 3 converted, 1 not" in done.stderr.replace(b"\n", b" "))
    assert ["0.hl7.json", "1.hl7.json", "2.hl7.json"] == sorted(path.name for path in (tmp_path / "out").glob("*.hl7.json") if ".issues" not in path.name)


@pytest.mark.parametrize(("arguments", "code"), [(["convert", "/nowhere"], 2), (["convert", "-", "--to", "fhirr"], 2), (["send", "/nowhere", "--to", "mllp://127.0.0.1:1"], 2),
                                                 (["send", "/dev/null", "--to", "smtp://x"], 2), (["lanes", "pause", "x"], 2)])  # fmt: skip
def test_wrong_use_is_told_with_exit_code_2(arguments, code):
    done = carelane(*arguments, stdin=b"")
    assert (code, True) == (done.returncode, bool(done.stderr))


async def run(*arguments: str, **env: str):
    import asyncio

    return await asyncio.to_thread(carelane, *arguments, **env)


async def test_send_summarises_the_acknowledgements(tmp_path):
    (tmp_path / "many.hl7").write_bytes(b"".join(adt(f"C{number}") for number in range(5)))
    async with FakeReceiver() as receiver:
        done = await run("send", str(tmp_path / "many.hl7"), "--to", f"mllp://127.0.0.1:{receiver.port}", "--json")
    assert (0, {"AA": 5}, 5) == (done.returncode, json.loads(done.stdout)["answers"], len(receiver.received))


async def test_send_ends_with_4_when_refused_and_3_when_unanswered(tmp_path):
    (tmp_path / "one.hl7").write_bytes(ADT)
    async with FakeReceiver() as receiver:
        receiver.script.append("AE")
        refused = await run("send", str(tmp_path / "one.hl7"), "--to", f"mllp://127.0.0.1:{receiver.port}")
    unanswered = await run("send", str(tmp_path / "one.hl7"), "--to", "mllp://127.0.0.1:1")
    assert (4, 3) == (refused.returncode, unanswered.returncode)


async def test_send_posts_over_http(tmp_path):
    (tmp_path / "one.hl7").write_bytes(ADT)
    async with FakeWebhook() as server:
        done = await run("send", str(tmp_path / "one.hl7"), "--to", server.url, "--key", "k")
    assert (0, "Bearer k", ADT) == (done.returncode, server.received[0][0]["authorization"], server.received[0][1])


def test_check_and_lists_work_on_an_empty_data_folder(tmp_path):
    env = {"CARELANE_DATA": str(tmp_path / "data"), "CARELANE_PORT": "0", "CARELANE_LOW_WATER_MB": "1"}
    tmp_path.chmod(0o755)
    checked = carelane("check", "--json", **env)
    assert (0, [True]) == (checked.returncode, sorted({one["ok"] for one in json.loads(checked.stdout)}))
    assert [] == json.loads(carelane("lanes", "list", "--json", **env).stdout)
    missing = carelane("messages", "find", "--org", "nobody", **env)
    assert (1, True) == (missing.returncode, b"no organization" in missing.stderr)


async def test_replay_queues_a_stored_message_again_beside_the_hub(tmp_path, dsn):
    key = new_key()
    env = {"CARELANE_DATA": str(tmp_path), "CARELANE_DATABASE_URL": dsn, "CARELANE_MASTER_KEY": base64.b64encode(key).decode()}
    database = await Database(dsn).open()
    try:
        store = Store(database, Keyring(Key(key)))
        world = await make_world(store)
        message = public("msg", (await ingest_into(store, Ledger(database), world, HL7)).message_id)
        done = await run("messages", "replay", message, **env)
        assert (0, b"queued on lane_1 as number 2\n") == (done.returncode, done.stdout)
        await database.engine.execute("UPDATE connection SET state = 'suspended'")
        refused = await run("messages", "replay", message, **env)
        assert (1, True) == (refused.returncode, b"No active subscription takes PatientAdmin" in refused.stderr)
    finally:
        await database.close()


def test_check_names_the_setting_that_cannot_work(tmp_path):
    done = carelane("check", CARELANE_DATA=str(tmp_path), CARELANE_PORT="99999")
    assert (1, True) == (done.returncode, b"CARELANE_PORT" in done.stdout)


def test_the_operator_creates_an_organization_resets_a_password_and_disables_a_user(tmp_path):
    env = {"CARELANE_DATA": str(tmp_path)}
    made = carelane("admin", "create-organization", "Lakeside", "--owner", "ann@example.org", **env)
    assert (0, True) == (made.returncode, b"not shown again" in made.stdout)
    people = json.loads(carelane("admin", "users", "--json", **env).stdout)
    assert [["ann@example.org", [["Lakeside", "owner"]]]] == [[one["email"], one["organizations"]] for one in people]
    assert 0 == carelane("admin", "reset-password", "ann@example.org", "--stdin", stdin=b"harbour lamps and rain\n", **env).returncode
    assert 1 == carelane("admin", "reset-password", "ann@example.org", "--stdin", stdin=b"short\n", **env).returncode
    assert (1, True) == ((refused := carelane("admin", "disable-user", "ann@example.org", **env)).returncode, b"only owner" in refused.stderr)
    assert 0 == carelane("admin", "disable-user", "ann@example.org", "--force", **env).returncode
    assert 1 == carelane("admin", "enable-user", "nobody@example.org", **env).returncode


def test_convert_to_fhir_prints_one_bundle_a_message(tmp_path):
    (tmp_path / "a.hl7").write_bytes(HL7)
    done = carelane("convert", str(tmp_path / "a.hl7"), "--to", "fhir", "-q")
    assert (0, "Bundle") == (done.returncode, json.loads(done.stdout)["resourceType"])
    back = carelane("convert", "-", "--from", "fhir", "--to", "datamodel", stdin=done.stdout)
    assert "PatientAdmin" == json.loads(back.stdout)["Meta"]["DataModel"]


def test_convert_to_fhir_keeps_every_drug_of_a_message_and_says_what_it_is_about(tmp_path):
    drugs = "".join(f"ORC|NW|P1|F1\rRXO|{name}^Drug {name}^L|5||mg\r" for name in "AB")
    (tmp_path / "a.hl7").write_bytes(f"MSH|^~\\&|A|B|C|D|20260101100000+0000||OMP^O09|X1|P|2.5.1\rPID|1||7^^^N^MR||Doe^Jo\r{drugs}".encode())
    bundle = json.loads(carelane("convert", str(tmp_path / "a.hl7"), "--to", "fhir", "-q").stdout)
    requests = [entry for entry in bundle["entry"] if entry["resource"]["resourceType"] == "MedicationRequest"]
    assert ["A", "B"] == [entry["resource"]["medicationCodeableConcept"]["coding"][0]["code"] for entry in requests]
    focus = [link["reference"] for link in bundle["entry"][0]["resource"]["focus"]]
    assert {entry["fullUrl"] for entry in requests} <= set(focus) and len(focus) == len(set(focus))


def test_explain_says_where_a_value_comes_from_and_fails_where_nothing_stands(tmp_path):
    (tmp_path / "a.hl7").write_bytes(HL7)
    done = carelane("explain", str(tmp_path / "a.hl7"), "--path", "Patient.Demographics.Sex", "--json")
    [[value]] = [one["values"] for one in json.loads(done.stdout)]
    assert ("PID-8.1", "pid.8", 0) == (value["source"], value["row"], done.returncode)
    assert 1 == carelane("explain", str(tmp_path / "a.hl7"), "--path", "Patient.Shoes").returncode


def test_validate_tells_what_fits_from_what_does_not(tmp_path):
    (tmp_path / "good.hl7").write_bytes(HL7)
    (tmp_path / "bad.json").write_text('{"resourceType": "Patient", "birthDate": "yesterday"}')
    done = carelane("validate", str(tmp_path / "good.hl7"), str(tmp_path / "bad.json"), "--json")
    assert ([True, False], 1) == ([one["valid"] for one in json.loads(done.stdout)], done.returncode)
    assert b"yesterday" not in done.stdout


def test_coverage_scores_a_folder_and_fails_below_the_least(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.hl7").write_bytes(HL7)
    (tmp_path / "least.json").write_text('{"ADT": {"C2 mapped by a row": 101}}')
    done = carelane("coverage", str(tmp_path / "in"), "--family", "ADT", "--json")
    assert 100.0 == json.loads(done.stdout)[0]["C4 bundles valid"]
    shown = carelane("coverage", str(tmp_path / "in")).stdout
    assert b"C2 carried or listed" in shown and b"ADT" in shown  # whole names, however narrow the terminal
    assert 1 == carelane("coverage", str(tmp_path / "in"), "--least", str(tmp_path / "least.json")).returncode


def test_an_overlay_that_does_not_fit_is_refused_with_the_row(tmp_path):
    (tmp_path / "a.hl7").write_bytes(HL7)
    (tmp_path / "o.yaml").write_text('overlay: a\nversion: "1"\npack: v2-patientadmin\nchanges:\n- disable: pid.999\n')
    done = carelane("convert", str(tmp_path / "a.hl7"), "--overlay", str(tmp_path / "o.yaml"))
    assert 2 == done.returncode and b"pid.999" in done.stderr

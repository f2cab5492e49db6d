"""The image's recipe, read and not built: no part of the tests has a container engine."""

import json
import re

import pytest

from tests.deploy.folder import DEPLOY, ROOT, SETTINGS

KNOWN = {"ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "RUN", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"}


def instructions() -> list[tuple[str, str]]:
    text = "\n".join(line for line in (DEPLOY / "Dockerfile").read_text().splitlines() if line.strip() and not line.startswith("#"))
    return [tuple(re.sub(r"\\\n\s*", " ", text_of_one).split(None, 1)) for text_of_one in re.split(r"(?<!\\)\n", text)]


@pytest.fixture(scope="module")
def final() -> dict[str, list[str]]:
    """The instructions of the last stage, the one that is run."""
    made = instructions()
    last = max(number for number, (name, _) in enumerate(made) if name == "FROM")
    return {name: [value for other, value in made[last:] if other == name] for name in KNOWN}


def test_every_instruction_is_one_of_a_dockerfile():
    assert set() == {name for name, _ in instructions()} - KNOWN


def test_all_that_is_copied_is_in_the_checkout_and_let_through():
    copied = {source for name, value in instructions() if name == "COPY" and "--from" not in value for source in value.split()[:-1]}
    let_through = {line[1:] for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines() if line.startswith("!")}
    assert (copied, True) == (let_through, all((ROOT / source).exists() for source in copied))


def test_versions_and_hashes_come_from_the_lock():
    commands = " && ".join(value for name, value in instructions() if name == "RUN")
    assert "--require-hashes -r uv.lock" in commands
    assert "--build-constraints requirements.lock" in commands
    assert re.search(r"uv pip install .*--constraint requirements\.lock .*\.whl", commands)


def test_the_hub_runs_as_a_user_without_rights_that_owns_its_data_folder(final):
    [user], [volume] = final["USER"], final["VOLUME"]
    environment = dict(pair.split("=", 1) for value in final["ENV"] for pair in value.split())
    assert ("10001:10001", [environment["CARELANE_DATA"]]) == (user, json.loads(volume))
    assert "--uid 10001 " in final["RUN"][0] and f"-o carelane -g carelane -m 0700 {environment['CARELANE_DATA']}" in final["RUN"][0]


def test_it_is_stopped_with_sigterm_and_asked_for_its_health(final):
    [check] = final["HEALTHCHECK"]
    program = json.loads(check.split("CMD", 1)[1])
    assert (["SIGTERM"], ["python", "-c"], True) == (final["STOPSIGNAL"], program[:2], "/health" in program[2])
    compile(program[2], "healthcheck", "exec")


def test_it_serves_and_hands_signals_to_the_hub_itself(final):
    assert ([["carelane"]], [["serve"]]) == ([json.loads(one) for one in final["ENTRYPOINT"]], [json.loads(one) for one in final["CMD"]])


def test_every_setting_it_makes_is_one_of_the_hub(final):
    assert set() == set(re.findall(r"CARELANE_\w+", " ".join([*final["ENV"], *final["HEALTHCHECK"]]))) - SETTINGS

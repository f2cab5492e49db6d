"""The compose files: each key is known and of its type, and what must hold for a hub holds."""

import re
from typing import Annotated, Literal

import pytest
import yaml
from pydantic import BaseModel, ConfigDict, Field

from tests.deploy.folder import DEPLOY, GRACE_S, SETTINGS

FILES = ["compose.yaml", "compose.cluster.yaml"]
Text = Annotated[str, Field(min_length=1)]
Port = Annotated[str, Field(pattern=r"^(\d{1,3}(\.\d{1,3}){3}:)?\d{2,5}:\d{2,5}$")]
Mount = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*:/[a-z/]+$")]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Build(Strict):
    context: Literal[".."]
    dockerfile: Literal["deploy/Dockerfile"]


class Service(Strict):
    """What of the compose specification we use, and no key beside."""

    build: Build
    image: Literal["carelane"]
    init: Literal[True]
    restart: Literal["unless-stopped"]
    stop_signal: Literal["SIGTERM"]
    stop_grace_period: Annotated[str, Field(pattern=r"^\d+s$")]
    read_only: Literal[True]
    tmpfs: list[Literal["/tmp"]]
    shm_size: Annotated[str, Field(pattern=r"^\d+m$")] = "64m"
    cap_drop: list[Literal["ALL"]]
    security_opt: list[Literal["no-new-privileges:true"]]
    environment: dict[str, Text]
    ports: list[Port]
    volumes: list[Mount]


class Compose(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)

    name: Text
    services: Annotated[dict[str, Service], Field(min_length=1)]
    volumes: dict[str, dict[str, str]]


def read(name: str) -> Compose:
    return Compose.model_validate(yaml.safe_load((DEPLOY / name).read_text()))


@pytest.fixture(params=FILES)
def compose(request) -> Compose:
    return read(request.param)


def test_every_key_is_known(compose):
    assert [] == [key for key in compose.model_extra or {} if not key.startswith("x-")]


def test_every_setting_is_one_of_the_hub(compose):
    texts = [part for service in compose.services.values() for pair in service.environment.items() for part in pair]
    assert set() == set(re.findall(r"CARELANE_\w+", " ".join(texts))) - SETTINGS


def test_every_service_has_a_data_folder_of_its_own_that_is_declared(compose):
    mounts = [mount for service in compose.services.values() for mount in service.volumes]
    assert sorted(f"{volume}:/data" for volume in compose.volumes) == sorted(mounts)
    assert len(compose.services) == len(set(mounts))


def test_a_hub_is_given_longer_to_stop_than_it_takes_to_drain(compose):
    assert [] == [name for name, service in compose.services.items() if float(service.stop_grace_period.removesuffix("s")) < 2 * GRACE_S]


def test_the_dashboard_is_published_to_this_machine_only(compose):
    published = [port for service in compose.services.values() for port in service.ports if port.endswith(":8080")]
    assert (len(compose.services), []) == (len(published), [port for port in published if not port.startswith("127.0.0.1:")])


def test_no_two_services_publish_one_port(compose):
    published = [port.rsplit(":", 1)[0].rpartition(":")[2] for service in compose.services.values() for port in service.ports]
    assert sorted(set(published)) == sorted(published)


def test_a_cluster_is_three_nodes_of_different_names_on_one_database_and_one_key():
    environments = [service.environment for service in read("compose.cluster.yaml").services.values()]
    assert ["hub-1", "hub-2", "hub-3"] == sorted(one["CARELANE_NODE"] for one in environments)
    shared = {(one["CARELANE_DATABASE_URL"], one["CARELANE_MASTER_KEY"]) for one in environments}
    assert (1, True) == (len(shared), all(":?" in text for pair in shared for text in pair)), "without them compose must refuse to start"

"""A running hub, and people who speak to its platform API with their keys."""

from dataclasses import dataclass

import aiohttp
import pytest

from carelane.web.server import running
from tests.journeys.hubs import running_hub
from tests.offices import Office


@dataclass
class Caller:
    """One person with a personal key."""

    person: object
    key: str
    session: aiohttp.ClientSession

    async def ask(self, method: str, path: str, body=None, status: int | None = None, **headers: str):
        """Send a request; return (body, response) and check the status when one is given."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.session.request(method, f"/platform/v1{path}", json=body, headers=sent) as reply:
            found = await reply.json(content_type=None) if reply.content_length != 0 and reply.status != 204 else None
            if status is not None:
                assert status == reply.status, (method, path, reply.status, found)
            return found, reply


@pytest.fixture
async def office(store):
    made = Office(store)
    yield made
    await made.tools.http.close()


@pytest.fixture
async def base(store):
    """The address of a running hub."""
    async with running_hub(store) as hub, running(hub.app, "127.0.0.1", 0) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
async def calling(office, base):
    """Makes a caller out of a person."""
    made = []

    async def caller(person) -> Caller:
        _, key = await office.personal_keys.create(person, "tests", 7)
        made.append(Caller(person, key, aiohttp.ClientSession(base, headers={"authorization": f"Bearer {key}"})))
        return made[-1]

    yield caller
    for one in made:
        await one.session.close()


@pytest.fixture
async def ann(office, calling):
    """Owner of a listed hospital."""
    person = await office.sign_up("Ann", "North Hospital")
    await office.list_in_directory(person, "North Hospital", place="Lakeside, WI", ehr="Epic", offers=["PatientAdmin"], wants=["Results"])
    return await calling(person)


@pytest.fixture
async def bob(office, calling):
    """Owner of a listed vendor."""
    person = await office.sign_up("Bob", "Bright Health", "health-tech vendor")
    await office.list_in_directory(person, "Bright Health", "health-tech vendor", offers=["Results"], wants=["PatientAdmin"])
    return await calling(person)

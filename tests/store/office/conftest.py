import pytest

from tests.offices import Office


@pytest.fixture
async def office(store):
    made = Office(store)
    yield made
    await made.tools.http.close()


@pytest.fixture
async def ann(office):
    """Owner of a hospital that is listed in the directory."""
    person = await office.sign_up("Ann", "North Hospital")
    await office.list_in_directory(person, "North Hospital", place="Lakeside, WI", ehr="Epic", offers=["PatientAdmin"], wants=["Results"])
    return person


@pytest.fixture
async def bob(office):
    """Owner of a vendor that is not listed."""
    return await office.sign_up("Bob", "Bright Health", "health-tech vendor")

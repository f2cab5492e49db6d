"""The operator creates organizations, helps people back in and shuts them out; an organization keeps an owner."""

import pytest

from carelane.domain.errors import Conflict, NotFound
from carelane.domain.permissions import Right, may
from carelane.store import people
from carelane.store.office.operator import Operator
from tests.offices import PASSWORD


@pytest.fixture
def operator(office):
    return Operator(office.store.database, office.team, "operator root")


async def test_an_organization_for_somebody_unknown_comes_with_a_password_that_works(office, operator):
    password = await operator.create_organization("Lakeside", "provider", "Eve@Example.org", "Eve")
    eve = await office.person("eve@example.org", password)
    assert ("owner", "Lakeside") == (eve.role, eve.org_name)
    assert "Lakeside" in [row["name"] for row in await operator.organizations()]


async def test_an_organization_for_somebody_known_becomes_one_more_of_theirs(office, operator, ann):
    assert await operator.create_organization("Second", "lab", ann.email, "") is None
    assert {"North Hospital", "Second"} == {name for _, name in (await office.person(ann.email)).orgs}


async def test_a_reset_password_opens_and_the_old_one_and_every_sign_in_do_not(office, operator, ann):
    token = await people.sign_in(office.store.database, ann.email, PASSWORD)
    password = await operator.reset_password(ann.email)
    assert await people.who(office.store.database, token) is None
    assert await people.sign_in(office.store.database, ann.email, PASSWORD) is None
    assert (await office.person(ann.email, password)).id == ann.id
    with pytest.raises(Conflict, match="12 characters"):
        await operator.reset_password(ann.email, "short")


async def test_a_disabled_person_is_out_with_sign_in_password_and_key(office, operator, ann):
    await office.team.join(await office.team.invite(ann, email="eve@example.org", role="owner", environments={}, payloads=False), name="Eve", password=PASSWORD)
    _, key = await office.personal_keys.create(ann, "script", 1)
    token = await people.sign_in(office.store.database, ann.email, PASSWORD)
    await operator.disable(ann.email)
    assert await people.who(office.store.database, token) is None
    assert await people.sign_in(office.store.database, ann.email, PASSWORD) is None
    assert await office.personal_keys.holder(key) is None
    await operator.enable(ann.email)
    assert may(await office.person(ann.email), Right.PROFILE)
    assert "user.disable" in [moment.action for moment, _ in await office.team.trail(await office.person(ann.email))]


async def test_the_only_owner_is_disabled_only_when_it_is_insisted_on(office, operator, ann):
    with pytest.raises(Conflict, match="only owner of North Hospital"):
        await operator.disable(ann.email)
    await operator.disable(ann.email, force=True)
    [row] = [row for row in await operator.users() if row["email"] == ann.email]
    assert row["disabled_at"] is not None


async def test_nobody_is_told_apart_from_somebody(operator):
    for work in (operator.disable, operator.enable, operator.reset_password):
        with pytest.raises(NotFound, match="Nobody here"):
            await work("nobody@example.org")

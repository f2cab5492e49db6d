import asyncio

import pytest

from carelane.domain.errors import Conflict, NotFound
from carelane.domain.office import Filter
from carelane.store import audit
from tests.offices import PASSWORD

ENGINEER = {"development": "engineer"}


async def test_a_new_organization_has_two_default_connections_that_carry_every_model(office, ann):
    page = await office.subscriptions.find(ann, Filter(size=200))
    models = set(office.team.models)
    assert {(model, True, "Carelane Health System") for model in models} | {(model, False, "Carelane Engine") for model in models} == {
        (row.data_model, row.outward, row.partner) for row in page.rows
    }
    assert {"active"} == {row.state for row in page.rows}
    assert {"connected"} == {one.state for one in await office.partners.connections(ann)}


async def test_a_new_organization_has_an_api_endpoint_each_way(office, ann):
    sources, destinations = await office.endpoints.find(ann, "source"), await office.endpoints.find(ann, "destination")
    assert [("API endpoint", "http", "development")] == [(one.name, one.transport, one.environment) for one in sources]
    assert [("API endpoint", "inbox", "development")] == [(one.name, one.transport, one.environment) for one in destinations]


async def test_two_organizations_of_one_name_both_get_in_and_share_the_built_in_partners(office):
    one, two = await asyncio.gather(office.sign_up("Cleo", "Same Name"), office.sign_up("Dario", "Same Name"))
    assert one.org_id != two.org_id
    assert [2, 2] == [len(await office.partners.connections(person)) for person in (one, two)]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"email": "no address"}, "e-mail address"),
        ({"name": " "}, "your name"),
        ({"password": "short"}, "at least 12 characters"),
        ({"password": "aaaaaaaaaaaaaaaa"}, "repeats the same"),
        ({"password": "passwordpassword"}, "first that are guessed"),
        ({"organization": ""}, "Name your organization"),
        ({"kind": "built-in"}, "what kind"),
    ],
)
async def test_a_sign_up_that_cannot_work_says_what_to_change(office, change, reason):
    given = {"email": "eve@example.org", "name": "Eve", "password": PASSWORD, "organization": "Eve Clinic", "kind": "provider"} | change
    with pytest.raises(Conflict, match=reason):
        await office.team.sign_up(**given)
    assert 0 == await office.store.database.engine.fetchval("SELECT count(*) FROM organization WHERE kind <> 'built-in'")


async def test_an_address_signs_up_once(office, ann):
    with pytest.raises(Conflict, match="has an account already"):
        await office.sign_up("Ann", "Another")


async def test_an_invitation_joins_a_new_person_with_the_roles_it_names(office, ann):
    token = await office.team.invite(ann, email="Fin@Example.org", role="member", environments={"development": "support"}, payloads=True)
    assert "North Hospital" == (await office.team.invitation(token)).organization
    assert [["fin@example.org"]] == [mail[0] for mail in office.mails]
    await office.team.join(token, name="Fin", password=PASSWORD)
    fin = await office.person("fin@example.org")
    assert ("member", {"development": "support"}, True, ann.org_id) == (fin.role, fin.environments, fin.payloads, fin.org_id)
    with pytest.raises(Conflict, match="was used"):
        await office.team.join(token, name="Fin", password=PASSWORD)


async def test_an_invitation_of_a_known_person_asks_for_their_password_and_lets_them_switch(office, ann, bob):
    token = await office.team.invite(ann, email=bob.email, role="member", environments={}, payloads=False)
    with pytest.raises(Conflict, match="write its password"):
        await office.team.join(token, name="Bob", password="not the right one")
    await office.team.join(token, name="Bob", password=PASSWORD)
    assert {"Bright Health", "North Hospital"} == {name for _, name in (await office.person(bob.email)).orgs}


async def test_a_withdrawn_invitation_is_worth_nothing(office, ann):
    token = await office.team.invite(ann, email="fin@example.org", role="member", environments={}, payloads=False)
    with pytest.raises(Conflict, match="open invitation already"):
        await office.team.invite(ann, email="fin@example.org", role="member", environments={}, payloads=False)
    await office.team.revoke_invitation(ann, (await office.team.invitations(ann))[0].uid)
    assert None is await office.team.invitation(token)


async def test_the_last_owner_stays(office, ann):
    me = next(member for member in await office.team.members(ann) if member.email == ann.email)
    with pytest.raises(Conflict, match="at least one owner"):
        await office.team.change_roles(ann, me.uid, role="admin", environments=ENGINEER, payloads=True)
    with pytest.raises(Conflict, match="at least one owner"):
        await office.team.remove(ann, me.uid)


async def test_a_change_of_roles_shows_what_is_gained_and_lost_before_it_is_made(office, ann):
    token = await office.team.invite(ann, email="fin@example.org", role="member", environments={"development": "viewer"}, payloads=False)
    await office.team.join(token, name="Fin", password=PASSWORD)
    fin = next(member for member in await office.team.members(ann) if member.name == "Fin")
    gained, lost = await office.team.difference(ann, fin.uid, role="admin", environments={"staging": "engineer"}, payloads=True)
    assert "invite people" in gained
    assert "see message content in staging" in gained
    assert ["see endpoints, subscriptions, lanes and message headings in development"] == lost


async def test_an_admin_may_change_environment_roles_and_not_organization_roles(office, ann):
    for name, role in (("Fin", "admin"), ("Gus", "member")):
        token = await office.team.invite(ann, email=f"{name.lower()}@example.org", role=role, environments=ENGINEER, payloads=False)
        await office.team.join(token, name=name, password=PASSWORD)
    fin = await office.person("fin@example.org")
    gus = next(member for member in await office.team.members(fin) if member.name == "Gus")
    await office.team.change_roles(fin, gus.uid, role="member", environments={"staging": "viewer"}, payloads=False)
    assert {"staging": "viewer"} == (await office.person("gus@example.org")).environments
    with pytest.raises(NotFound):
        await office.team.change_roles(fin, gus.uid, role="owner", environments={}, payloads=False)
    with pytest.raises(NotFound):
        await office.team.invite(fin, email="hal@example.org", role="owner", environments={}, payloads=False)


async def test_whoever_is_removed_is_signed_out_of_the_organization(office, ann):
    token = await office.team.invite(ann, email="fin@example.org", role="member", environments=ENGINEER, payloads=False)
    await office.team.join(token, name="Fin", password=PASSWORD)
    await office.person("fin@example.org")
    fin = next(member for member in await office.team.members(ann) if member.name == "Fin")
    await office.team.remove(ann, fin.uid)
    assert 0 == await office.store.database.engine.fetchval("SELECT count(*) FROM sign_in i JOIN user_account u ON u.id = i.user_id WHERE u.name = 'Fin'")


async def test_every_change_is_in_the_audit_trail_and_the_chain_holds(office, ann):
    await office.team.invite(ann, email="fin@example.org", role="member", environments={}, payloads=False)
    assert "invitation.create" == (await office.team.trail(ann))[0][0].action
    async with office.store.database.engine.acquire() as connection:
        assert None is await audit.verify(connection, ann.org_id)
    assert None is await office.team.chain(ann)


PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 60


async def test_a_logo_is_seen_by_those_who_see_the_organization(office, ann, bob):
    uid = (await office.team.me(ann)).uid
    with pytest.raises(NotFound):
        await office.team.logo(ann, uid)
    await office.team.set_logo(ann, PNG)
    assert ("image/png", PNG) == await office.team.logo(ann, uid) == await office.team.logo(bob, uid)
    assert (await office.team.me(ann)).logo
    await office.team.set_logo(bob, PNG)
    with pytest.raises(NotFound):  # Bob's is not listed
        await office.team.logo(ann, (await office.team.me(bob)).uid)
    await office.team.set_logo(ann, b"")
    assert not (await office.team.me(ann)).logo


@pytest.mark.parametrize("image", [b"<svg onload='x'/>", b"GIF89a", PNG[:8] + b"\0" * 140_000, b"RIFF1234XXXX"])
async def test_what_is_no_small_image_is_no_logo(office, ann, image):
    with pytest.raises(Conflict, match="logo"):
        await office.team.set_logo(ann, image)

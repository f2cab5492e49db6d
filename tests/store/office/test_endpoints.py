import pytest

from carelane.domain.errors import Conflict, Misconfigured, NotFound, Stale
from carelane.domain.office import Filter

HOOK = {"url": "https://hook.example.org/in", "verification_token": "a long verification token"}


async def hook(office, ann, **more):
    given = {"environment": "development", "name": "Hook", "transport": "webhook", "settings": HOOK} | more
    return await office.endpoints.create(ann, "destination", **given)


async def test_secrets_are_written_once_and_shown_by_their_last_four(office, ann):
    uid = await hook(office, ann)
    found = await office.endpoints.one(ann, "destination", uid)
    assert ({"url": HOOK["url"]}, {"verification_token": "…oken"}) == (found.settings, found.secrets)
    await office.endpoints.change(ann, "destination", uid, settings={"url": "https://other.example.org", "verification_token": ""})
    again = await office.endpoints.one(ann, "destination", uid)
    assert ("https://other.example.org", {"verification_token": "…oken"}) == (again.settings["url"], again.secrets)


@pytest.mark.parametrize(
    ("change", "error", "reason"),
    [
        ({"settings": {"url": "no url"}}, Misconfigured, "url"),
        ({"settings": HOOK | {"colour": "red"}}, Misconfigured, "no setting colour"),
        ({"settings": {"url": "http://hook.example.org"}, "environment": "production"}, Misconfigured, "https://"),
        ({"transport": "webhok"}, Misconfigured, "no way to deliver"),
        ({"transport": "mllp", "format": "datamodel"}, Conflict, "carries hl7v2"),
        ({"environment": "moon"}, Conflict, "Choose an environment"),
        ({"name": ""}, Conflict, "between 1 and 200"),
        ({"name": "API endpoint"}, Conflict, "choose another name"),
    ],
)
async def test_an_endpoint_that_cannot_work_is_refused_with_the_field(office, ann, change, error, reason):
    with pytest.raises(error, match=reason):
        await hook(office, ann, **change)


async def test_an_endpoint_in_use_is_not_deleted_and_its_uses_are_named(office, ann):
    uid = await hook(office, ann)
    source = (await office.endpoints.find(ann, "source"))[0].uid
    (made,) = await office.subscriptions.create(ann, source=source, destination=uid, models=["Results"], name="Lab to hook")
    with pytest.raises(Conflict, match=r"used by 1 subscription \(Lab to hook\)"):
        await office.endpoints.delete(ann, "destination", uid)
    await office.subscriptions.end(ann, made)
    await office.endpoints.delete(ann, "destination", uid)
    with pytest.raises(NotFound):
        await office.endpoints.one(ann, "destination", uid)
    assert uid not in {row.destination_uid for row in (await office.subscriptions.find(ann, Filter())).rows}


async def test_an_update_of_something_changed_meanwhile_is_refused(office, ann):
    uid = await hook(office, ann)
    await office.endpoints.change(ann, "destination", uid, name="Renamed", version=1)
    with pytest.raises(Stale):
        await office.endpoints.change(ann, "destination", uid, name="Again", version=1)


async def test_a_draft_keeps_the_progress_of_a_wizard(office, ann):
    uid = await office.endpoints.save_draft(
        ann,
        None,
        "destination",
        environment="development",
        name="Half",
        transport="webhook",
        settings={"url": "https://"},
        secret={"verification_token": "x" * 20},
    )
    shown, settings = await office.endpoints.draft(ann, uid)
    assert ("Half", {"verification_token": "…xxxx"}, "x" * 20) == (shown.name, shown.secrets, settings["verification_token"])
    assert ["Half"] == [one.name for one in await office.endpoints.drafts(ann)]
    await office.endpoints.drop_draft(ann, uid)
    assert [] == await office.endpoints.drafts(ann)


async def test_a_key_is_shown_once_and_dies_when_revoked(office, ann):
    source = (await office.endpoints.find(ann, "source"))[0].uid
    _, token = await office.endpoints.create_key(ann, source, "Integration")
    (key,) = await office.endpoints.keys(ann)
    assert (token[-4:], None) == (key.last_four, key.revoked_at)
    await office.endpoints.revoke_key(ann, key.uid)
    with pytest.raises(NotFound):
        await office.endpoints.revoke_key(ann, key.uid)


async def test_another_organizations_endpoint_is_out_of_reach(office, ann, bob):
    uid = await hook(office, ann)
    for refused in (
        office.endpoints.one(bob, "destination", uid),
        office.endpoints.change(bob, "destination", uid, name="Mine"),
        office.endpoints.delete(bob, "destination", uid),
        office.endpoints.test(bob, "destination", uid),
        office.endpoints.verify(bob, uid),
        office.endpoints.inbox(bob, uid),
    ):
        with pytest.raises(NotFound):
            await refused

import asyncio

import pytest

from carelane.domain.errors import Conflict, NotFound, Stale
from carelane.domain.office import Filter
from carelane.store.samples import take_samples


@pytest.fixture
async def ends(office, ann, bob):
    """A connection in which Bob sends PatientAdmin to Ann, and the two ends of it."""
    found = (await office.partners.directory(bob))[0][0].uid
    await office.connected(bob, ann, found, "PatientAdmin")
    return (await office.endpoints.find(bob, "source"))[0].uid, (await office.endpoints.find(ann, "destination"))[0].uid


async def create(office, person, ends, *models, **more):
    return await office.subscriptions.create(person, source=ends[0], destination=ends[1], models=models or ("PatientAdmin",), **more)


async def test_a_two_party_subscription_is_proposed_and_carries_data_once_the_other_side_says_yes(office, ann, bob, ends):
    (made,) = await create(office, bob, ends)
    assert ("proposed", False, True) == (
        (await office.subscriptions.one(bob, made)).state,
        (await office.subscriptions.one(bob, made)).awaiting_me,
        (await office.subscriptions.one(ann, made)).awaiting_me,
    )
    with pytest.raises(Conflict, match="engineer of the other side"):
        await office.subscriptions.accept(bob, made)
    await office.subscriptions.accept(ann, made)
    found = await office.subscriptions.one(bob, made)
    assert ("active", "silent", "North Hospital", True) == (found.state, found.flow, found.partner, found.lane_id is not None)


async def test_a_one_party_subscription_is_active_at_once(office, ann):
    own = (await office.endpoints.find(ann, "source"))[0].uid, (await office.endpoints.find(ann, "destination"))[0].uid
    made = await create(office, ann, own, "PatientAdmin", "Results")
    assert [("active", True, "Yourself")] * 2 == [(one.state, one.one_party, one.partner) for one in [await office.subscriptions.one(ann, uid) for uid in made]]


async def test_a_partner_sees_the_names_of_ones_endpoints_and_not_their_settings(office, ann, bob, ends):
    uid = await office.endpoints.create(
        ann,
        "destination",
        environment="development",
        name="Hook",
        transport="webhook",
        settings={"url": "https://secret.example.org", "verification_token": "t"},
    )
    partner = (await office.team.me(ann)).uid
    found = {one.name: one for one in await office.endpoints.find(bob, "destination", partner=partner)}
    assert ({}, False) == (found["Hook"].settings, found["Hook"].mine)
    assert ({}, {}) == ((seen := await office.endpoints.one(bob, "destination", uid)).settings, seen.secrets)


@pytest.mark.parametrize("model", ["Results", "Order"])
async def test_a_model_outside_the_agreement_is_refused(office, bob, ends, model):
    with pytest.raises(Conflict, match=f"does not include {model}"):
        await create(office, bob, ends, model)


async def test_the_same_bridge_is_not_built_twice_and_half_of_a_list_is_none(office, ann, bob, ends):
    await create(office, bob, ends)
    with pytest.raises(Conflict, match="live subscription for PatientAdmin"):
        await create(office, bob, ends)
    own = (await office.endpoints.find(ann, "source"))[0].uid, (await office.endpoints.find(ann, "destination"))[0].uid
    await create(office, ann, own, "Results")
    with pytest.raises(Conflict):
        await create(office, ann, own, "PatientAdmin", "Results")
    assert 1 == len([row for row in (await office.subscriptions.find(ann, Filter(size=200))).rows if row.one_party])


async def test_of_two_engineers_who_create_the_same_at_once_one_is_told(office, bob, ends):
    results = await asyncio.gather(create(office, bob, ends), create(office, bob, ends), return_exceptions=True)
    assert 1 == sum(isinstance(result, Conflict) for result in results)


async def test_ends_of_different_environments_are_refused_with_both_named(office, ann):
    uid = await office.endpoints.create(ann, "destination", environment="staging", name="Staging inbox", transport="inbox", settings={})
    with pytest.raises(Conflict, match="API endpoint is in development and Staging inbox in staging"):
        await create(office, ann, ((await office.endpoints.find(ann, "source"))[0].uid, uid))


async def test_a_foreign_pair_is_nowhere_to_be_found(office, ann, bob, ends):
    cleo = await office.sign_up("Cleo", "Stranger")
    with pytest.raises(NotFound):
        await create(office, cleo, ends)
    mine = (await office.endpoints.find(cleo, "source"))[0].uid
    with pytest.raises(NotFound):
        await create(office, cleo, (mine, ends[1]))


async def test_pause_drain_resume_rename_and_end(office, ann, bob, ends):
    (made,) = await create(office, bob, ends)
    await office.subscriptions.accept(ann, made)
    await office.subscriptions.pause(ann, made)
    assert "paused" == (await office.subscriptions.one(bob, made)).flow
    await office.subscriptions.resume(bob, made)
    await office.subscriptions.drain(bob, made)
    assert "draining" == (await office.subscriptions.one(bob, made)).flow
    with pytest.raises(Conflict, match="draining already"):
        await office.subscriptions.drain(bob, made)
    await office.subscriptions.resume(bob, made)
    await office.subscriptions.change(bob, made, name="Admissions", retry_hours=24)
    found = await office.subscriptions.one(ann, made)
    assert ("Admissions", 24) == (found.name, found.retry_hours)
    with pytest.raises(Stale):
        await office.subscriptions.change(bob, made, name="Other", version=found.version - 1)
    await office.subscriptions.end(ann, made)
    with pytest.raises(Conflict, match="is ended"):
        await office.subscriptions.resume(bob, made)


@pytest.mark.parametrize(
    ("change", "reason"), [({"name": " "}, "between 1 and 200"), ({"retry_hours": 0}, "between 1 hour"), ({"retry_hours": 10_000}, "365 days")]
)
async def test_settings_that_cannot_work_are_refused(office, ann, bob, ends, change, reason):
    (made,) = await create(office, bob, ends)
    with pytest.raises(Conflict, match=reason):
        await office.subscriptions.change(bob, made, **change)


OVERLAY = """
overlay: lakeside
version: "3"
pack: v2-patientadmin
changes: [{disable: pid.19}]
"""


async def test_an_overlay_is_kept_named_in_the_trail_and_taken_back(office, ann, bob, ends):
    (made,) = await create(office, bob, ends)
    await office.subscriptions.change(bob, made, overlay=OVERLAY)
    assert OVERLAY == (await office.subscriptions.one(ann, made)).overlay
    await office.subscriptions.change(bob, made, name="Admissions")
    assert OVERLAY == (await office.subscriptions.one(ann, made)).overlay
    await office.subscriptions.change(bob, made, overlay="")
    assert "" == (await office.subscriptions.one(ann, made)).overlay
    trail = [moment.body.get("overlay") for moment, _ in await office.team.trail(ann) if moment.action == "subscription.change"]
    assert ["none", None, "lakeside.3"] == trail


@pytest.mark.parametrize(
    ("overlay", "reason"),
    [
        ("nonsense", "expected overlay, version, pack and changes"),
        (OVERLAY.replace("pid.19", "pid.999"), "v2-patientadmin has no row of this id"),
        (OVERLAY.replace("v2-patientadmin", "v2-none"), "there is no pack v2-none"),
        (OVERLAY + "#" * 70_000, "at most 65,536 bytes"),
    ],
)
async def test_an_overlay_that_does_not_fit_is_refused_with_the_row_and_the_reason(office, ann, bob, ends, overlay, reason):
    (made,) = await create(office, bob, ends)
    with pytest.raises(Conflict, match=reason):
        await office.subscriptions.change(bob, made, overlay=overlay)
    assert "" == (await office.subscriptions.one(ann, made)).overlay


async def test_the_table_filters_sorts_and_pages(office, ann):
    assert 2 * len(office.team.models) == (await office.subscriptions.find(ann, Filter())).total
    assert {"Carelane Engine"} == {row.partner for row in (await office.subscriptions.find(ann, Filter(text="engine dev"))).rows}
    assert 2 == (await office.subscriptions.find(ann, Filter(data_model="Results"))).total
    assert 0 == (await office.subscriptions.find(ann, Filter(environment="production"))).total
    page = await office.subscriptions.find(ann, Filter(sort="-data_model", size=1, page=2))
    assert (1, 2 * len(office.team.models), max(office.team.models)) == (len(page.rows), page.total, page.rows[0].data_model)


async def test_cards_show_partners_that_have_a_subscription(office, ann, bob, ends):
    assert ["Carelane Engine", "Carelane Health System"] == [card.partner.name for card in await office.subscriptions.cards(bob)]
    await create(office, bob, ends)
    cards = await office.subscriptions.cards(bob)
    assert ("North Hospital", 1, "silent", (0,) * 12) == (cards[0].partner.name, cards[0].subscriptions, cards[0].health, cards[0].sparkline)


async def sampled(office, lane: int, tail: int, minutes_ago: int) -> None:
    """A sample of where a lane stood."""
    await office.store.database.engine.execute(
        "INSERT INTO lane_sample SELECT id, now() - make_interval(mins => $3), org_id, dest_org_id, $2, $2 FROM lane WHERE id = $1", lane, tail, minutes_ago
    )


async def test_a_card_counts_the_last_hour_from_samples_and_what_came_since(office, ann, bob):
    connection = await office.connected(bob, ann, (await office.team.me(ann)).uid, "PatientAdmin")
    source = await office.endpoints.create(bob, "source", environment="development", name="Feed", transport="http", settings={})
    target = (await office.endpoints.find(ann, "destination", environment="development"))[0].uid
    [uid] = await office.subscriptions.create(bob, source=source, destination=target, models=["PatientAdmin"])
    await office.subscriptions.accept(ann, uid)
    lane = (await office.subscriptions.one(ann, uid)).lane_id
    await sampled(office, lane, 100, 300)
    await sampled(office, lane, 130, 32)
    await office.store.database.engine.execute("UPDATE lane SET head_seq = 137 WHERE id = $1", lane)
    await office.store.database.engine.execute("UPDATE lane_tail SET tail_seq = 137 WHERE lane_id = $1", lane)
    [card] = [card for card in await office.subscriptions.cards(ann) if card.connection == connection]
    assert (37, 30, 7, "flowing") == (card.last_hour, card.sparkline[5], card.sparkline[11], card.health)


async def test_samples_are_taken_of_lanes_that_moved_and_the_last_is_never_forgotten(office, ann):
    engine = office.store.database.engine
    lane = await engine.fetchval("UPDATE lane_tail SET tail_seq = 3, arrived_at = now() WHERE lane_id = (SELECT min(id) FROM lane) RETURNING lane_id")
    await sampled(office, lane, 1, 5000)
    await sampled(office, lane, 2, 4000)
    await take_samples(office.store.database)
    await take_samples(office.store.database)
    assert [3] == [row["tail_seq"] for row in await engine.fetch("SELECT tail_seq FROM lane_sample")]
    await engine.execute("DELETE FROM lane_sample")
    await engine.execute("UPDATE lane_tail SET arrived_at = now() - interval '1 day'")
    await sampled(office, lane, 2, 4000)
    await take_samples(office.store.database)
    assert [2] == [row["tail_seq"] for row in await engine.fetch("SELECT tail_seq FROM lane_sample")]

import asyncio

import pytest

from carelane.domain.errors import Conflict, NotFound
from carelane.domain.office import Filter, Offer
from carelane.kit.ids import uuid7

SENDS, GETS = Offer("PatientAdmin", outward=True), Offer("Results", outward=False)


async def north(office, bob):
    return (await office.partners.directory(bob))[0][0].uid


async def requested(office, bob, *offers: Offer):
    return await office.partners.request(bob, await north(office, bob), purpose="Discharge follow-up", offers=offers or (SENDS, GETS))


@pytest.mark.parametrize(
    ("search", "found"),
    [({"text": "north"}, 1), ({"text": "lakeside"}, 1), ({"text": "epic"}, 1), ({"text": "south"}, 0), ({"kind": "provider"}, 1), ({"kind": "payer"}, 0),
     ({"model": "Results"}, 1), ({"model": "Order"}, 0), ({"text": "%"}, 1)],
)  # fmt: skip
async def test_the_directory_finds_listed_organizations_by_name_place_ehr_kind_and_model(office, ann, bob, search, found):
    assert found == len(await office.partners.directory(bob, **search))


async def test_the_directory_shows_neither_oneself_nor_the_unlisted_nor_the_built_in_nor_alert_addresses(office, ann, bob):
    await office.list_in_directory(ann, "North Hospital", alert_email="it@north.example.org")
    assert [("North Hospital", "")] == [(one.name, one.alert_email) for one, _ in await office.partners.directory(bob)]
    assert [] == await office.partners.directory(ann)


async def test_a_request_reaches_the_owners_of_the_other_side(office, ann, bob):
    uid = await requested(office, bob)
    assert [["ann@example.org"]] == [mail[0] for mail in office.mails]
    theirs = await office.partners.connection(ann, uid)
    assert ("requested", False, "Bright Health", "Discharge follow-up") == (theirs.state, theirs.mine, theirs.partner.name, theirs.purpose)
    assert {("PatientAdmin", False), ("Results", True)} == {(one.data_model, one.outward) for one in theirs.offers}


async def test_accepting_signs_an_agreement_that_both_sides_read_from_their_own_end(office, ann, bob):
    uid = await requested(office, bob)
    await office.partners.accept(ann, uid, [Offer("PatientAdmin", outward=False)])
    mine, theirs = await office.partners.connection(bob, uid), await office.partners.connection(ann, uid)
    assert ("accepted", "accepted") == (mine.state, theirs.state)
    assert [("PatientAdmin", True, "Bob", "Ann")] == [(line.data_model, line.outward, line.asked_name, line.signed_name) for line in mine.agreed]
    assert [("PatientAdmin", False)] == [(line.data_model, line.outward) for line in theirs.agreed]
    assert ["connection.accept", "connection.request"] == [moment.action for moment in await office.partners.timeline(bob, uid)]


async def test_more_than_was_asked_for_cannot_be_accepted(office, ann, bob):
    uid = await requested(office, bob, SENDS)
    with pytest.raises(Conflict, match="less than was asked for, not more"):
        await office.partners.accept(ann, uid, [Offer("Results", outward=True)])
    with pytest.raises(Conflict, match="at least one data model"):
        await office.partners.accept(ann, uid, [])


async def test_only_the_other_side_accepts_and_only_the_asker_withdraws(office, ann, bob):
    uid = await requested(office, bob)
    for refused in (office.partners.accept(bob, uid), office.partners.decline(bob, uid, "no"), office.partners.withdraw(ann, uid)):
        with pytest.raises(NotFound):
            await refused


async def test_of_accept_and_withdraw_at_once_one_wins_and_the_other_is_told(office, ann, bob):
    uid = await requested(office, bob)
    results = await asyncio.gather(office.partners.accept(ann, uid), office.partners.withdraw(bob, uid), return_exceptions=True)
    told = [str(result) for result in results if isinstance(result, Conflict)]
    assert 1 == len(told)
    assert "Somebody may have been faster" in told[0]
    assert (await office.partners.connection(ann, uid)).state in ("accepted", "withdrawn")


async def test_a_declined_request_shows_its_reason_and_may_be_asked_again(office, ann, bob):
    uid = await requested(office, bob)
    with pytest.raises(Conflict, match="Say why"):
        await office.partners.decline(ann, uid, " ")
    await office.partners.decline(ann, uid, "We start in May.")
    assert ("declined", "We start in May.") == ((found := await office.partners.connection(bob, uid)).state, found.decision_reason)
    await requested(office, bob)


async def test_two_requests_between_the_same_two_do_not_stand_side_by_side(office, ann, bob):
    await requested(office, bob)
    with pytest.raises(Conflict, match="open request between your organizations already"):
        await requested(office, bob)


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"purpose": ""}, "what the connection is for"), ({"offers": []}, "at least one data model"), ({"environments": ["moon"]}, "at least one environment")],
)
async def test_a_request_that_says_too_little_is_refused_with_a_sentence(office, ann, bob, change, reason):
    given = {"purpose": "care", "offers": [SENDS], "environments": ["development"]} | change
    with pytest.raises(Conflict, match=reason):
        await office.partners.request(bob, await north(office, bob), **given)


async def test_an_unlisted_or_unknown_organization_cannot_be_asked(office, ann, bob):
    own = await office.team.me(bob)
    for partner in (uuid7(), own.uid):
        with pytest.raises((NotFound, Conflict)):
            await office.partners.request(ann, partner, purpose="care", offers=[SENDS])


async def test_ending_ends_the_subscriptions_and_a_stranger_sees_nothing_of_it(office, ann, bob):
    uid = await office.connected(bob, ann, await north(office, bob), "PatientAdmin")
    source, destination = (await office.endpoints.find(bob, "source"))[0], (await office.endpoints.find(ann, "destination"))[0]
    (made,) = await office.subscriptions.create(bob, source=source.uid, destination=destination.uid, models=["PatientAdmin"])
    await office.subscriptions.accept(ann, made)
    assert "connected" == (await office.partners.connection(bob, uid)).state
    cleo = await office.sign_up("Cleo", "Stranger")
    with pytest.raises(NotFound):
        await office.partners.connection(cleo, uid)
    with pytest.raises(NotFound):
        await office.partners.end(cleo, uid, "hold")
    await office.partners.suspend(ann, uid, "hold")
    await office.partners.resume(bob, uid)
    await office.partners.end(bob, uid, "hold")
    assert "ended" == (await office.subscriptions.one(ann, made)).state
    with pytest.raises(Conflict, match="is ended"):
        await office.partners.resume(bob, uid)
    assert uid not in {row.connection for row in (await office.subscriptions.find(ann, Filter())).rows}


async def test_suspending_takes_nothing_new_and_drains_or_holds_what_is_queued(office, ann, bob):
    from carelane.store.snapshot import read_snapshot

    uid = await office.connected(bob, ann, await north(office, bob), "PatientAdmin")
    source, destination = (await office.endpoints.find(bob, "source"))[0], (await office.endpoints.find(ann, "destination"))[0]
    (made,) = await office.subscriptions.create(bob, source=source.uid, destination=destination.uid, models=["PatientAdmin"])
    await office.subscriptions.accept(ann, made)
    lane = (await office.subscriptions.one(bob, made)).lane_id
    await office.store.database.engine.execute("UPDATE lane_tail SET tail_seq = 3 WHERE lane_id = $1", lane)

    async def carried():
        snapshot = await read_snapshot(office.store.database, office.store.keyring)
        return lane in snapshot.lanes, any(route.lane_id == lane for routes in snapshot.routes.values() for route in routes)

    assert (True, True) == await carried()
    assert 3 == (await office.partners.connection(ann, uid)).queued
    await office.partners.suspend(ann, uid, "hold")
    assert (False, False) == await carried()
    await office.partners.resume(ann, uid)
    await office.partners.suspend(ann, uid, "drain")
    assert (True, False) == await carried()

import pytest

from carelane.domain.errors import Conflict, NotFound
from carelane.kit.ids import uuid7
from tests.journeys.hubs import running_hub
from tests.offices import Office
from tests.waiting import until


@pytest.fixture
async def office(store):
    made = Office(store)
    yield made
    await made.tools.http.close()


async def settled(hub, person, destination):
    return await until(lambda: hub.hub.endpoints.inbox(person, destination))


async def test_a_new_account_sends_to_the_health_system_and_receives_from_the_engine(store, office):
    ann = await office.sign_up("Ann", "North Hospital")
    async with running_hub(store) as hub:
        source = (await hub.hub.endpoints.find(ann, "source"))[0].uid
        destination = (await hub.hub.endpoints.find(ann, "destination"))[0].uid
        for model, event in (("PatientAdmin", "Arrival"), ("Results", "New")):
            sample = hub.hub.devtools.sample(model, event)
            await hub.hub.devtools.receive(ann, destination, sample)
            sent = await hub.hub.devtools.send(ann, source, sample)
            assert "stored" == sent.outcome
        found = await settled(hub, ann, destination)
        assert b"Elif" in found[0].body


async def test_the_engine_reaches_only_the_destination_it_was_asked_to(store, office):
    ann, bob = await office.sign_up("Ann", "North Hospital"), await office.sign_up("Bob", "Bright Health")
    async with running_hub(store) as hub:
        mine = (await hub.hub.endpoints.find(ann, "destination"))[0].uid
        theirs = (await hub.hub.endpoints.find(bob, "destination"))[0].uid
        await hub.hub.devtools.receive(ann, mine, hub.hub.devtools.sample("PatientAdmin", "Arrival"))
        await settled(hub, ann, mine)
        assert [] == await hub.hub.endpoints.inbox(bob, theirs)
        with pytest.raises(NotFound):
            await hub.hub.devtools.receive(ann, theirs, "{}")


@pytest.mark.parametrize(
    ("body", "reason"), [("{", "This is no JSON"), ("[]", "a JSON object"), ('{"Meta": {}}', "DataModel"), ('{"a": "' + "x" * 1_100_000 + '"}', "at most 1 MB")]
)
async def test_what_cannot_be_sent_says_why(store, office, body, reason):
    ann = await office.sign_up("Ann", "North Hospital")
    async with running_hub(store) as hub:
        source = (await hub.hub.endpoints.find(ann, "source"))[0].uid
        with pytest.raises(Conflict, match=reason):
            await hub.hub.devtools.send(ann, source, body)
        with pytest.raises(NotFound):
            await hub.hub.devtools.send(ann, uuid7(), body)


async def test_there_is_a_sample_for_every_event_that_is_offered(store):
    async with running_hub(store) as hub:
        for model, events in hub.hub.devtools.events().items():
            assert all(hub.hub.devtools.sample(model, event) for event in events)
        with pytest.raises(NotFound):
            hub.hub.devtools.sample("PatientAdmin", "Nothing")

"""Lanes and messages are reached by the environment roles of whoever asks."""

from contextlib import suppress
from dataclasses import replace

import pytest

from carelane.domain.errors import NotFound
from carelane.domain.ids import LaneId
from carelane.domain.views import Search
from carelane.kit.ids import uuid7
from carelane.web.server import running
from tests.journeys.hubs import running_hub
from tests.offices import Office
from tests.waiting import until


@pytest.fixture
async def hub(store):
    async with running_hub(store) as made, running(made.app, "127.0.0.1", 0):
        yield made.hub


@pytest.fixture
async def ann(store):
    office = Office(store)
    yield await office.sign_up("Ann", "North Hospital")
    await office.tools.http.close()


@pytest.fixture
async def message(hub, ann, store):
    """A message Ann sent to the Health System in development."""
    source = (await hub.endpoints.find(ann, "source", environment="development"))[0]

    async def sent():
        with suppress(NotFound):  # until the hub has seen the new organization
            return (await hub.devtools.send(ann, source.uid, hub.devtools.sample("PatientAdmin", "Arrival"))).message_id

    return await until(sent)


async def test_a_support_engineer_of_one_environment_operates_its_lanes_and_no_others(hub, ann):
    lanes = await hub.operations.lanes(ann)
    number = next(lane.id for lane in lanes if lane.environment == "development")
    support = replace(ann, role="member", environments={"development": "support"})
    await hub.operations.pause(support, number)
    await hub.operations.resume(support, number)
    elsewhere = replace(ann, role="member", environments={"production": "engineer"})
    assert [] == [lane for lane in await hub.operations.lanes(elsewhere) if lane.environment == "development"]
    for work in (hub.operations.pause, hub.operations.resume, hub.operations.release):
        with pytest.raises(NotFound):
            await work(elsewhere, number)
    with pytest.raises(NotFound):
        await hub.operations.skip(replace(ann, environments={"development": "viewer"}), number, "why")


async def test_a_lane_of_others_is_not_there(hub, ann, store):
    office = Office(store)
    bob = await office.sign_up("Bob", "Bright Health")
    number = (await hub.operations.lanes(ann))[0].id
    for lane in (number, LaneId(987654321)):
        with pytest.raises(NotFound):
            await hub.operations.pause(bob, lane)
    await office.tools.http.close()


async def test_content_is_shown_to_those_with_the_right_to_it_in_that_environment(hub, ann, message):
    assert (await hub.operations.open(ann, message)).raw is not None
    assert (await hub.operations.watch(ann, message)).raw is None
    for environments, payloads in (
        ({"development": "viewer"}, True),
        ({"development": "support"}, False),
        ({"development": "viewer", "staging": "engineer"}, True),
    ):
        assert (await hub.operations.open(replace(ann, environments=environments, payloads=payloads), message)).raw is None


async def test_messages_of_an_environment_one_does_not_see_are_not_there(hub, ann, message):
    elsewhere = replace(ann, environments={"production": "engineer"})
    assert [message] == [one.id for one in await hub.operations.messages(ann, Search())]
    assert [] == await hub.operations.messages(elsewhere, Search())
    assert [] == await hub.operations.messages(ann, Search(environments=("production",)))
    for work in (hub.operations.open, hub.operations.watch, hub.operations.replay):
        for missing in (message, uuid7()):
            with pytest.raises(NotFound):
                await work(elsewhere, missing)


async def test_a_viewer_sees_a_message_and_cannot_replay_it(hub, ann, message):
    viewer = replace(ann, environments={"development": "viewer"})
    assert message == (await hub.operations.watch(viewer, message)).message.id
    with pytest.raises(NotFound):
        await hub.operations.replay(viewer, message)
    went = {one.lane_id for one in (await hub.operations.watch(ann, message)).deliveries}
    assert went == set(await hub.operations.replay(ann, message))

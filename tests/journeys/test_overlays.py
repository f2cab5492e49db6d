"""Overlays on the way: what is wrong with one holds its own lane, and nobody waits while one is compiled or checked."""

import asyncio
import threading

import orjson
import pytest

from carelane.domain.errors import PackBroken
from carelane.formats.hl7v2 import overlays
from carelane.front import name_overlay
from carelane.store.catalogue.endpoint import create_endpoint
from carelane.store.catalogue.subscription import subscribe
from carelane.testing.partners import FakeWebhook, mllp_ask
from tests.journeys.hubs import mllp_port, running_hub
from tests.journeys.test_first_journey import to_webhook
from tests.waiting import until
from tests.world import adt

HEAD = 'overlay: bright\nversion: "1"\npack: v2-patientadmin\nchanges:\n'
OVERLAY = HEAD + "- disable: pid.8\n"
GONE = HEAD + "- disable: pid.999\n"
GREEDY = HEAD + "- {after: pid.8, insert: {id: a, target: A, each: 'PID-3[*]', rows: [{target: B, each: 'PID-3[*]', rows: [{target: C, source: '.1'}]}]}}\n"
LARGE = HEAD + "".join(
    f"- {{after: pid.8, insert: {{id: a{n}, target: A.b{n}, source: ZPD-{n + 1}, when: 'ZPE-{n + 1} == ZPF-{n + 1}'}}}}\n" for n in range(300)
)


@pytest.fixture
async def partner():
    async with FakeWebhook() as made:
        yield made


@pytest.fixture
async def other():
    async with FakeWebhook() as made:
        yield made


@pytest.fixture(autouse=True)
def _nothing_kept():
    yield
    overlays.keep_overlays(())


async def world_with(store, partner, other, overlay: str):
    """A source with a lane as usual, to ``partner``, and one with an overlay, to ``other``."""
    world = await to_webhook(store, partner)
    destination, _ = await create_endpoint(
        store.database, store.keyring, "destination", org=world.vendor, environment="development", name="Other", transport="webhook", format="datamodel",
        settings={"url": other.url},
    )  # fmt: skip
    made, _ = await subscribe(
        store.database, name="Other", connection_id=world.connection, source=world.source, destination=destination, data_model="PatientAdmin"
    )
    await store.database.engine.execute("UPDATE subscription SET overlay = $1 WHERE id = $2", overlay, made)
    return world


@pytest.mark.parametrize(
    ("overlay", "reason"),
    [
        (GONE, "the overlay does not fit its map: bright: row pid.999: v2-patientadmin has no row of this id; change the overlay, then release the lane"),
        (GREEDY, "the overlay bright.1 asks for more work than a message of this size may take"),
        ("no overlay", "the overlay does not fit its map: overlay: row (file): expected overlay, version, pack and changes at the top"),
    ],
    ids=["a row is gone", "it asks for too much", "it is none"],
)
async def test_an_overlay_that_cannot_work_holds_its_own_lane_with_the_reason_and_no_other(store, partner, other, overlay, reason):
    world = await world_with(store, partner, other, overlay)
    raw = adt("C1").replace(b"4711^^^NORTH^MR", b"~".join(b"%d" % number for number in range(3_000)))
    async with running_hub(store) as running:
        await mllp_ask(mllp_port(running, world.source), raw)
        await mllp_ask(mllp_port(running, world.source), adt("C2"))

        async def held():
            return [lane.held for lane in await running.hub.desk.lanes(None) if lane.held]

        await partner.wait_for(2)
        [told] = await until(held)
    assert (reason, []) == (told[: len(reason)], other.received)


async def test_no_overlay_is_compiled_on_the_event_loops_thread(store, partner, other, monkeypatch):
    threads, compiled = [], overlays._compiled
    monkeypatch.setattr(overlays, "_compiled", lambda text: threads.append(threading.current_thread()) or compiled(text))
    world = await world_with(store, partner, other, OVERLAY)
    async with running_hub(store) as running:
        await mllp_ask(mllp_port(running, world.source), adt("C1"))
        await other.wait_for(1)
    assert (1, False) == (len(threads), threading.main_thread() in threads)


async def test_while_an_overlay_is_compiled_other_lanes_deliver(store, partner, other):
    world = await world_with(store, partner, other, OVERLAY)
    async with running_hub(store) as running:
        with overlays._COMPILING:
            for number in range(3):
                await mllp_ask(mllp_port(running, world.source), adt(f"C{number}"))
            await partner.wait_for(3)
            assert [] == other.received
        bodies = await other.wait_for(3)
    assert [None] * 3 == [orjson.loads(body)["Patient"]["Demographics"].get("Sex") for body in bodies]


async def test_while_an_overlay_is_checked_the_event_loop_turns():
    turns = 0

    async def turn():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    turning = asyncio.ensure_future(turn())
    await asyncio.sleep(0)
    before = turns
    await name_overlay(LARGE)
    after = turns
    turning.cancel()
    assert after - before > 3


async def test_while_an_overlay_waits_to_be_checked_others_are_told_at_once_what_is_wrong_with_theirs():
    with overlays._COMPILING:
        waiting = asyncio.ensure_future(name_overlay(OVERLAY))
        await asyncio.sleep(0)
        assert not waiting.done()
    assert "bright.1" == await waiting
    with pytest.raises(PackBroken, match="no row of this id"):
        await name_overlay(GONE)

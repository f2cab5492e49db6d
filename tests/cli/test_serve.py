"""``carelane serve`` as a supervisor sees it: signals, grace, exit code, and nothing left behind."""

import asyncio
import os
import signal
import time

import pytest

from carelane.store.embedded import live_postmaster
from carelane.testing.partners import mllp_ask
from tests.cli.hub_process import hub_process, listening_vendor
from tests.world import adt


@pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_the_hub_in_order_with_nothing_left_behind(name):
    async with hub_process() as (hub, _):
        await hub.start()
        assert 0 == await hub.signal_and_end(name)
        assert live_postmaster(hub.cluster) is None
        assert "hub.stopped" == hub.events[-2]["event"]
        assert 0 == await hub.leased()


async def test_a_send_in_flight_ends_within_the_grace_and_is_not_repeated():
    async with listening_vendor() as vendor, hub_process(vendor.url) as (hub, _):
        await hub.start()
        await mllp_ask(hub.mllp, adt("F1"))
        await vendor.entered.wait()
        hub.process.send_signal(signal.SIGTERM)
        await hub.told("hub.stopping")
        vendor.may_answer.set()
        assert 0 == await hub.ended()
        await hub.start()
        await mllp_ask(hub.mllp, adt("F2"))
        await hub.signal_and_end(signal.SIGTERM)
    assert 2 == len(vendor.seen) == len(set(vendor.seen))


async def test_what_does_not_end_within_the_grace_is_cut_told_and_sent_again():
    async with listening_vendor() as vendor, hub_process(vendor.url, CARELANE_GRACE_S="0.5") as (hub, world):
        await hub.start()
        await mllp_ask(hub.mllp, adt("F1"))
        await vendor.entered.wait()
        assert 0 == await hub.signal_and_end(signal.SIGTERM)
        assert f"1 in flight, on lane_{world.lanes['PatientAdmin']}: their outcome is unknown, they are sent again" == hub.detail("sends.cut")
        vendor.entered.clear()
        vendor.may_answer.set()
        await hub.start()
        await vendor.entered.wait()
        await hub.signal_and_end(signal.SIGTERM)
        assert 0 == await hub.leased()
    assert [vendor.seen[0]] * 2 == vendor.seen


async def test_a_second_signal_cuts_at_once():
    async with listening_vendor() as vendor, hub_process(vendor.url, CARELANE_GRACE_S="300") as (hub, _):
        await hub.start()
        await mllp_ask(hub.mllp, adt("F1"))
        await vendor.entered.wait()
        hub.process.send_signal(signal.SIGTERM)
        await hub.told("hub.stopping")
        began = time.monotonic()
        assert 0 == await hub.signal_and_end(signal.SIGTERM)
        assert time.monotonic() - began < 100
        assert hub.detail("sends.cut").startswith("1 in flight")


async def test_a_signal_during_the_start_ends_it_in_order():
    async with hub_process() as (hub, _):
        await hub.launch()
        while live_postmaster(hub.cluster) is None:
            await asyncio.sleep(0.001)
        assert 0 == await hub.signal_and_end(signal.SIGTERM)
        assert live_postmaster(hub.cluster) is None
        assert "" == hub.detail("hub.started")


async def test_a_signal_while_the_database_recovers_ends_the_start_in_order():
    async with hub_process() as (hub, _):
        await hub.start()
        postmaster = live_postmaster(hub.cluster)
        hub.process.kill()
        await hub.process.wait()
        os.kill(postmaster, signal.SIGKILL)
        await hub.launch()
        while live_postmaster(hub.cluster) in (None, postmaster):
            await asyncio.sleep(0.001)
        assert 0 == await hub.signal_and_end(signal.SIGINT)
        assert live_postmaster(hub.cluster) is None


async def test_a_web_port_in_use_is_told_and_ends_the_start_in_order():
    async with listening_vendor() as vendor, hub_process() as (hub, _):
        hub.web = int(vendor.url.split(":")[2].split("/")[0])
        await hub.launch()
        assert 2 == await hub.ended()
        assert "choose another CARELANE_PORT" in "".join(str(found.get("event")) for found in hub.events)
        assert live_postmaster(hub.cluster) is None

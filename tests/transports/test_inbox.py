import pytest

from carelane.domain.endpoint import Destination
from carelane.exchange.ports import Tools
from carelane.kit.clock import SystemClock
from carelane.kit.http import Guard, HttpClient
from carelane.store.inbox import Inbox
from carelane.testing.transport_suite import SenderOfManySuite, SenderSuite, parcel
from carelane.transports.inbox import Sender, Settings
from tests.world import make_world


class TestInbox(SenderSuite, SenderOfManySuite):
    name = "inbox"

    @pytest.fixture
    async def world(self, store):
        return await make_world(store)

    @pytest.fixture
    def sender(self, store, world):
        owner = Destination(world.destination, world.destination_uid, world.vendor, "inbox", "development", "inbox", "datamodel", {})
        return Sender(owner, Settings(), Tools(HttpClient(Guard()), Guard(), SystemClock(), Inbox(store.database, store.keyring).put))

    @pytest.fixture
    def delivered(self, store, world):
        async def bodies():
            return [item.body for item in reversed(await Inbox(store.database, store.keyring).items(world.vendor, world.destination))]

        return bodies

    @pytest.fixture
    def nowhere(self):
        return None

    async def test_a_repeated_delivery_is_kept_once(self, sender, delivered):
        await sender.send(parcel())
        await sender.send(parcel())
        assert 1 == len(await delivered())

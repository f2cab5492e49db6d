"""Whose a port is, over real sockets: a stranger never gets a hospital's messages, and one source's trouble stays its own."""

import asyncio

import pytest

from carelane.domain.errors import Conflict
from carelane.domain.listening import ListenPorts
from carelane.exchange import door
from carelane.store.catalogue.endpoint import create_endpoint
from carelane.store.catalogue.listen_port import Claim
from carelane.store.office.operator import Operator
from carelane.testing.partners import mllp_ask
from tests.journeys.hubs import free_port, running_hub
from tests.offices import Office
from tests.waiting import until
from tests.world import adt, make_world

EVERY = ListenPorts.parse("1-65535")


@pytest.fixture
async def office(store):
    made = Office(store, ports=EVERY)
    yield made
    await made.tools.http.close()


async def feed(office, person, port, host="127.0.0.1"):
    """Make a source that listens, and a subscription that takes what it sends."""
    settings = {"host": host, "port": port}
    source = await office.endpoints.create(person, "source", environment="development", name="Feed", transport="mllp", settings=settings)
    inbox = next(one.uid for one in await office.endpoints.find(person, "destination"))
    await office.subscriptions.create(person, source=source, destination=inbox, models=["PatientAdmin"])
    return source


async def listening(office, world, port, name, **settings):
    """Write a source for a port the way a command does that asks nobody."""
    made = {"port": port, **settings}
    return (
        await create_endpoint(
            office.store.database, office.store.keyring, "source", org=world.vendor, environment="development", name=name, transport="mllp",
            format="hl7v2", settings=made,
        )
    )[0]  # fmt: skip


def answered(port: int, control: str):
    async def asked():
        try:
            return b"MSA|AA" in await mllp_ask(port, adt(control))
        except OSError:
            return False

    return asked


def closed(port: int):
    async def asked():
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return True
        writer.close()
        return False

    return asked


async def owners(store) -> list[str]:
    """Return the organizations whose sources got messages, in the order of the messages."""
    rows = await store.database.engine.fetch("SELECT o.name FROM message m JOIN organization o ON o.id = m.org_id ORDER BY m.day, m.id")
    return [row["name"] for row in rows]


async def test_a_stranger_does_not_get_a_hospital_s_port_while_it_is_switched_off_or_deleted_until_the_operator_frees_it(store, office):
    ann, bob = await office.sign_up("Ann", "North Hospital"), await office.sign_up("Bob", "Stranger")
    port = free_port()
    source = await feed(office, ann, port)
    async with running_hub(store):
        assert await until(answered(port, "C1"))
        await office.endpoints.change(ann, "source", source, enabled=False)
        await until(closed(port))
        with pytest.raises(Conflict, match="is taken"):
            await feed(office, bob, port, "0.0.0.0")
        await office.endpoints.change(ann, "source", source, enabled=True)
        assert await until(answered(port, "C2"))
    [use] = await office.endpoints.uses(ann, "source", source)
    await office.subscriptions.end(ann, use.subscription)
    await office.endpoints.delete(ann, "source", source)
    with pytest.raises(Conflict, match="is reserved"):
        await feed(office, bob, port)
    await Operator(store.database, office.team, "operator root").free_port(port)
    await feed(office, bob, port)
    async with running_hub(store):
        assert await until(answered(port, "C3"))
    assert ["North Hospital", "North Hospital", "Stranger"] == await owners(store)


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::"])
async def test_a_row_without_a_claim_is_not_opened_even_where_the_owner_is_switched_off_and_the_hub_starts_anew(store, office, host):
    ann = await office.sign_up("Ann", "North Hospital")
    world = await make_world(store)
    port = free_port()
    other = await listening(office, world, port, "squatter", host=host, allowed_networks=["0.0.0.0/0"])
    source = await feed(office, ann, port)
    await office.endpoints.change(ann, "source", source, enabled=False)
    async with running_hub(store) as running:
        assert f"port {port} does not belong to squatter: choose a free port for it and save it" == running.doors.troubles[other]
        assert await closed(port)()
        await office.endpoints.change(ann, "source", source, enabled=True)
        assert await until(answered(port, "C1"))


async def test_a_row_outside_the_operator_s_ports_is_not_opened(store, office):
    world = await make_world(store)
    port = free_port()
    other = await listening(office, world, port, "outside")
    async with running_hub(store, listen_ports="0,2575") as running:
        assert f"port {port} is not among the ports of this hub (0,2575)" in running.doors.troubles[other]
        assert await closed(port)()


async def test_a_changed_port_moves_the_listener(store, office):
    ann = await office.sign_up("Ann", "North Hospital")
    first, second = free_port(), free_port()
    source = await feed(office, ann, first)
    async with running_hub(store):
        assert await until(answered(first, "C1"))
        await office.endpoints.change(ann, "source", source, settings={"port": second})
        assert await until(answered(second, "C2"))
        assert await until(closed(first))


async def test_a_changed_setting_of_the_same_port_is_served_at_once(store, office):
    ann = await office.sign_up("Ann", "North Hospital")
    port = free_port()
    source = await feed(office, ann, port)
    async with running_hub(store) as running:
        assert await until(answered(port, "C1"))
        before = running.doors.listener(await number(store))
        await office.endpoints.change(ann, "source", source, settings={"host": "0.0.0.0", "port": port})

        async def reopened():
            return running.doors.listener(await number(store)) is not before

        assert await until(reopened)
        assert await until(answered(port, "C2"))
        assert {} == running.doors.troubles


async def number(store) -> int:
    return int(await store.database.engine.fetchval("SELECT max(id) FROM source WHERE transport = 'mllp'"))


async def test_a_busy_port_is_tried_again_until_it_opens(store, office, monkeypatch):
    monkeypatch.setattr(door, "FIRST_RETRY_S", 0.05)
    ann = await office.sign_up("Ann", "North Hospital")
    port = free_port()
    await feed(office, ann, port)
    source = await number(store)
    other = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", port)
    async with running_hub(store) as running:
        assert "is another program using the port?" in running.doors.troubles[source]
        other.close()
        assert await until(answered(port, "C1"))
        assert {} == running.doors.troubles


async def test_an_impossible_host_keeps_neither_the_hub_from_starting_nor_changes_from_arriving(store, office):
    ann = await office.sign_up("Ann", "North Hospital")
    world = await make_world(store)
    bad = await listening(office, world, 0, "nowhere", host="x" * 70)
    first, second = free_port(), free_port()
    source = await feed(office, ann, first)
    async with running_hub(store) as running:
        assert await until(answered(first, "C1"))
        assert "host" in running.doors.troubles[bad]
        await office.endpoints.change(ann, "source", source, settings={"port": second})
        assert await until(answered(second, "C2"))


async def test_a_claim_made_beside_the_office_is_opened_too(store, office):
    world = await make_world(store)
    port = free_port()
    await create_endpoint(
        store.database, store.keyring, "source", org=world.vendor, environment="development", name="seeded", transport="mllp", format="hl7v2",
        settings={"port": port}, listens=Claim(port, EVERY),
    )  # fmt: skip
    async with running_hub(store) as running:
        assert ({}, False) == (running.doors.troubles, await closed(port)())

"""A listen port belongs to one source, then to its organization, until the operator frees it."""

import asyncio

import pytest

from carelane.domain.errors import Conflict, Misconfigured, NotFound
from carelane.domain.listening import ListenPorts
from carelane.store.catalogue.endpoint import create_endpoint
from carelane.store.catalogue.listen_port import Claim
from carelane.store.office.operator import Operator
from carelane.store.snapshot import read_snapshot


async def feed(office, person, port, **more):
    name = more.pop("name", f"Feed {port}")
    settings = {"port": port, **more}
    return await office.endpoints.create(person, "source", environment="development", name=name, transport="mllp", settings=settings)


async def held(office) -> dict[int, bool]:
    """Return each port that is somebody's, and whether a source has it."""
    return {row["port"]: row["source_id"] is not None for row in await office.store.database.engine.fetch("SELECT * FROM listen_port")}


@pytest.fixture
def operator(office):
    return Operator(office.store.database, office.team, "operator root")


async def test_a_saved_port_is_taken_and_the_refusal_names_free_ones_and_no_owner(office, ann, bob):
    await feed(office, ann, 2575)
    with pytest.raises(Conflict) as caught:
        await feed(office, bob, 2575)
    assert "Port 2575 is taken; free ports in your range: 20000, 20001, 20002." == str(caught.value)


async def test_a_refused_source_leaves_nothing_behind(office, ann, bob):
    await feed(office, ann, 2575)
    with pytest.raises(Conflict):
        await feed(office, bob, 2575)
    assert ["API endpoint"] == [one.name for one in await office.endpoints.find(bob, "source")]


async def test_one_s_own_organization_is_told_that_the_port_is_its_own(office, ann):
    await feed(office, ann, 2575)
    with pytest.raises(Conflict, match="taken by another source of yours"):
        await feed(office, ann, 2575, name="Second")


async def test_a_source_that_is_switched_off_keeps_its_port(office, ann, bob):
    uid = await feed(office, ann, 2575)
    await office.endpoints.change(ann, "source", uid, enabled=False)
    with pytest.raises(Conflict, match="Port 2575 is taken;"):
        await feed(office, bob, 2575)


@pytest.mark.parametrize(("first", "second"), [("127.0.0.1", "0.0.0.0"), ("0.0.0.0", "127.0.0.1"), ("::", "127.0.0.2")])
async def test_any_address_and_every_address_are_the_same_port(office, ann, bob, first, second):
    await feed(office, ann, 2575, host=first)
    with pytest.raises(Conflict, match="Port 2575 is taken;"):
        await feed(office, bob, 2575, host=second)


async def test_a_change_claims_the_new_port_and_reserves_the_old_one(office, ann, bob):
    uid = await feed(office, ann, 2575)
    await office.endpoints.change(ann, "source", uid, settings={"port": 20001})
    assert {2575: False, 20001: True} == await held(office)
    with pytest.raises(Conflict, match="Port 2575 is reserved; .*ask the operator: carelane admin ports free 2575"):
        await feed(office, bob, 2575)


async def test_a_change_to_a_taken_port_is_refused_and_changes_nothing(office, ann, bob):
    await feed(office, ann, 2575)
    uid = await feed(office, bob, 20000)
    with pytest.raises(Conflict, match="Port 2575 is taken;"):
        await office.endpoints.change(bob, "source", uid, settings={"port": 2575})
    assert (20000, {2575: True, 20000: True}) == ((await office.endpoints.one(bob, "source", uid)).settings["port"], await held(office))


async def test_a_rename_and_a_save_without_change_keep_the_port(office, ann):
    uid = await feed(office, ann, 2575)
    await office.endpoints.change(ann, "source", uid, name="Renamed")
    await office.endpoints.change(ann, "source", uid, settings={"port": 2575, "timeout_s": 9})
    assert {2575: True} == await held(office)


async def test_a_deleted_source_s_port_stays_its_organization_s_which_may_take_it_at_once(office, ann, bob):
    await office.endpoints.delete(ann, "source", await feed(office, ann, 2575))
    with pytest.raises(Conflict, match="Port 2575 is reserved; free ports in your range: 20000"):
        await feed(office, bob, 2575)
    await feed(office, ann, 2575, name="Again")
    assert {2575: True} == await held(office)


async def test_the_operator_frees_a_reserved_port_for_whoever_comes_first(office, operator, ann, bob):
    await office.endpoints.delete(ann, "source", await feed(office, ann, 2575))
    await operator.free_port(2575)
    await feed(office, bob, 2575)
    assert ("port.free", "port 2575", "operator root") in [(one.action, subject, one.actor) for one, subject in await office.team.trail(ann)]


async def test_the_operator_hands_a_port_to_one_organization_only(office, operator, ann, bob):
    await office.endpoints.delete(ann, "source", await feed(office, ann, 2575))
    slug = next(row["slug"] for row in await operator.organizations() if row["name"] == "Bright Health")
    await operator.free_port(2575, to=slug)
    with pytest.raises(Conflict, match="reserved"):
        await feed(office, ann, 2575)
    await feed(office, bob, 2575)
    assert ["port.reserve"] == [one.action for one, _ in await office.team.trail(bob) if one.action.startswith("port.")]


async def test_the_operator_takes_a_port_from_a_live_source_only_by_force(office, operator, ann, bob):
    await feed(office, ann, 2575)
    with pytest.raises(Conflict, match="belongs to the source Feed 2575 of North Hospital: .*--force"):
        await operator.free_port(2575)
    await operator.free_port(2575, force=True)
    await feed(office, bob, 2575)


async def test_the_operator_sees_whose_each_port_is(office, operator, ann, bob):
    await office.endpoints.change(ann, "source", await feed(office, ann, 2575), enabled=False)
    await office.endpoints.delete(bob, "source", await feed(office, bob, 20000))
    await feed(office, bob, 20001)
    assert [(2575, "switched off", "Feed 2575"), (20000, "reserved", None), (20001, "in use", "Feed 20001")] == [
        (row["port"], row["state"], row["source"]) for row in await operator.ports()
    ]


@pytest.mark.parametrize(("port", "to", "reason"), [(20003, "", "is nobody's"), (20003, "nowhere", "no organization with the short name nowhere")])
async def test_freeing_what_is_not_there_is_told(operator, port, to, reason):
    with pytest.raises(NotFound, match=reason):
        await operator.free_port(port, to=to)


async def test_of_many_creates_of_one_port_at_once_exactly_one_wins(office, ann, bob):
    results = await asyncio.gather(*(feed(office, person, 2575, name=f"Race {number}") for number in range(6) for person in (ann, bob)), return_exceptions=True)
    assert 11 == sum(isinstance(one, Conflict) for one in results)
    assert {2575: True} == await held(office)


async def test_sources_that_swap_their_ports_at_once_are_refused_and_do_not_lock_each_other(office, ann, bob):
    first, second = await feed(office, ann, 20000), await feed(office, bob, 20001)
    results = await asyncio.gather(
        office.endpoints.change(ann, "source", first, settings={"port": 20001}),
        office.endpoints.change(bob, "source", second, settings={"port": 20000}),
        return_exceptions=True,
    )
    assert [Conflict, Conflict] == [type(one) for one in results]


@pytest.mark.parametrize("port", [0, 80, 2576, 20010])
async def test_a_port_the_operator_does_not_allow_is_refused_with_those_that_are(office, ann, port):
    with pytest.raises(Misconfigured, match=rf"port {port} is not among the ports of this hub \(2575,20000-20009\); free ports in your range: 2575, 20000"):
        await feed(office, ann, port)


async def test_port_0_may_be_chosen_often_where_the_operator_wrote_it(office, ann):
    office.endpoints = type(office.endpoints)(office.store.database, office.store.keyring, office.endpoints.shelf, ListenPorts.parse("0"))
    await feed(office, ann, 0, name="One")
    await feed(office, ann, 0, name="Two")
    assert {} == await held(office)


async def test_an_organization_holds_as_many_ports_as_the_operator_says_reserved_ones_among_them(office, ann):
    few = ListenPorts.parse("20000-20009", each=2)
    office.endpoints = type(office.endpoints)(office.store.database, office.store.keyring, office.endpoints.shelf, few)
    uid = await feed(office, ann, 20000)
    await office.endpoints.change(ann, "source", uid, settings={"port": 20001})
    with pytest.raises(Conflict, match="holds 2 listen ports already"):
        await office.endpoints.change(ann, "source", uid, settings={"port": 20002})
    await office.endpoints.change(ann, "source", uid, settings={"port": 20000})


async def test_when_nothing_is_free_the_operator_is_named(office, ann, bob):
    office.endpoints = type(office.endpoints)(office.store.database, office.store.keyring, office.endpoints.shelf, ListenPorts.parse("2575"))
    await feed(office, ann, 2575)
    with pytest.raises(Conflict, match="no port is free: ask the operator to widen CARELANE_LISTEN_PORTS"):
        await feed(office, bob, 2575)


@pytest.mark.parametrize("host", ["x" * 70, "hub.example.org", "a b"])
async def test_a_source_listens_on_an_address_and_no_name(office, ann, host):
    with pytest.raises(Misconfigured, match="host"):
        await feed(office, ann, 2575, host=host)


async def test_destinations_claim_no_port(office, ann):
    for name in ("Lab", "Pharmacy"):
        settings = {"host": "lab.example.org", "port": 2575}
        await office.endpoints.create(ann, "destination", environment="development", name=name, transport="mllp", settings=settings)
    assert {} == await held(office)


async def test_a_wizard_begins_with_a_free_port(office, ann, bob):
    await feed(office, ann, 2575)
    uid = await office.endpoints.save_draft(bob, None, "source", environment="development", name="New", transport="mllp", settings={}, secret={})
    assert {"port": 20000} == (await office.endpoints.draft(bob, uid))[1]


async def test_a_command_s_source_goes_through_the_same_claim(office, ann, bob):
    await feed(office, ann, 2575)
    with pytest.raises(Conflict, match="Port 2575 is taken;"):
        await create_endpoint(
            office.store.database, office.store.keyring, "source", org=bob.org_id, environment="development", name="Seed", transport="mllp",
            format="hl7v2", settings={"port": 2575}, listens=Claim(2575, office.ports),
        )  # fmt: skip


async def test_the_snapshot_says_which_source_each_port_belongs_to(office, ann):
    uid = await feed(office, ann, 2575)
    await office.endpoints.delete(ann, "source", await feed(office, ann, 20000))
    number = (await office.endpoints.one(ann, "source", uid)).id
    assert {2575: number} == (await read_snapshot(office.store.database, office.store.keyring)).ports


async def test_a_source_whose_port_is_another_s_may_be_renamed_and_switched_off_but_not_get_the_port(office, operator, ann, bob):
    uid = await feed(office, ann, 2575)
    await operator.free_port(2575, force=True)
    await feed(office, bob, 2575)
    await office.endpoints.change(ann, "source", uid, name="Later", settings={"port": 2575}, enabled=False)
    assert [("Bright Health", "Feed 2575")] == [(row["organization"], row["source"]) for row in await operator.ports()]

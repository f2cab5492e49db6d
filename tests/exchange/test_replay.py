"""A replayed message goes where it would go if it came today, over a real database."""

from dataclasses import dataclass
from uuid import UUID

import orjson
import pytest

from carelane.domain.errors import Conflict, NotFound
from carelane.exchange.ingest import Ingest
from carelane.exchange.node import Shelf
from carelane.exchange.replay import Replay
from carelane.front import make_replay
from carelane.kit.clock import SystemClock
from carelane.kit.ids import public, uuid7
from carelane.plugins import FormatShelf
from carelane.store import audit
from carelane.store.catalogue.endpoint import create_endpoint
from carelane.store.catalogue.subscription import subscribe
from carelane.store.ledger import Ledger
from carelane.store.snapshot import read_snapshot
from carelane.store.traffic import read_deliveries
from tests.world import World, adt, make_world


@dataclass
class Hub:
    """Ingest and replay over one catalogue, which is read when a test says so."""

    store: object
    world: World
    shelf: Shelf
    ingest: Ingest
    replay: Replay

    async def reload(self):
        self.shelf.snapshot = await read_snapshot(self.store.database, self.store.keyring)

    async def take(self, raw: bytes, **how) -> UUID:
        return (await self.ingest.accept(self.world.source, raw, **how)).message_id

    async def again(self, message: UUID) -> list[int]:
        return sorted(await self.replay.again(self.world.hospital, message, "ann"))

    async def queued(self) -> list[tuple[int, int]]:
        return [tuple(row) for row in await self.store.database.engine.fetch("SELECT lane_id, seq FROM delivery ORDER BY lane_id, seq")]

    async def change(self, statement: str, *values) -> None:
        await self.store.database.engine.execute(statement, *values)


async def hub_of(store, **world) -> Hub:
    made, shelf = await make_world(store, **world), Shelf()
    ingest = Ingest(Ledger(store.database), shelf, FormatShelf(), store.keyring, SystemClock(), lambda *_: None)
    hub = Hub(store, made, shelf, ingest, make_replay(store, shelf, FormatShelf()))
    await hub.reload()
    return hub


@pytest.fixture
async def hub(store):
    return await hub_of(store)


async def second_lane(hub: Hub) -> int:
    """Another destination of the same partner that takes admissions too."""
    store, world = hub.store, hub.world
    other, _ = await create_endpoint(
        store.database,
        store.keyring,
        "destination",
        org=world.vendor,
        environment="development",
        name="Other",
        transport="inbox",
        format="datamodel",
        settings={},
    )
    _, lane = await subscribe(store.database, name="Other", connection_id=world.connection, source=world.source, destination=other, data_model="PatientAdmin")
    await hub.reload()
    return lane


async def test_a_message_for_one_destination_is_replayed_to_that_one_only(store):
    hub = await hub_of(store, source_transport="http", source_format="datamodel", source_settings={})
    await second_lane(hub)
    meta = {"DataModel": "PatientAdmin", "EventType": "Arrival", "Destinations": [{"ID": public("dst", hub.world.destination_uid)}]}
    message = await hub.take(orjson.dumps({"Meta": meta, "Patient": {}}))
    assert [hub.world.lanes["PatientAdmin"]] == await hub.again(message)


async def test_a_message_is_replayed_to_every_model_that_tells_it(store):
    hub = await hub_of(store, models=("PatientAdmin", "FHIR.Event.PatientAdmin"))
    message = await hub.take(adt("C1"))
    assert sorted(hub.world.lanes.values()) == await hub.again(message)
    assert [(lane, seq) for lane in sorted(hub.world.lanes.values()) for seq in (1, 2)] == await hub.queued()


async def test_a_message_is_replayed_in_the_format_it_came_in(hub):
    body = {"Meta": {"DataModel": "PatientAdmin", "EventType": "Arrival", "Destinations": [{"ID": public("dst", hub.world.destination_uid)}]}}
    message = await hub.take(orjson.dumps(body), format="datamodel")
    assert [hub.world.lanes["PatientAdmin"]] == await hub.again(message)


async def test_a_subscription_that_came_later_gets_a_replayed_message(hub):
    message = await hub.take(adt("C1"))
    later = await second_lane(hub)
    assert [hub.world.lanes["PatientAdmin"], later] == await hub.again(message)


@pytest.mark.parametrize("reloaded", [True, False])
async def test_nothing_is_replayed_over_a_suspended_connection(hub, reloaded):
    """Also where the catalogue at hand does not know it yet."""
    message = await hub.take(adt("C1"))
    await hub.change("UPDATE connection SET state = 'suspended', on_stop = 'drain'")
    if reloaded:
        await hub.reload()
    with pytest.raises(Conflict, match="No active subscription takes PatientAdmin from this source"):
        await hub.again(message)
    assert [(hub.world.lanes["PatientAdmin"], 1)] == await hub.queued()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("UPDATE source SET enabled = false", r"Its source \(North feed\) is switched off"),
        ("UPDATE source SET deleted_at = now()", "Its source no longer exists"),
        ("UPDATE subscription SET drain = true", "Create or activate a subscription for PatientAdmin"),
        ("UPDATE subscription SET state = 'ended'", "No active subscription takes PatientAdmin"),
    ],
)
async def test_what_cannot_be_replayed_says_why(hub, change, why):
    message = await hub.take(adt("C1"))
    await hub.change(change)
    await hub.reload()
    with pytest.raises(Conflict, match=why):
        await hub.again(message)
    assert 1 == len(await hub.queued())


async def test_a_refused_message_is_replayed_once_somebody_subscribes(hub):
    message = await hub.take(adt("C1").replace(b"ADT^A01^ADT_A01", b"SIU^S12^SIU_S12"))
    with pytest.raises(Conflict, match="No active subscription takes Scheduling"):
        await hub.again(message)
    await hub.change("UPDATE source SET settings = $1", orjson.dumps({"triggers": {"SIU^S12": "PatientAdmin.Arrival"}}).decode())
    await hub.reload()
    assert [hub.world.lanes["PatientAdmin"]] == await hub.again(message)


async def test_a_message_of_a_refused_batch_is_replayed_by_itself(hub, store):
    await hub.take(adt("B1") + adt("B2").replace(b"ADT^A01", b"ADT^ZZZ"))
    message = await store.database.engine.fetchval("SELECT id FROM message WHERE heading->>'controlId' = 'B1'")
    assert [hub.world.lanes["PatientAdmin"]] == await hub.again(message)


@pytest.mark.parametrize(("raw", "why"), [(b"MSX|", "MSH"), (adt("Q1").replace(b"ADT^A01^ADT_A01", b"QBP^Q22^QBP_Q21"), "asks for an answer")])
async def test_what_is_refused_today_stays_refused(hub, raw, why):
    message = await hub.take(raw)
    with pytest.raises(Conflict, match=why):
        await hub.again(message)
    assert [] == await hub.queued()


async def test_only_its_own_sender_and_the_operator_replay_a_message(hub):
    message = await hub.take(adt("C1"))
    for org, missing in ((hub.world.vendor, message), (hub.world.hospital, uuid7())):
        with pytest.raises(NotFound):
            await hub.replay.again(org, missing, "bob")
    assert {hub.world.lanes["PatientAdmin"]: 2} == await hub.replay.again(None, message, "operator")


async def test_a_replay_is_in_the_audit_trail_with_the_deliveries_it_made_and_is_shown_as_one(hub, store):
    message, lane = await hub.take(adt("C1")), hub.world.lanes["PatientAdmin"]
    await hub.again(message)
    [entry] = await store.database.engine.fetch("SELECT org_id, actor, subject, body FROM audit WHERE action = 'message.replay'")
    assert (hub.world.hospital, "ann", public("msg", message)) == (entry["org_id"], entry["actor"], entry["subject"])
    assert {"deliveries": [f"dlv_{lane}_2"]} == orjson.loads(entry["body"])
    assert [(1, False), (2, True)] == [(one.seq, one.again) for one in await read_deliveries(store.database, hub.world.hospital, message)]


async def test_without_its_audit_entry_nothing_is_queued(hub, monkeypatch):
    message = await hub.take(adt("C1"))

    async def failing(*_given):
        raise ZeroDivisionError

    monkeypatch.setattr(audit, "record", failing)
    with pytest.raises(ZeroDivisionError):
        await hub.again(message)
    assert [(hub.world.lanes["PatientAdmin"], 1)] == await hub.queued()


async def test_a_catalogue_that_never_stands_still_is_told_and_nothing_is_queued(hub):
    message = await hub.take(adt("C1"))

    async def stale():
        return hub.shelf.snapshot

    await hub.change("UPDATE source SET name = 'Renamed'")
    restless = Replay(hub.replay.archive, lambda: hub.shelf.snapshot, stale, hub.replay.formats, hub.replay.sealer)
    with pytest.raises(Conflict, match="nothing was queued, try again"):
        await restless.again(hub.world.hospital, message, "ann")
    assert 1 == len(await hub.queued())


async def test_a_missing_day_is_made_on_the_way(hub, store):
    message = await hub.take(adt("C1"))
    owner = await store.database.connect_owner()
    await owner.execute(f"DROP TABLE delivery_{SystemClock().now():%Y%m%d}")
    await owner.close()
    assert [hub.world.lanes["PatientAdmin"]] == await hub.again(message)

"""One message from socket to receipt, and what happens when something is wrong on the way."""

import asyncio
import itertools
from collections import deque

import orjson
import pytest
from standardwebhooks.webhooks import Webhook

from carelane.domain.errors import StoreLost
from carelane.domain.views import Search
from carelane.store.catalogue.endpoint import create_endpoint
from carelane.store.catalogue.subscription import subscribe
from carelane.testing.partners import FakeReceiver, FakeWebhook, mllp_ask
from tests.journeys.hubs import mllp_port, running_hub
from tests.waiting import until
from tests.world import adt, make_world

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
async def partner():
    async with FakeWebhook() as made:
        yield made


async def to_webhook(store, partner, **more):
    return await make_world(store, transport="webhook", settings={"url": partner.url}, secret={"verification_token": "tok", "signing_secret": SECRET}, **more)


async def test_an_admission_over_mllp_reaches_the_webhook_signed_and_once(store, partner):
    world = await to_webhook(store, partner)
    async with running_hub(store) as running:
        assert b"MSA|AA|C1" in await mllp_ask(mllp_port(running, world.source), adt("C1"))
        [body] = await partner.wait_for(1)
    headers = partner.received[0][0]
    Webhook(SECRET).verify(body, headers)
    document = orjson.loads(body)
    assert ("tok", f"dlv_{world.lanes['PatientAdmin']}_1") == (headers["verification-token"], headers["webhook-id"])
    assert ("PatientAdmin", "Arrival", "North feed", "Bright destination") == (
        document["Meta"]["DataModel"], document["Meta"]["EventType"], document["Meta"]["Source"]["Name"], document["Meta"]["Destinations"][0]["Name"])  # fmt: skip
    assert f"dlv_{world.lanes['PatientAdmin']}_1" == document["Meta"]["Logs"][0]["AttemptID"]


async def test_pipelined_frames_are_answered_in_order_and_delivered_in_order(store, partner):
    world = await to_webhook(store, partner)
    async with running_hub(store) as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", mllp_port(running, world.source))
        writer.write(b"".join(b"\x0b" + adt(f"P{number:03d}") + b"\x1c\r" for number in range(300)))
        answers = [await reader.readuntil(b"\x1c\r") for _ in range(300)]
        writer.close()
        bodies = await partner.wait_for(300)
    assert [f"MSA|AA|P{number:03d}\r".encode() in answer for number, answer in enumerate(answers)] == [True] * 300
    assert 300 == len({headers["webhook-id"] for headers, _ in partner.received})
    assert [headers["webhook-id"] for headers, _ in partner.received] == [f"dlv_{world.lanes['PatientAdmin']}_{n}" for n in range(1, 301)]
    assert 300 == len(bodies)


async def test_a_repeated_message_gets_its_first_answer_and_is_delivered_once(store, partner):
    world = await to_webhook(store, partner)
    async with running_hub(store) as running:
        port = mllp_port(running, world.source)
        first, second = await mllp_ask(port, adt("C1")), await mllp_ask(port, adt("C1"))
        await mllp_ask(port, adt("C2"))
        await partner.wait_for(2)
    assert (first, 2) == (second, len(partner.received))


async def test_a_failing_webhook_is_retried_and_nothing_overtakes(store, partner):
    partner.script = deque([500, "close", 503])
    world = await to_webhook(store, partner)
    async with running_hub(store) as running:
        for number in range(3):
            await mllp_ask(mllp_port(running, world.source), adt(f"C{number}"))
        await partner.wait_for(3)
    assert [f"dlv_{world.lanes['PatientAdmin']}_{n}" for n in (1, 2, 3)] == [headers["webhook-id"] for headers, _ in partner.received]


async def test_a_redirect_is_a_failure(store, partner):
    partner.default, partner.headers = 302, {"location": partner.url}
    world = await to_webhook(store, partner)
    async with running_hub(store) as running:
        await mllp_ask(mllp_port(running, world.source), adt("C1"))

        async def tried():
            return [lane for lane in await running.hub.desk.lanes(None) if lane.attempts]

        assert await until(tried)
    assert [] == partner.received


async def test_hl7_goes_out_natively_byte_for_byte(store):
    async with FakeReceiver() as receiver:
        world = await make_world(
            store, transport="mllp", settings={"port": receiver.port}, destination_format="hl7v2", working_model="native", models=("PatientAdmin",)
        )
        raw = adt("C1").replace(b"\r", b"\r\n") + b"ZZZ|odd\\X41\\ |\xe9\r\n"
        async with running_hub(store) as running:
            await mllp_ask(mllp_port(running, world.source), raw)

            async def arrived():
                return receiver.received

            assert [raw] == await until(arrived)


async def test_after_a_wrong_answer_the_connection_is_closed_and_the_head_sent_again(store):
    async with FakeReceiver(script=deque(["other"])) as receiver:
        world = await make_world(
            store, transport="mllp", settings={"port": receiver.port}, destination_format="hl7v2", working_model="native", models=("PatientAdmin",)
        )
        async with running_hub(store) as running:
            await mllp_ask(mllp_port(running, world.source), adt("C1"))

            async def twice():
                return len(receiver.received) == 2

            assert await until(twice)
    assert 2 == receiver.connections


async def test_an_error_from_the_receiver_holds_the_lane_with_the_reason(store):
    async with FakeReceiver(script=deque(["AE"])) as receiver:
        world = await make_world(
            store, transport="mllp", settings={"port": receiver.port}, destination_format="hl7v2", working_model="native", models=("PatientAdmin",)
        )
        async with running_hub(store) as running:
            await mllp_ask(mllp_port(running, world.source), adt("C1"))

            async def held():
                return [lane.held for lane in await running.hub.desk.lanes(None) if lane.held]

            assert ["the receiver answered AE: it found an error in the message"] == await until(held)
            await running.hub.desk.release(world.lanes["PatientAdmin"], None, "ann")

            async def delivered():
                return [lane for lane in await running.hub.desk.lanes(None) if lane.delivered]

            assert await until(delivered)


async def test_pause_stops_sending_and_resume_goes_on(store, partner):
    world = await to_webhook(store, partner)
    lane = world.lanes["PatientAdmin"]
    async with running_hub(store) as running:
        sent = itertools.count(1)
        await running.hub.desk.pause(lane, None, "ann")

        async def the_last_one_waits():
            number = next(sent)
            await mllp_ask(mllp_port(running, world.source), adt(f"C{number}"))
            await asyncio.sleep(0.3)
            return len(partner.received) < number

        await until(the_last_one_waits)
        await running.hub.desk.resume(lane, None, "ann")
        await partner.wait_for(next(sent) - 1)


async def test_a_replayed_message_is_delivered_again_at_the_tail(store, partner):
    world = await to_webhook(store, partner)
    async with running_hub(store) as running:
        await mllp_ask(mllp_port(running, world.source), adt("C1"))
        await partner.wait_for(1)
        [found] = await running.hub.desk.messages(world.hospital, Search(), {"control": "C1"})
        await running.hub.operations.replays.again(world.hospital, found.id, "ann")
        await partner.wait_for(2)
    assert ["dlv_1_1", "dlv_1_2"] == [headers["webhook-id"] for headers, _ in partner.received]


OVERLAY = """
overlay: bright
version: "1"
pack: v2-patientadmin
changes: [{disable: pid.8}]
"""


async def test_one_subscriptions_overlay_changes_nothing_for_another(store, partner):
    world = await to_webhook(store, partner)
    async with FakeWebhook() as other:
        destination, _ = await create_endpoint(
            store.database, store.keyring, "destination", org=world.vendor, environment="development", name="Other", transport="webhook", format="datamodel",
            settings={"url": other.url},
        )  # fmt: skip
        made, _ = await subscribe(
            store.database, name="Other", connection_id=world.connection, source=world.source, destination=destination, data_model="PatientAdmin"
        )
        await store.database.engine.execute("UPDATE subscription SET overlay = $1 WHERE id = $2", OVERLAY, made)
        async with running_hub(store) as running:
            await mllp_ask(mllp_port(running, world.source), adt("C1"))
            [usual], [changed] = await partner.wait_for(1), await other.wait_for(1)
    assert ("Female", None) == tuple(orjson.loads(body)["Patient"]["Demographics"].get("Sex") for body in (usual, changed))


async def test_a_hub_that_stopped_goes_on_where_it_was(store, partner):
    world = await to_webhook(store, partner)
    partner.default = 503
    async with running_hub(store) as running:
        for number in range(3):
            await mllp_ask(mllp_port(running, world.source), adt(f"C{number}"))
    partner.default = 200
    async with running_hub(store):
        await partner.wait_for(3)
    assert 3 == len(partner.received)


async def test_an_inbox_keeps_what_it_receives(store):
    world = await make_world(store)
    async with running_hub(store) as running:
        await mllp_ask(mllp_port(running, world.source), adt("C1"))

        async def items():
            return await running.hub.desk.inbox(world.vendor, world.destination)

        [item] = await until(items)
    assert "Arrival" == orjson.loads(item.body)["Meta"]["EventType"]


async def test_a_message_is_found_by_patient_and_shown_with_its_attempts_and_the_view_is_audited(store, partner):
    world = await to_webhook(store, partner)
    async with running_hub(store) as running:
        await mllp_ask(mllp_port(running, world.source), adt("C1"))
        await partner.wait_for(1)
        [found] = await running.hub.desk.messages(world.hospital, Search(), {"patient": "4711"})
        assert [] == await running.hub.desk.messages(world.hospital, Search(), {"patient": "471"})

        async def attempted():
            opened = await running.hub.desk.open(world.hospital, found.id, "ann", payload=True)
            return opened if opened.deliveries[0].attempts else None

        opened = await until(attempted)
    assert (adt("C1"), "delivered", "settled") == (opened.raw, opened.deliveries[0].attempts[0].verdict, opened.deliveries[0].state)
    assert "message.view" == await store.database.engine.fetchval("SELECT action FROM audit WHERE org_id = $1 ORDER BY n DESC LIMIT 1", world.hospital)


async def test_the_receiver_does_not_see_the_senders_bytes(store, partner):
    world = await to_webhook(store, partner)
    async with running_hub(store) as running:
        await mllp_ask(mllp_port(running, world.source), adt("C1"))
        [found] = await running.hub.desk.messages(world.vendor, Search())
        opened = await running.hub.desk.open(world.vendor, found.id, "bob", payload=True)
    assert (None, 1) == (opened.raw, len(opened.deliveries))


@pytest.mark.parametrize(
    ("raw", "answer"),
    [
        (b"hello", b"MSA|AR|"), (b"", b"MSA|AR|"), (adt("C1").replace(b"ADT^A01^ADT_A01", b""), b"101^Required field missing"),
        (adt("C1").replace(b"ADT^A01", b"XYZ^A01"), b"200^Unsupported message type"), (adt("C1").replace(b"ADT^A01", b"ADT^A99"), b"201^Unsupported event code"),
        (adt("C1").replace(b"Doe", b"D\0e"), b"102^Data type error"), (b"MSH|^~\\&|A|B", b"101^Required field missing"),
        (adt("C1").replace(b"ADT^A01^ADT_A01", b"SIU^S12"), b"204^Unknown key identifier"),
    ],
)  # fmt: skip
async def test_a_bad_message_is_stored_and_refused_with_the_reason(store, raw, answer):
    world = await make_world(store)
    async with running_hub(store) as running:
        reply = await mllp_ask(mllp_port(running, world.source), raw)
    assert answer in reply and b"|AA|" not in reply
    assert 1 == await store.database.engine.fetchval("SELECT count(*) FROM message")
    assert 0 == await store.database.engine.fetchval("SELECT count(*) FROM delivery")


async def test_a_refused_message_is_taken_once_its_cause_is_mended(store, partner):
    world = await to_webhook(store, partner, models=("Results",))
    async with running_hub(store) as running:
        assert b"MSA|AR" in await mllp_ask(mllp_port(running, world.source), adt("C1"))
        from carelane.store.catalogue.subscription import subscribe

        await subscribe(
            store.database, name="late", connection_id=world.connection, source=world.source, destination=world.destination, data_model="PatientAdmin"
        )

        async def taken():
            return b"MSA|AA" in await mllp_ask(mllp_port(running, world.source), adt("C1"))

        assert await until(taken)
        await partner.wait_for(1)


async def test_thirty_megabytes_are_stored_and_more_closes_the_connection(store, partner):
    world = await to_webhook(store, partner, models=("PatientAdmin",))
    async with running_hub(store) as running:
        port = mllp_port(running, world.source)
        big = adt("BIG") + b"NTE|1||" + b"x" * (29 * 1024 * 1024) + b"\r"
        assert b"MSA|AA|BIG" in await mllp_ask(port, big)
        assert b"" == await mllp_ask(port, adt("HUGE") + b"NTE|1||" + b"x" * (31 * 1024 * 1024))
        await partner.wait_for(1)


async def test_bytes_that_go_on_being_no_mllp_close_the_connection(store):
    world = await make_world(store)
    async with running_hub(store) as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", mllp_port(running, world.source))
        writer.write(b"GET / HTTP/1.1\r\n\r\n" * 4096)
        assert b"" == await asyncio.wait_for(reader.read(), 5)
        writer.close()


async def test_a_frame_that_never_ends_closes_the_connection(store):
    world = await make_world(store, source_settings={"port": 0, "frame_timeout_s": 0.2})
    async with running_hub(store) as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", mllp_port(running, world.source))
        writer.write(b"\x0bMSH|")
        with pytest.raises(ConnectionError):
            assert b"" == await reader.read()
            raise ConnectionResetError
        writer.close()


async def test_an_address_outside_the_allowed_ranges_gets_no_connection(store):
    world = await make_world(store, source_settings={"port": 0, "allowed_networks": ["10.0.0.0/8"]})
    async with running_hub(store) as running:
        assert b"" == await mllp_ask(mllp_port(running, world.source), adt("C1"))
    assert 0 == await store.database.engine.fetchval("SELECT count(*) FROM message")


async def test_while_the_store_is_away_nothing_is_acknowledged(store, monkeypatch):
    world = await make_world(store)
    async with running_hub(store) as running:

        async def gone(batch):
            raise StoreLost("away")

        monkeypatch.setattr(running.node.ingest._ledger, "append", gone)
        assert b"" == await mllp_ask(mllp_port(running, world.source), adt("C1"))


async def test_a_poison_message_holds_its_own_lane_only(store, partner):
    world = await to_webhook(store, partner)
    async with running_hub(store) as running:
        port = mllp_port(running, world.source)
        await mllp_ask(port, adt("C1").replace(b"ADT^A01^ADT_A01", b"ADT^A29"))
        oru = b"MSH|^~\\&|A|B|C|D|20260101||ORU^R01|R1|P|2.5\rPID|1||7\rOBR|1||F1|X\rOBX|1|ST|X||v\r"
        assert b"MSA|AA|R1" in await mllp_ask(port, oru)
        [body] = await partner.wait_for(1)

        async def held():
            return [lane.held for lane in await running.hub.desk.lanes(None) if lane.held]

        assert ["a person's record is deleted at the sender; nothing is deleted downstream by default"] == await until(held)
    assert "Results" == orjson.loads(body)["Meta"]["DataModel"]

import asyncio
import socket
import time
from collections import deque
from dataclasses import replace

import pytest

from carelane.domain.delivery import Verdict
from carelane.domain.endpoint import Source
from carelane.domain.errors import Misconfigured
from carelane.domain.message import PLAIN, Outcome, Receipt
from carelane.exchange.ports import Ambiguous, NotSent, Tools
from carelane.kit.clock import SystemClock
from carelane.kit.http import Guard, HttpClient, networks
from carelane.kit.ids import uuid7
from carelane.testing.partners import FakeReceiver, mllp_ask
from carelane.testing.transport_suite import SenderSuite, parcel
from carelane.transports.mllp import Listener, Sender, Settings, probe
from tests.transports.slow import SlowTls, certificate

GUARD = Guard(networks(["127.0.0.0/8"]))


async def nowhere_to_put(*_):
    return None


TOOLS = Tools(HttpClient(GUARD), GUARD, SystemClock(), nowhere_to_put)
TOOLS_EVERYWHERE = Tools(TOOLS.http, Guard(networks(["127.0.0.0/8", "::1/128"])), TOOLS.clock, nowhere_to_put)


class TestMllpSender(SenderSuite):
    name = "mllp"

    @pytest.fixture
    async def receiver(self):
        async with FakeReceiver() as made:
            yield made

    @pytest.fixture
    async def sender(self, receiver):
        made = Sender(None, Settings(port=receiver.port), TOOLS)
        yield made
        await made.close()

    @pytest.fixture
    def delivered(self, receiver):
        async def bodies():
            return receiver.received

        return bodies

    @pytest.fixture
    def nowhere(self):
        return Sender(None, Settings(port=1), TOOLS)

    async def test_the_connection_is_kept_between_messages(self, sender, receiver):
        for _ in range(3):
            await sender.send(parcel())
        assert 1 == receiver.connections

    @pytest.mark.parametrize("mood", ["hang", "close"])
    async def test_no_answer_is_ambiguous_and_closes_the_connection(self, receiver, mood):
        receiver.script = deque([mood])
        sender = Sender(None, Settings(port=receiver.port, timeout_s=2), TOOLS)
        with pytest.raises(Ambiguous):
            await sender.send(parcel())
        await sender.send(parcel())
        await sender.close()
        assert 2 == receiver.connections

    async def test_an_answer_to_another_message_closes_the_connection(self, sender, receiver):
        receiver.script = deque(["other"])
        await sender.send(parcel())
        await sender.send(parcel())
        assert 2 == receiver.connections

    async def test_a_send_too_many_was_not_sent_when_its_turn_does_not_come(self, receiver):
        receiver.script = deque(["hang"])
        sender = Sender(None, Settings(port=receiver.port, timeout_s=0.4), TOOLS)
        first, second = await asyncio.gather(sender.send(parcel()), sender.send(parcel()), return_exceptions=True)
        await sender.close()
        assert (Ambiguous, NotSent, 1) == (type(first), type(second), len(receiver.received))

    async def test_no_send_takes_longer_than_it_says(self, receiver):
        receiver.default = "hang"
        sender = Sender(None, Settings(port=receiver.port, timeout_s=0.3), TOOLS)
        began = time.monotonic()
        await asyncio.gather(*(sender.send(parcel()) for _ in range(5)), return_exceptions=True)
        await sender.close()
        assert time.monotonic() - began < sender.longest_s + 0.3

    async def test_a_lane_lost_while_connecting_writes_nothing(self, tmp_path):
        owned = [True]
        async with SlowTls(tmp_path) as receiver:
            settings = Settings(host="localhost", port=receiver.port, timeout_s=5, tls=True, tls_ca=receiver.authority)
            sender = Sender(None, settings, TOOLS_EVERYWHERE)
            sending = asyncio.ensure_future(sender.send(replace(parcel(), may_leave=lambda: bool(owned))))
            await receiver.came.wait()
            owned.clear()
            receiver.release.set()
            with pytest.raises(NotSent, match="no longer this node's"):
                await sending
            await sender.close()
            assert b"" == await asyncio.wait_for(receiver.heard, 5)

    @pytest.mark.parametrize("mark", [b"\x0b", b"\x1c"])
    async def test_a_message_that_mllp_cannot_carry_is_held_and_not_written(self, sender, receiver, mark):
        reply = await sender.send(parcel(b"MSH|^~\\&|A" + mark + b"B\r"))
        assert (Verdict.HELD, []) == (reply.judgement.verdict, receiver.received)

    async def test_a_private_address_is_refused_without_the_operators_word(self, receiver):
        sender = Sender(None, Settings(port=receiver.port), Tools(TOOLS.http, Guard(), TOOLS.clock, nowhere_to_put))
        with pytest.raises(NotSent, match="not a public address"):
            await sender.send(parcel())
        assert 0 == receiver.connections

    async def test_the_probe_says_in_words_what_is_wrong(self, receiver):
        good, bad = await probe(Settings(port=receiver.port), TOOLS), await probe(Settings(port=1), TOOLS)
        assert (Verdict.DELIVERED, Verdict.AGAIN, True) == (good.verdict, bad.verdict, "nothing listens on 127.0.0.1:1" in bad.reason)


def listener(accept, **settings) -> Listener:
    source = Source(1, uuid7(), 1, "feed", "development", "mllp", "hl7v2", {})
    return Listener(source, Settings(**{"port": 0, **settings}), accept, TOOLS)


async def echo(source, raw, *, format=None, key=None, arrival=PLAIN):
    return Receipt(Outcome.STORED, b"got " + raw)


async def test_answers_come_in_the_order_of_the_messages_even_if_ready_in_another():
    async def slow_first(source, raw, *, format=None, key=None, arrival=PLAIN):
        await asyncio.sleep(0.1 if raw == b"1" else 0)
        return Receipt(Outcome.STORED, raw)

    door = listener(slow_first)
    await door.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    writer.write(b"\x0b1\x1c\r\x0b2\x1c\r\x0b3\x1c\r")
    assert [b"\x0b1\x1c\r", b"\x0b2\x1c\r", b"\x0b3\x1c\r"] == [await reader.readuntil(b"\x1c\r") for _ in range(3)]
    writer.close()
    await door.stop()


async def test_a_sender_that_closes_its_side_still_gets_its_answer():
    door = listener(echo)
    await door.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    writer.write(b"\x0bx\x1c\r")
    writer.write_eof()
    assert b"\x0bgot x\x1c\r" == await reader.read()
    writer.close()
    await door.stop()


async def test_stopping_answers_what_was_taken():
    taken, gate = asyncio.Event(), asyncio.Event()

    async def gated(source, raw, *, format=None, key=None, arrival=PLAIN):
        taken.set()
        await gate.wait()
        return Receipt(Outcome.STORED, raw)

    door = listener(gated)
    await door.start()
    asking = asyncio.ensure_future(mllp_ask(door.port, b"x"))
    await taken.wait()
    stopping = asyncio.ensure_future(door.stop())
    await asyncio.sleep(0)
    gate.set()
    await stopping
    assert b"x" == await asking


@pytest.mark.parametrize(("policy", "answer"), [("close", b""), ("reject", b"AR")])
async def test_when_the_hub_cannot_store_the_source_chooses_close_or_reject(policy, answer):
    async def unavailable(source, raw, *, format=None, key=None, arrival=PLAIN):
        return Receipt(Outcome.UNAVAILABLE, b"AR")

    door = listener(unavailable, on_store_trouble=policy)
    await door.start()
    assert answer == await mllp_ask(door.port, b"x")
    await door.stop()


async def test_a_busy_port_is_explained():
    first = listener(echo)
    await first.start()
    with pytest.raises(Misconfigured, match="is another program using the port"):
        await listener(echo, port=first.port).start()
    await first.stop()


@pytest.mark.parametrize("steps", range(8))
async def test_a_start_that_is_cancelled_at_any_moment_leaves_nothing_open_and_may_be_repeated(steps):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    door = listener(echo, port=port)
    await cancelled_after(steps, door.start())
    await door.stop()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
    await door.start()
    assert b"got x" == await mllp_ask(port, b"x")
    await door.stop()


async def cancelled_after(steps: int, work) -> None:
    task = asyncio.ensure_future(work)
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task})


@pytest.mark.parametrize("host", ["x" * 70, "a b", "http://lab", ""])
def test_a_host_that_can_be_none_is_refused_when_it_is_saved(host):
    with pytest.raises(ValueError, match="write a host name"):
        Settings(host=host)


async def test_tls_asks_for_the_partners_certificate(tmp_path):
    authority = certificate(tmp_path, "ca")
    certificate(tmp_path, "hub", authority)
    certificate(tmp_path, "partner", authority)
    files = {"tls": True, "tls_certificate": str(tmp_path / "hub.pem"), "tls_key": str(tmp_path / "hub.key"), "tls_ca": str(tmp_path / "ca.pem")}
    door = listener(echo, **files)
    await door.start()
    known = Settings(host="localhost", port=door.port, tls=True, tls_ca=str(tmp_path / "ca.pem"), tls_certificate=str(tmp_path / "partner.pem"),
                     tls_key=str(tmp_path / "partner.key"), timeout_s=3)  # fmt: skip
    sender = Sender(None, known, TOOLS_EVERYWHERE)
    assert b"got " + parcel().body == (await sender.send(parcel())).body
    await sender.close()
    stranger = Sender(None, known.model_copy(update={"tls_certificate": ""}), TOOLS_EVERYWHERE)
    with pytest.raises((Ambiguous, NotSent)):
        await stranger.send(parcel())
    untrusting = Sender(None, known.model_copy(update={"tls_ca": ""}), TOOLS_EVERYWHERE)
    with pytest.raises(NotSent, match="not trusted"):
        await untrusting.send(parcel())
    await door.stop()

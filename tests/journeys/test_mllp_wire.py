"""What stands on the wire against what is answered and stored: a cut, merged or nameless message never gets a positive answer."""

import asyncio
import json
import re

import pytest

from carelane.domain.errors import Conflict
from carelane.domain.views import Search
from tests.journeys.hubs import mllp_port, running_hub
from tests.world import adt, make_world

GOOD = b"\x0b" + adt("G1") + b"\x1c\r"
HALF = adt("H1")[:-40]
NAMELESS_HALF = b"MSH|^~\\&|EHR|NO"


async def talk(port: int, *chunks: bytes) -> list[bytes]:
    """Write chunks, close our side, and return MSA-1 and MSA-2 of every answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for chunk in chunks:
        writer.write(chunk)
        await writer.drain()
        await asyncio.sleep(0)
    writer.write_eof()
    async with asyncio.timeout(10):
        answers = await reader.read()
    writer.close()
    return re.findall(rb"\rMSA\|(..\|[^|\r]*)", answers)


VECTORS = {
    "a good one": (GOOD, [b"AA|G1"]),
    "FS inside the data, then a good one": (b"\x0b" + HALF + b"\x1cmore\x1c\r" + GOOD, [b"AR|H1", b"AA|G1"]),
    "a frame cut by the next": (b"\x0b" + HALF + GOOD, [b"AR|H1", b"AA|G1"]),
    "a frame cut before its MSH-10": (b"\x0b" + NAMELESS_HALF + GOOD, [b"AA|G1"]),
    "FS inside before MSH-10": (b"\x0b" + NAMELESS_HALF + b"\x1cmore\x1c\r" + GOOD, [b"AA|G1"]),
    "junk, then a good one": (b"GET / HTTP/1.1\r\n\r\n" + GOOD, [b"AA|G1"]),
    "no CR before the next": (b"\x0b" + adt("H1") + b"\x1c" + GOOD, [b"AA|H1", b"AA|G1"]),
    "no CR, then closed": (b"\x0b" + adt("H1") + b"\x1c", [b"AA|H1"]),
    "no end, then closed": (b"\x0b" + adt("H1"), []),
    "an empty MSH-10": (b"\x0b" + adt("") + b"\x1c\r" + GOOD, [b"AR|", b"AA|G1"]),
    "an explicit null in MSH-10": (b"\x0b" + adt('""') + b"\x1c\r", [b'AR|""']),
    "an empty block": (b"\x0b\x1c\r" + GOOD, [b"AR|", b"AA|G1"]),
}  # fmt: skip


@pytest.mark.parametrize("vector", VECTORS)
async def test_a_stream_is_answered_as_it_deserves(store, vector):
    world = await make_world(store)
    stream, expected = VECTORS[vector]
    async with running_hub(store) as running:
        assert expected == await talk(mllp_port(running, world.source), stream)


async def test_where_the_bytes_are_cut_makes_no_difference(store):
    world = await make_world(store)
    stream, expected = VECTORS["FS inside the data, then a good one"]
    ends = [at for at, byte in enumerate(stream) if byte in (0x0B, 0x1C, 0x0D)]
    async with running_hub(store) as running:
        port = mllp_port(running, world.source)
        answers = [await talk(port, stream[:at], stream[at : at + 1], stream[at + 1 :]) for at in ends]
    assert [expected] * len(ends) == answers


async def test_a_silent_sender_without_the_last_CR_gets_its_answer_and_the_message_a_mark(store):
    world = await make_world(store)
    async with running_hub(store) as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", mllp_port(running, world.source))
        writer.write(GOOD[:-1])
        async with asyncio.timeout(5):
            answer = await reader.readuntil(b"\x1c\r")
        writer.close()
        [found] = await running.hub.desk.messages(world.hospital, Search())
    assert (True, ["mllp-no-cr"]) == (b"MSA|AA|G1" in answer, found.heading["notes"])


async def test_a_cut_message_is_stored_with_its_problem_and_goes_nowhere(store):
    world = await make_world(store)
    async with running_hub(store) as running:
        await talk(mllp_port(running, world.source), b"\x0b" + HALF + GOOD)
        found = {one.heading["controlId"]: one for one in await running.hub.desk.messages(world.hospital, Search())}
        opened = await running.hub.desk.open(world.hospital, found["H1"].id, "ann", payload=True)
    assert ("mllp-cut", HALF, []) == (found["H1"].heading["problem"], opened.raw, opened.deliveries)


async def test_a_cut_message_is_not_replayed(store):
    world = await make_world(store)
    async with running_hub(store) as running:
        await talk(mllp_port(running, world.source), b"\x0b" + HALF + GOOD)
        found = {one.heading["controlId"]: one for one in await running.hub.desk.messages(world.hospital, Search())}
        with pytest.raises(Conflict, match="did not arrive whole"):
            await running.hub.operations.replays.again(world.hospital, found["H1"].id, "ann")


async def test_a_batch_of_too_many_messages_is_refused_as_a_whole(store):
    world = await make_world(store)
    async with running_hub(store) as running:
        answers = await talk(mllp_port(running, world.source), b"\x0b" + b"".join(adt(f"B{number}") for number in range(2001)) + b"\x1c\r" + GOOD)
    assert [b"AR|B0", b"AA|G1"] == answers


async def test_the_public_vectors_get_no_positive_answer_they_do_not_deserve(store, shared):
    world = await make_world(store)
    vectors = json.loads((shared / "mllp-vectors" / "vectors.json").read_text())
    async with running_hub(store) as running:
        port = mllp_port(running, world.source)
        answers = {one["name"]: await talk(port, *(bytes.fromhex(chunk) for chunk in one["chunks_hex"])) for one in vectors}
        still = await talk(port, GOOD)
    assert ({}, [b"AA|G1"]) == ({name: got for name, got in answers.items() if any(one.startswith((b"AA", b"CA")) for one in got)}, still)

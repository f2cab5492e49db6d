import asyncio
import socket
import time

import pytest
import uvloop

from carelane.kit.answering import MOST_WAITING, Answering, Door
from carelane.kit.framing import Flaw, Frame
from carelane.kit.room import Room, Rooms, Step

MB = 1024 * 1024


async def echo(frame: Frame) -> bytes:
    return frame.data + (str(frame.flaw).encode() if frame.flaw else b"")


class Served:
    """A door on a port of its own; what was told is in ``told``."""

    def __init__(self, take=echo, *, rooms: Rooms | None = None, most_bytes=MB, frame_timeout_s=10.0, most_connections=100):
        self.told: list[str] = []
        self.door = Door(take, self.told.append, lambda peer: True, rooms or Rooms(), most_bytes, frame_timeout_s, most_connections)

    async def __aenter__(self) -> "Served":
        self._server = await asyncio.get_running_loop().create_server(lambda: Answering(self.door), "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for connection in list(self.door.connections):
            connection._abort()

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port, limit=4 * MB)

    async def until(self, condition) -> None:
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0.01)


async def answer(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(10):
        return (await reader.readuntil(b"\x1c\r"))[1:-2]


async def closed(reader: asyncio.StreamReader) -> bytes:
    """Everything until the other side closes; a reset counts as closing."""
    async with asyncio.timeout(10):
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""


async def test_FS_and_silence_is_the_end():
    async with Served() as served:
        reader, writer = await served.connect()
        began = time.monotonic()
        writer.write(b"\x0ba\x1c")
        assert b"a" + Flaw.NO_CR.encode() == await answer(reader)
        assert 0.9 < time.monotonic() - began < 5


async def test_FS_CR_with_a_pause_between_is_a_whole_frame():
    async with Served() as served:
        reader, writer = await served.connect()
        writer.write(b"\x0ba\x1c")
        await asyncio.sleep(0.3)
        writer.write(b"\r")
        assert b"a" == await answer(reader)


async def test_data_after_FS_and_a_pause_is_no_end():
    async with Served() as served:
        reader, writer = await served.connect()
        writer.write(b"\x0ba\x1c")
        await asyncio.sleep(0.3)
        writer.write(b"b\x1c\r")
        assert b"a" + Flaw.END_INSIDE.encode() == await answer(reader)


class Stalling(asyncio.Protocol):
    """Holds up the whole loop while it reads, and says something to another connection meanwhile."""

    def __init__(self, other: socket.socket, words: bytes) -> None:
        self._other, self._words = other, words

    def data_received(self, data: bytes) -> None:
        self._other.sendall(self._words)
        time.sleep(1.2)


@pytest.mark.parametrize(("more", "flaw"), [(b"\r", b""), (b"b\x1c\r", Flaw.END_INSIDE.encode())])
def test_a_stall_of_ours_is_no_silence_of_the_senders(more, flaw):
    """The hub's own loop rings clocks before it reads sockets, so what follows FS may have come before the clock rings and be read after."""

    async def scenario() -> bytes:
        loop = asyncio.get_running_loop()
        async with Served() as served:
            plain = socket.create_connection(("127.0.0.1", served.port))
            plain.sendall(b"\x0ba\x1c")
            await served.until(lambda: any(one._timed == "silence" for one in served.door.connections))
            stalling = await loop.create_server(lambda: Stalling(plain, more), "127.0.0.1", 0)
            _, writer = await asyncio.open_connection(*stalling.sockets[0].getsockname())
            writer.write(b"go")
            found = await asyncio.wait_for(asyncio.to_thread(plain.recv, 100), 10)
            writer.close()
            stalling.close()
            plain.close()
            return found[1:-2]

    assert b"a" + flaw == uvloop.run(scenario())


async def test_a_frame_that_does_not_arrive_in_time_closes_the_connection():
    async with Served(frame_timeout_s=0.2) as served:
        reader, writer = await served.connect()
        writer.write(b"\x0ba")
        assert (b"", ["slow"]) == (await closed(reader), served.told)


async def test_a_busy_sender_is_not_taken_for_a_slow_one():
    """Its reads always end inside a frame, each time another one."""
    async with Served(frame_timeout_s=0.4) as served:
        reader, writer = await served.connect()
        writer.write(b"\x0ba")
        for _ in range(12):
            await asyncio.sleep(0.1)
            writer.write(b"\x1c\r\x0ba")
        assert [b"a"] * 12 == [await answer(reader) for _ in range(12)]


async def test_junk_is_skipped_and_told_once():
    async with Served() as served:
        reader, writer = await served.connect()
        writer.write(b"junk\x0ba\x1c\rjunk\x0bb\x1c\r")
        assert (b"a", b"b", ["junk"]) == (await answer(reader), await answer(reader), served.told)


async def test_too_much_junk_closes_the_connection_after_the_answers():
    async with Served() as served:
        reader, writer = await served.connect()
        writer.write(b"\x0ba\x1c\r" + b"x" * 70_000)
        assert (b"\x0ba\x1c\r", ["junk", "junk"]) == (await closed(reader), served.told)


async def test_a_frame_over_the_limit_closes_the_connection_after_the_answers():
    async with Served(most_bytes=10) as served:
        reader, writer = await served.connect()
        writer.write(b"\x0ba\x1c\r\x0b" + b"x" * 11)
        assert (b"\x0ba\x1c\r", ["too-large"]) == (await closed(reader), served.told)


async def test_a_connection_closed_in_the_middle_of_a_frame_is_told():
    async with Served() as served:
        reader, writer = await served.connect()
        writer.write(b"\x0ba\x1c\r\x0bhal")
        writer.write_eof()
        assert (b"\x0ba\x1c\r", ["cut-off"]) == (await closed(reader), served.told)


async def test_one_connection_too_many_is_closed_and_makes_way_for_none():
    async with Served(most_connections=1) as served:
        reader, writer = await served.connect()
        writer.write(b"\x0ba\x1c\r")
        await answer(reader)
        assert (b"", ["too-many"]) == (await closed((await served.connect())[0]), served.told)
        writer.write(b"\x0bb\x1c\r")
        assert b"b" == await answer(reader)


async def test_all_doors_together_have_so_many_places_and_a_closed_connection_frees_its_own():
    rooms = Rooms(most_connections=1)
    async with Served(rooms=rooms) as first, Served(rooms=rooms) as second:
        reader, writer = await first.connect()
        writer.write(b"\x0ba\x1c\r")
        await answer(reader)
        assert (b"", ["too-many"]) == (await closed((await second.connect())[0]), second.told)
        writer.close()
        await first.until(lambda: rooms.connections == 0)
        reader, writer = await second.connect()
        writer.write(b"\x0ba\x1c\r")
        assert b"a" == await answer(reader)


async def test_only_so_many_frames_of_one_connection_are_in_the_works():
    working, gate = [], asyncio.Event()

    async def slow(frame: Frame) -> bytes:
        working.append(frame)
        await gate.wait()
        return b"done"

    async with Served(slow) as served:
        reader, writer = await served.connect()
        writer.write(b"\x0ba\x1c\r" * 2000)
        await served.until(lambda: len(working) >= MOST_WAITING)
        await asyncio.sleep(0.1)
        assert MOST_WAITING == len(working)
        gate.set()
        assert [b"done"] * 2000 == [await answer(reader) for _ in range(2000)]


async def test_a_sender_that_reads_no_answers_is_read_no_further():
    taken = []

    async def wordy(frame: Frame) -> bytes:
        taken.append(frame)
        return b"x" * 100_000

    async with Served(wordy) as served:
        _, writer = await served.connect()
        writer.write(b"\x0ba\x1c\r" * 20_000)
        await served.until(lambda: next(iter(served.door.connections))._unread_answers)
        count = len(taken)
        await asyncio.sleep(0.2)
        assert (True, count) == (count < 2 * MOST_WAITING, len(taken))


async def test_frames_that_are_arriving_share_the_room_and_all_come_through():
    """64 senders begin 1 MiB frames at once; the room is for 4: no more is held, and everybody gets an answer."""
    rooms = Rooms(steps=[Step(2 * MB, Room(8 * MB))])
    most = 0

    async with Served(rooms=rooms, most_bytes=2 * MB) as one, Served(rooms=rooms, most_bytes=2 * MB) as two:

        def held() -> int:
            return sum(connection._framing.held + connection._waiting_bytes for door in (one.door, two.door) for connection in door.connections)

        async def send(served: Served) -> int:
            reader, writer = await served.connect()
            writer.write(b"\x0b" + b"x" * MB)
            await writer.drain()
            writer.write(b"\x1c\r")
            async with asyncio.timeout(60):
                got = await reader.readuntil(b"\x1c\r")
            writer.close()
            return len(got)

        async def watch() -> None:
            nonlocal most
            while True:
                most = max(most, held())
                await asyncio.sleep(0)

        watching = asyncio.create_task(watch())
        answers = await asyncio.gather(*(send(served) for served in (one, two) * 32))
        watching.cancel()
    little_and_one_read = 64 * (64 * 1024 + 256 * 1024)
    assert ([MB + 3] * 64, True, 0) == (answers, most < 8 * MB + little_and_one_read, rooms.steps[0].room.used)


async def test_a_sender_that_waits_for_room_is_not_taken_for_a_slow_one():
    rooms = Rooms(steps=[Step(MB, Room(MB))])
    async with Served(rooms=rooms, frame_timeout_s=0.3) as served:
        rooms.steps[0].room.take("somebody", MB)
        reader, writer = await served.connect()
        writer.write(b"\x0b" + b"x" * 500_000)
        await asyncio.sleep(0.6)
        rooms.steps[0].room.give("somebody", MB)
        writer.write(b"\x1c\r")
        assert 500_000 == len(await answer(reader))


async def test_small_frames_pass_while_the_room_for_large_ones_is_full():
    rooms = Rooms(steps=[Step(MB, Room(MB))])
    async with Served(rooms=rooms) as served:
        rooms.steps[0].room.take("somebody", MB)
        reader, writer = await served.connect()
        writer.write(b"\x0ba\x1c\r")
        assert b"a" == await answer(reader)


async def test_a_fault_of_ours_closes_the_connection_without_an_answer():
    async def broken(frame: Frame) -> bytes:
        raise RuntimeError("secret content")

    told: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    async with Served(broken) as served:
        reader, writer = await served.connect()
        writer.write(b"\x0ba\x1c\r\x0bb\x1c\r")
        assert (b"", ["taking a frame failed: RuntimeError"] * 2) == (await closed(reader), [one["message"] for one in told])

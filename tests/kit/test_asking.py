import asyncio

import pytest

from carelane.kit.asking import Asking, Unanswered


class Partner:
    """Answers every question with the next of its scripted writes; after the last of them it may hang up."""

    def __init__(self, *writes: bytes, hangs_up: bool = False):
        self.writes = list(writes)
        self.hangs_up = hangs_up
        self.heard: list[bytes] = []
        self.over = asyncio.Event()

    async def __aenter__(self) -> "Partner":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        _, self.line = await asyncio.get_running_loop().create_connection(lambda: Asking(1000), "127.0.0.1", port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.line.close()
        await asyncio.wait_for(self.over.wait(), 5)
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1000):
            self.heard.append(data)
            writer.write(self.writes.pop(0) if self.writes else b"")
            if self.hangs_up and not self.writes:
                break
        writer.close()
        await asyncio.wait([asyncio.ensure_future(writer.wait_closed())])
        self.over.set()

    async def ask(self, leave=lambda: None) -> bytes:
        async with asyncio.timeout(5):
            return await self.line.ask(b"question", leave)


async def test_a_question_gets_its_answer_again_and_again():
    async with Partner(b"\x0ba\x1c\r", b"\x0bb\x1c\r") as partner:
        assert ([b"a", b"b"], True) == ([await partner.ask(), await partner.ask()], partner.line.usable)


async def test_an_answer_without_the_last_CR_counts_after_a_silence_and_its_late_CR_is_no_trouble():
    async with Partner(b"\x0ba\x1c", b"\r\x0bb\x1c\r") as partner:
        assert ([b"a", b"b"], True) == ([await partner.ask(), await partner.ask()], partner.line.usable)


async def test_an_answer_without_the_last_CR_counts_when_the_receiver_closes():
    async with Partner(b"\x0ba\x1c", hangs_up=True) as partner, asyncio.timeout(0.8):
        assert b"a" == await partner.ask()


async def test_junk_before_the_answer_is_skipped():
    async with Partner(b"welcome\r\n\x0ba\x1c\r") as partner:
        assert b"a" == await partner.ask()


@pytest.mark.parametrize(
    ("write", "why"),
    [
        (b"\x0ba\x0bb\x1c\r", "cut off"),
        (b"\x0ba\x1cb\x1c\r", "end block inside"),
        (b"\x0ba\x1c\r\x0bb\x1c\r", "more than one"),
        (b"\x0ba\x1c\r\x0bb", "more than one"),
        (b"\x0b" + b"x" * 1001, "could not be told apart"),
        (b"x" * 70_000, "could not be told apart"),
    ],
)
async def test_no_usable_answer_ends_the_connection(write, why):
    async with Partner(write) as partner:
        with pytest.raises(Unanswered, match=why):
            await partner.ask()
        assert not partner.line.usable


async def test_a_receiver_that_hangs_up_has_not_answered():
    async with Partner(b"\x0bhal", hangs_up=True) as partner:
        with pytest.raises(Unanswered, match="closed the connection without"):
            await partner.ask()


@pytest.mark.parametrize("more", [b"\x0blate\x1c\r", b"\x0bla", b"junk"])
async def test_bytes_that_answer_nothing_end_the_connection_before_the_next_question(more):
    async with Partner(b"\x0ba\x1c\r", more) as partner:
        await partner.ask()
        partner.line._transport.write(b"\x0bnobody asked\x1c\r")
        async with asyncio.timeout(5):
            while partner.line.usable:
                await asyncio.sleep(0.01)
        with pytest.raises(ConnectionError):
            await partner.ask()


async def test_who_may_not_leave_writes_nothing():
    def no() -> None:
        raise PermissionError("not ours any more")

    async with Partner() as partner:
        with pytest.raises(PermissionError):
            await partner.ask(no)
    assert [] == partner.heard

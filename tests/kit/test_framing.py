import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carelane.kit.framing import MOST_JUNK_BYTES, Broken, Flaw, Frame, Framing

VT, FS, CR = b"\x0b", b"\x1c", b"\r"
# Name, bytes, and the frames they hold, however they arrive.
VECTORS = {
    "one message": (b"\x0ba\x1c\r", [Frame(b"a")]),
    "an empty block": (b"\x0b\x1c\r", [Frame(b"")]),
    "two in one write": (b"\x0ba\x1c\r\x0bb\x1c\r", [Frame(b"a"), Frame(b"b")]),
    "line ends between frames": (b"\r\n\x0ba\x1c\r\n\r\n\x0bb\x1c\r\r", [Frame(b"a"), Frame(b"b")]),
    "carriage returns inside": (b"\x0ba\rb\r\x1c\r", [Frame(b"a\rb\r")]),
    "no CR before the next block": (b"\x0ba\x1c\x0bb\x1c\r", [Frame(b"a", Flaw.NO_CR), Frame(b"b")]),
    "FS inside the data": (b"\x0ba\x1cb\x1c\r\x0bc\x1c\r", [Frame(b"a", Flaw.END_INSIDE), Frame(b"c")]),
    "FS twice": (b"\x0ba\x1c\x1c\r\x0bc\x1c\r", [Frame(b"a", Flaw.END_INSIDE), Frame(b"c")]),
    "FS and a line feed": (b"\x0ba\x1c\n\x0bc\x1c\r", [Frame(b"a", Flaw.END_INSIDE), Frame(b"c")]),
    "VT inside a frame": (b"\x0bcut \x0bwhole\x1c\r", [Frame(b"cut ", Flaw.CUT), Frame(b"whole")]),
    "VT twice": (b"\x0b\x0ba\x1c\r", [Frame(b"a")]),
    "three cut in a row": (b"\x0ba\x0bb\x0bc\x1c\r", [Frame(b"a", Flaw.CUT), Frame(b"b", Flaw.CUT), Frame(b"c")]),
    "junk before the frame": (b"GET / HTTP/1.1\r\n\x0ba\x1c\r", [Frame(b"a")]),
    "junk between frames": (b"\x0ba\x1c\rjunk\x1c\r\x0bb\x1c\r", [Frame(b"a"), Frame(b"b")]),
    "no end yet": (b"\x0ba\r", []),
    "an end that may be half of it": (b"\x0ba\x1c", []),
    "nothing": (b"", []),
    "every other byte": (bytes(number for number in range(256) if number not in (0x0B, 0x1C)).join((VT, FS + CR)),
                         [Frame(bytes(number for number in range(256) if number not in (0x0B, 0x1C)))]),
}  # fmt: skip


def frames(framing: Framing, *chunks: bytes) -> list[Frame]:
    found = []
    for chunk in chunks:
        framing.feed(chunk)
        found += iter(framing.next, None)
    return found


def cut_by(stream: bytes, sizes: list[int]) -> list[bytes]:
    chunks, at = [], 0
    while at < len(stream):
        chunks.append(stream[at : at + sizes[len(chunks) % len(sizes)]])
        at += len(chunks[-1])
    return chunks


@pytest.mark.parametrize("vector", VECTORS)
def test_a_vector_holds_in_one_piece(vector):
    stream, expected = VECTORS[vector]
    assert expected == frames(Framing(1000), stream)


@pytest.mark.parametrize("vector", VECTORS)
def test_a_vector_holds_byte_by_byte(vector):
    stream, expected = VECTORS[vector]
    assert expected == frames(Framing(1000), *cut_by(stream, [1]))


@pytest.mark.parametrize("vector", VECTORS)
def test_a_vector_holds_cut_in_two_at_every_byte(vector):
    stream, expected = VECTORS[vector]
    assert [expected] * len(stream) == [frames(Framing(1000), stream[:at], stream[at:]) for at in range(len(stream))]


@given(st.lists(st.sampled_from([VT, FS, CR, b"\n", b"a", b"bc", VT + b"x" + FS + CR]), max_size=60), st.lists(st.integers(1, 9), min_size=1, max_size=20))
def test_the_frames_do_not_depend_on_how_the_bytes_arrive(pieces, sizes):
    stream = b"".join(pieces)
    assert frames(Framing(1000), stream) == frames(Framing(1000), *cut_by(stream, sizes))


@given(st.lists(st.binary(max_size=200).map(lambda body: body.replace(VT, b"").replace(FS, b"")), max_size=8), st.lists(st.integers(1, 50), min_size=1))
def test_what_was_framed_comes_out_whole(bodies, sizes):
    stream = b"".join(VT + body + FS + CR for body in bodies)
    assert [Frame(body) for body in bodies] == frames(Framing(1000), *cut_by(stream, sizes))


@given(st.lists(st.sampled_from([VT, FS, CR, b"a", b"bc"]), max_size=60), st.lists(st.integers(1, 9), min_size=1, max_size=20))
def test_a_frame_without_a_flaw_stood_between_VT_and_FS_CR(pieces, sizes):
    stream = b"".join(pieces)
    good = [frame.data for frame in frames(Framing(1000), *cut_by(stream, sizes)) if frame.flaw is None]
    assert good == [body for body in good if VT + body + FS + CR in stream and VT not in body and FS not in body]


def test_a_block_that_nothing_follows_is_taken_and_marked_when_the_peer_is_silent():
    framing = Framing(10)
    assert [] == frames(framing, b"\x0ba\x1c")
    assert (True, Frame(b"a", Flaw.NO_CR), False) == (framing.ending, framing.end(), framing.ending)


def test_a_late_CR_is_no_junk():
    framing = Framing(10)
    frames(framing, b"\x0ba\x1c")
    framing.end()
    assert ([Frame(b"b")], 0) == (frames(framing, b"\r\x0bb\x1c\r"), framing.junk)


@pytest.mark.parametrize("stream", [b"", b"\x0ba", b"\x0ba\x1c\r", b"junk"])
def test_without_an_end_block_there_is_nothing_to_take(stream):
    framing = Framing(10)
    frames(framing, stream)
    assert framing.end() is None


def test_skipped_bytes_are_counted_and_line_ends_are_not():
    framing = Framing(10)
    frames(framing, b"\r\njunk\r\n\x0ba\x1c\r\r")
    assert 4 == framing.junk


def test_too_much_junk_ends_it():
    framing = Framing(10)
    frames(framing, b"x" * MOST_JUNK_BYTES)
    assert framing.broken is None
    assert ([], Broken.JUNK) == (frames(framing, b"x\x0ba\x1c\r"), framing.broken)


def test_a_good_frame_forgives_the_junk_before_it():
    framing = Framing(10)
    for _ in range(3):
        frames(framing, b"x" * MOST_JUNK_BYTES, b"\x0ba\x1c\r")
    assert framing.broken is None


def test_the_rest_of_a_frame_with_an_end_inside_may_be_as_long_as_a_frame():
    framing = Framing(3 * MOST_JUNK_BYTES)
    found = frames(framing, b"\x0ba\x1c", b"x" * (2 * MOST_JUNK_BYTES), b"\x1c\r\x0bb\x1c\r")
    assert ([Frame(b"a", Flaw.END_INSIDE), Frame(b"b")], None) == (found, framing.broken)


@pytest.mark.parametrize("stream", [b"\x0b" + b"x" * 11, b"\x0b" + b"x" * 11 + b"\x1c\r", b"\x0b" + b"x" * 11 + b"\x0ba\x1c\r"])
def test_a_frame_over_the_limit_ends_it_and_is_not_kept(stream):
    framing = Framing(10)
    assert ([], Broken.TOO_LARGE, 0) == (frames(framing, stream), framing.broken, framing.held)


def test_what_came_before_the_trouble_is_still_told():
    framing = Framing(10)
    assert ([Frame(b"a")], Broken.TOO_LARGE) == (frames(framing, b"\x0ba\x1c\r\x0b" + b"x" * 11), framing.broken)


def test_frames_are_taken_one_at_a_time_and_the_rest_is_known():
    framing = Framing(10)
    framing.feed(b"\x0ba\x1c\r")
    framing.feed(b"\x0bb\x1c\r")
    assert (Frame(b"a"), 4, Frame(b"b"), 0) == (framing.next(), framing.unread, framing.next(), framing.unread)


class Counted(bytes):
    """Bytes that know how many of them were compared with a mark."""

    compared = 0

    def find(self, mark, start=0, stop=None):
        found = super().find(mark, start, stop)
        self.compared += (found + 1 if found >= 0 else len(self) if stop is None else stop) - start
        return found


@pytest.mark.parametrize("piece", [VT, FS, VT + b"x", VT + FS, b"x" + FS + CR, VT + b"x" + FS, VT + b"x" + FS + CR, CR, b"x"], ids=str)
def test_each_byte_is_compared_with_each_mark_once(piece):
    framing, stream = Framing(1 << 30), Counted(piece * 5000)
    frames(framing, stream)
    assert stream.compared <= 2 * len(stream)


def test_the_public_vectors_hold(shared):
    for vector in json.loads((shared / "mllp-vectors" / "vectors.json").read_text()):
        found = [frame.data.hex() for frame in frames(Framing(1 << 20), *(bytes.fromhex(chunk) for chunk in vector["chunks_hex"]))]
        assert (vector["messages_hex"] or []) == found, vector["name"]

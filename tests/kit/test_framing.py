import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carelane.kit.framing import Framing

BODIES = st.lists(st.binary(max_size=200).map(lambda body: body.replace(b"\x1c", b"").replace(b"\x0b", b"")), max_size=8)


@given(BODIES, st.lists(st.integers(min_value=1, max_value=50), min_size=1, max_size=30))
def test_frames_come_out_whole_however_the_bytes_arrive(bodies, cuts):
    stream = b"".join(b"\x0b" + body + b"\x1c\r" for body in bodies)
    framing, found, at, turn = Framing(1000), [], 0, 0
    while at < len(stream):
        found += framing.feed(stream[at : at + cuts[turn % len(cuts)]])
        at, turn = at + cuts[turn % len(cuts)], turn + 1
    assert bodies == found


def test_a_missing_carriage_return_after_the_end_block_is_tolerated():
    assert [b"a", b"b"] == Framing(10).feed(b"\x0ba\x1c\x0bb\x1c\r")


def test_bytes_outside_a_frame_are_an_error():
    with pytest.raises(ValueError, match="outside"):
        Framing(10).feed(b"GET / HTTP/1.1\r\n")


def test_a_frame_over_the_limit_is_an_error_before_it_ends():
    with pytest.raises(ValueError, match="limit"):
        Framing(10).feed(b"\x0b" + b"x" * 11)


def test_the_public_vectors_hold(shared):
    for vector in json.loads((shared / "mllp-vectors" / "vectors.json").read_text()):
        framing, found = Framing(1 << 20), []
        try:
            for chunk in vector["chunks_hex"]:
                found += framing.feed(bytes.fromhex(chunk))
        except ValueError:
            assert "error-or-ignore" == vector["then"], vector["name"]
        tolerated = vector["name"] == "no final CR, then closed"  # we take the frame: many senders leave the last CR out
        assert tolerated or (vector["messages_hex"] or []) == [body.hex() for body in found], vector["name"]

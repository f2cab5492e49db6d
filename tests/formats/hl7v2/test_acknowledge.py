from datetime import UTC, datetime

import pytest

from carelane.domain.delivery import Verdict
from carelane.domain.message import Outcome, Problem
from carelane.formats.hl7v2.acknowledge import acknowledge, judge

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
RAW = b"MSH|^~\\&|EHR|NORTH|CARELANE|HUB|20260101||ADT^A01^ADT_A01|C1|P|2.5.1\rPID|1\r"
PROBLEM = Problem("200", "The type is unknown.", "See the table.", "MSH^1^9^1^1")


def lines(reply: bytes) -> list[str]:
    return reply.decode().rstrip("\r").split("\r")


def with_modes(accept: str, application: str) -> bytes:
    return RAW.replace(b"|2.5.1\r", f"|2.5.1|||{accept}|{application}\r".encode())


def test_a_stored_message_gets_aa_with_its_control_id_back():
    head, msa = lines(acknowledge(RAW, Outcome.STORED, None, NOW, "R1"))
    assert ("MSH|^~\\&|CARELANE|HUB|EHR|NORTH|20260102030405+0000||ACK^A01^ACK|R1|P|2.5.1", "MSA|AA|C1") == (head, msa)


def test_a_refused_message_gets_ar_with_an_err_that_points():
    _, msa, err = lines(acknowledge(RAW, Outcome.REFUSED, PROBLEM, NOW, "R1"))
    assert ("MSA|AR|C1|The type is unknown.", "ERR||MSH^1^9^1^1|200^Unsupported message type^HL70357|E||||See the table.") == (msa, err)


def test_before_version_2_5_err_has_its_old_form():
    reply = acknowledge(RAW.replace(b"2.5.1", b"2.3"), Outcome.REFUSED, PROBLEM, NOW, "R1")
    assert "ERR|MSH^1^9^200&Unsupported message type&HL70357" == lines(reply)[2]


@pytest.mark.parametrize(
    ("accept", "application", "outcome", "code"),
    [("AL", "NE", Outcome.STORED, "CA"), ("", "AL", Outcome.STORED, None), ("NE", "NE", Outcome.STORED, None), ("ER", "", Outcome.STORED, None),
     ("SU", "", Outcome.STORED, "CA"), ("AL", "", Outcome.REFUSED, "CR"), ("ER", "", Outcome.REFUSED, "CR"), ("SU", "", Outcome.REFUSED, None),
     ("AL", "", Outcome.UNAVAILABLE, "CE")],
)  # fmt: skip
def test_enhanced_mode_answers_what_msh_15_asks_for(accept, application, outcome, code):
    problem = None if outcome is Outcome.STORED else PROBLEM if outcome is Outcome.REFUSED else Problem("unavailable", "later")
    reply = acknowledge(with_modes(accept, application), outcome, problem, NOW, "R1")
    assert code == (lines(reply)[1].split("|")[1] if reply else None)


def test_even_bytes_without_an_msh_get_an_answer():
    _, msa, err = lines(acknowledge(b"hello", Outcome.REFUSED, Problem("unreadable", "No MSH."), NOW, "R1"))
    assert ("MSA|AR||No MSH.", True) == (msa, "100^Segment sequence error" in err)


def test_the_senders_own_delimiters_are_used():
    reply = acknowledge(RAW.replace(b"|", b"$"), Outcome.STORED, None, NOW, "R1")
    assert "MSA$AA$C1" == lines(reply)[1]


def ack(code: str, control: str = "C1") -> bytes:
    return f"MSH|^~\\&|R|R|S|S|20260101||ACK|1|P|2.5\rMSA|{code}|{control}\r".encode()


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [(ack("AA"), Verdict.DELIVERED), (ack("CA"), Verdict.DELIVERED), (ack("AR"), Verdict.AGAIN), (ack("CE"), Verdict.AGAIN), (ack("AE"), Verdict.HELD),
     (ack("CR"), Verdict.HELD), (ack("XX"), Verdict.AGAIN), (b"", Verdict.AGAIN), (b"nonsense", Verdict.AGAIN), (ack("AA", "other"), Verdict.AGAIN)],
)  # fmt: skip
def test_an_answer_is_judged(reply, verdict):
    assert verdict is judge(RAW, reply, {}).verdict


def test_an_answer_to_another_message_is_ambiguous():
    assert judge(RAW, ack("AA", "other"), {}).ambiguous


def test_a_destination_may_choose_to_try_again_on_errors():
    assert Verdict.AGAIN is judge(RAW, ack("AE"), {"on_error": "again"}).verdict

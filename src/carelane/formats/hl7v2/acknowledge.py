"""Acknowledgements (HL7 chapter 2, 2.9): what a sender is told, and what a receiver's answer means for a delivery."""

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

from carelane.domain.delivery import Judgement, Verdict
from carelane.domain.errors import Unreadable
from carelane.domain.message import Outcome, Problem
from carelane.formats.hl7v2.escapes import STANDARD, Separators, escape
from carelane.formats.hl7v2.message import first_line, pick, read_separators

# Table 0357, message error condition codes.
_CONDITIONS = {
    "100": "Segment sequence error",
    "101": "Required field missing",
    "102": "Data type error",
    "103": "Table value not found",
    "200": "Unsupported message type",
    "201": "Unsupported event code",
    "202": "Unsupported processing id",
    "203": "Unsupported version id",
    "204": "Unknown key identifier",
    "207": "Application internal error",
}
_OURS = {
    "unreadable": "100",
    "control-id-missing": "101",
    "nul-bytes": "102",
    "unstorable-text": "102",
    "no-subscription": "204",
    "disabled": "204",
    "wrong-environment": "204",
    "question": "200",
}
_VERSION_WITH_LONG_ERR = "2.5"


def acknowledge(raw: bytes, outcome: Outcome, problem: Problem | None, now: datetime, reply_id: str) -> bytes:
    """Write the acknowledgement of a message, in the mode its MSH-15 and MSH-16 ask for; empty when it asks for none.

    ``STORED`` and ``DUPLICATE`` are positive. ``REFUSED`` is AR, in enhanced mode CR for the type and CE for the rest.
    """
    msh, seps = _header(raw)
    positive = outcome in (Outcome.STORED, Outcome.DUPLICATE)
    accept = _value(msh, 15)
    enhanced = bool(accept or _value(msh, 16))
    if enhanced and not _wants(accept, positive=positive):
        return b""
    code = _code(positive=positive, enhanced=enhanced, problem=problem)
    version = _value(msh, 12).split(seps.component)[0] or "2.5"
    trigger = pick(_value(msh, 9), seps.component, 2)
    bar = seps.field
    kind = seps.component.join(["ACK", trigger, "ACK"]) if trigger and version >= "2.3.1" else "ACK"
    header = bar.join(
        [
            "MSH" + bar + seps.msh2,
            _value(msh, 5) or "CARELANE",
            _value(msh, 6),
            _value(msh, 3),
            _value(msh, 4),
            _stamp(now.replace(microsecond=0)),
            "",
            kind,
            reply_id[-20:],
            _value(msh, 11) or "P",
            version,
        ]
    )
    text = escape(problem.text, seps) if problem else ""
    lines = [header, bar.join(["MSA", code, _value(msh, 10)] + ([text] if text else []))]
    if problem:
        lines.append(_err(problem, seps, long=version >= _VERSION_WITH_LONG_ERR))
    return ("\r".join(lines) + "\r").encode("latin-1", "replace")


@lru_cache(4)
def _stamp(second: datetime) -> str:
    """MSH-7; thousands of answers share a second."""
    return second.strftime("%Y%m%d%H%M%S+0000")


def _code(*, positive: bool, enhanced: bool, problem: Problem | None) -> str:
    if positive:
        return "CA" if enhanced else "AA"
    if not enhanced:
        return "AR"
    return "CR" if problem and _number(problem) in ("200", "201", "202", "203") else "CE"


def _number(problem: Problem) -> str:
    return problem.code if problem.code in _CONDITIONS else _OURS.get(problem.code, "207")


def _wants(accept: str, *, positive: bool) -> bool:
    """MSH-15, table 0155."""
    return {"AL": True, "NE": False, "ER": not positive, "SU": positive}.get(accept, False)


def _err(problem: Problem, seps: Separators, *, long: bool) -> str:
    number = _number(problem)
    condition = [number, _CONDITIONS[number], "HL70357"]
    location = problem.location.replace("^", seps.component)
    if not long:
        sub = seps.subcomponent or STANDARD.subcomponent
        parts = [*location.split(seps.component), "", "", ""][:3]
        return seps.field.join(["ERR", seps.component.join([*parts, sub.join(condition)])])
    return seps.field.join(["ERR", "", location, seps.component.join(condition), "E", "", "", "", escape(problem.pointer or problem.text, seps)])


def _header(raw: bytes) -> tuple[list[str], Separators]:
    """Read MSH alone, as Latin-1 so that every byte goes back as it came; an empty one when there is none."""
    start = raw.find(b"MSH", 0, 64)
    try:
        seps = read_separators(raw[start : start + 10] if start >= 0 else b"")
    except Unreadable:
        return ["MSH", "|", STANDARD.msh2], STANDARD
    fields = first_line(raw, start).replace("\0", "").split(seps.field)
    fields.insert(1, seps.field)
    return fields, seps


def _value(msh: list[str], number: int) -> str:
    return msh[number] if number < len(msh) else ""


def judge(sent: bytes, reply: bytes, settings: Mapping[str, Any]) -> Judgement:
    """Say what an acknowledgement means for the delivery it answers.

    AA and CA deliver. AR and CE ask for another try. AE and CR are about the content: ``on_error`` of the destination
    decides (hold by default). An answer to another message is no answer, and its connection must be closed.
    """
    try:
        answer = _msa(reply)
    except Unreadable:
        return Judgement(Verdict.AGAIN, "the answer is no HL7 acknowledgement", ambiguous=True)
    control_id = _value(_header(sent)[0], 10)
    if _value(answer, 2) != control_id:
        return Judgement(Verdict.AGAIN, "the acknowledgement is for another message (MSA-2 differs from MSH-10)", ambiguous=True)
    code = _value(answer, 1).strip().upper()
    if code in ("AA", "CA"):
        return Judgement(Verdict.DELIVERED, code)
    if code in ("AR", "CE"):
        return Judgement(Verdict.AGAIN, f"the receiver answered {code}: rejected or unable for now")
    if code in ("AE", "CR"):
        again = settings.get("on_error") == "again"
        return Judgement(Verdict.AGAIN if again else Verdict.HELD, f"the receiver answered {code}: it found an error in the message")
    return Judgement(Verdict.AGAIN, "the acknowledgement code in MSA-1 is unknown", ambiguous=True)


def _msa(reply: bytes) -> list[str]:
    start = reply.find(b"MSH", 0, 64)
    seps = read_separators(reply[start : start + 10] if start >= 0 else b"")
    for line in reply.decode("latin-1").replace("\n", "\r").split("\r"):
        if line.startswith("MSA" + seps.field):
            return line.split(seps.field)
    raise Unreadable("no MSA segment")

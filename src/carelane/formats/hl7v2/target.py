"""What a destination wants of HL7 v2 beyond the map: its message for an event, its version, its character set, a message for each order."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from carelane.domain.errors import Unmappable
from carelane.formats.hl7v2.charset import CODECS
from carelane.formats.hl7v2.triggers import trigger_table

Version = Literal["2.1", "2.2", "2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.7.1", "2.8", "2.8.1", "2.8.2", "2.9"]
Charset = Literal["ASCII", "8859/1", "8859/2", "8859/3", "8859/4", "8859/5", "8859/6", "8859/7", "8859/8", "8859/9", "8859/15", "UNICODE UTF-8"]
USUAL_CHARSET: Charset = "UNICODE UTF-8"
_STRUCTURES_SINCE = "2.3.1"
"""MSH-9.3 names the structure since this version."""


def check_messages(chosen: Mapping[str, str]) -> None:
    """Check a destination's choice of messages: a data model, or a model and event, to code and trigger.

    Raises:
        ValueError: a message the trigger table does not know, or one that carries another data model.
    """
    for name, message in chosen.items():
        code, _, trigger = message.partition("^")
        line = trigger_table().get(code, {}).get(trigger)
        if line is None:
            raise ValueError(f"{message} is no message of the trigger table; write one such as OML^O21")
        model = name.split(".", 1)[0]
        if line.model != model:
            raise ValueError(f"{message} carries {line.model}, not {model}")


def chosen_message(settings: Mapping[str, Any], model: str, event: str) -> tuple[str, str] | None:
    """Return the code and trigger a destination wants for an event; None leaves it to the document."""
    wanted = settings.get("messages")
    found = (wanted.get(f"{model}.{event}") or wanted.get(model)) if isinstance(wanted, Mapping) else None
    if not found:
        return None
    code, _, trigger = str(found).partition("^")
    return code, trigger


def message_type(code: str, trigger: str, version: str) -> str:
    """Return MSH-9; its structure only where the version has that component."""
    line = trigger_table()[code].get(trigger)
    structure = line.structure if line and version >= _STRUCTURES_SINCE else ""
    return f"{code}^{trigger}^{structure}".rstrip("^")


def control_id(message_id: str, version: str, number: int, count: int) -> str:
    """Return MSH-10: at most 20 characters before version 2.7; one of several messages is numbered."""
    suffix = f"-{number}" if count > 1 else ""
    return f"{message_id}{suffix}" if version >= "2.7" else message_id[-(20 - len(suffix)) :] + suffix


def apart(lines: Sequence[str], first_of_order: str = "ORC") -> list[list[str]]:
    """Return the lines of one message per order: what stands before the first order, then one order's own segments and the specimen it follows."""
    start = first_of_order if any(line.startswith(first_of_order) for line in lines) else "OBR"
    starts = [at for at, line in enumerate(lines) if line.startswith(start)]
    if len(starts) < 2:
        return [list(lines)]
    first = _specimen(lines, starts[0])
    specimen: Sequence[str] = ()
    groups: list[list[str]] = []
    ends = [_specimen(lines, at) if first < starts[0] else at for at in starts[1:]]
    for begin, end in zip(starts, [*ends, len(lines)], strict=True):
        if first < starts[0]:  # specimens lead: an order's is the one before it, or that of the order before
            specimen = lines[_specimen(lines, begin) : begin] or specimen
        groups.append([*lines[:first], *specimen, *(_first(line) for line in lines[begin:end])])
    return groups


def _specimen(lines: Sequence[str], at: int) -> int:
    """Where the specimen that stands right before a line begins."""
    while at and lines[at - 1][:3] in ("SPM", "SAC"):
        at -= 1
    return at


def specimens_first(lines: Sequence[str]) -> list[str]:
    """Put the specimen of every order before it, and once where several orders in turn are of the same."""
    out: list[str] = []
    last: list[str] = []
    start = "ORC" if any(line.startswith("ORC") for line in lines) else "OBR"
    starts = [at for at, line in enumerate(lines) if line.startswith(start)]
    if not starts:
        return list(lines)
    out += lines[: starts[0]]
    for begin, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        specimen = [line for line in lines[begin:end] if line.startswith("SPM")]
        out += specimen if specimen != last else []
        last = specimen or last
        out += [line for line in lines[begin:end] if not line.startswith("SPM")]
    return out


def requests_first(lines: Sequence[str]) -> list[str]:
    """Put the OBR of every order before its ORC."""
    out: list[str] = []
    head: int | None = None
    for line in lines:
        if line.startswith("ORC"):
            head = len(out)
        if line.startswith("OBR") and head is not None:
            out.insert(head, line)
            head = None
        else:
            out.append(line)
    return out


def _first(line: str) -> str:
    """An order alone in its message is the first one."""
    name, mark, rest = line.partition("|")
    number, more, others = rest.partition("|")
    return f"{name}|1{more}{others}" if name == "OBR" and mark and number else line


def encoded(text: str, charset: str) -> bytes:
    """Write text in a destination's character set.

    Raises:
        Unmappable: it has characters the set lacks; nothing is put in their place.
    """
    try:
        return text.encode(CODECS[charset] or "utf-8")
    except UnicodeEncodeError:
        raise Unmappable(f"the message has characters that {charset} does not have; choose {USUAL_CHARSET} for this destination") from None

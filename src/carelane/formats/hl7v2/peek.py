"""The heading of a message: what routing, finding and answering need, from a lazy look at a few fields."""

from collections.abc import Mapping
from typing import Any

from carelane.domain.message import Heading, Problem
from carelane.formats.hl7v2.message import NULL, Message, parse
from carelane.formats.hl7v2.triggers import codes, find_trigger, resolve, trigger_table
from carelane.models.fhir import also_told

_MOST_TOKENS = 40
_MOST_TEXT = 200
_NAMELESS = Problem(
    "control-id-missing",
    "MSH-10 (message control id) is empty.",
    "Send an id of its own with every message; without it no acknowledgement can say which message it answers.",
    "MSH^1^10",
)


def peek(raw: bytes, settings: Mapping[str, Any]) -> Heading:
    """Read the heading.

    Raises:
        Unreadable: there is no MSH segment to read it from.
    """
    if b"\0" in raw:
        return Heading(
            problem=Problem(
                "nul-bytes",
                "The message contains NUL bytes, which HL7 v2 does not allow.",
                "Remove them at the sender, or check for a binary attachment sent as text.",
                "MSH^1",
            ),
            kind="HL7v2",
        )
    message = parse(raw, str(settings.get("charset_fallback") or "cp1252"))
    code, event = codes(message)
    control_id = clean(message.value("MSH", 10))
    common: dict[str, Any] = {
        "control_id": control_id,
        "event_time": clean(message.value("MSH", 7)),
        "test": (message.value("MSH", 11) or "P") != "P",
        "kind": clean(f"{code}^{event}" if event else code),
        "search": tuple(_search(message, control_id)),
    }
    overrides = settings.get("triggers")
    trigger = find_trigger(code, event, overrides if isinstance(overrides, dict) else None)
    if trigger is None:
        return Heading(problem=_unknown(code, event), **common)
    trigger = resolve(trigger, message)
    event_type = trigger.events[0] if trigger.events else None
    return Heading(
        data_model=trigger.model, event_type=event_type, also=also_told(trigger.model, event_type), problem=None if control_id else _NAMELESS, **common
    )


def _unknown(code: str, event: str) -> Problem:
    if not code:
        return Problem("101", "MSH-9 (message type) is empty.", "Send the message code and trigger event in MSH-9, such as ADT^A01^ADT_A01.", "MSH^1^9")
    if code not in trigger_table():
        return Problem("200", "The message code in MSH-9.1 is not one this hub knows.", "See the trigger table in the documentation.", "MSH^1^9^1^1")
    return Problem("201", "The trigger event in MSH-9.2 is missing or not one this hub knows.", "See the trigger table in the documentation.", "MSH^1^9^1^2")


def _search(message: Message, control_id: str | None) -> list[tuple[str, str]]:
    """What people look messages up by: patient identifiers, visit and order numbers, the control id."""
    found: list[tuple[str, str]] = [("control", control_id)] if control_id else []
    raw = message.field("PID", 3) or message.field("PID", 2)
    for repetition in raw.split(message.seps.repetition, 20)[:20] if raw else ():
        if (value := message.leaf(repetition)) and value != NULL:
            found.append(("patient", value))
    for name in ("ORC", "OBR"):
        for segment in message.by_name.get(name, [])[:10] if message.mentions(name) else ():
            for number in (2, 3):
                if (value := message.leaf(segment.field(number))) and value != NULL:
                    found.append(("order", value))
    if (visit := message.value("PV1", 19)) and visit != NULL:
        found.append(("visit", visit))
    return list(dict.fromkeys(found))[:_MOST_TOKENS]


def clean(text: str | None) -> str | None:
    """Make a header value fit for display and storage: printable, short, never an explicit null."""
    if not text or text == NULL:
        return None
    shown = text[:_MOST_TEXT]
    if not shown.isprintable():
        shown = "".join(character if character.isprintable() else " " for character in shown)
    return shown.strip() or None

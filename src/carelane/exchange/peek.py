"""The first look at a message: its heading, or why there is none. What a format does wrong here stays with this message."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from carelane.domain.errors import Unreadable
from carelane.domain.message import Heading, Problem
from carelane.exchange.ports import Format

_TEXTS = {"data_model": "data model", "event_type": "event type", "control_id": "control id", "event_time": "time", "kind": "kind"}


class Seen(NamedTuple):
    """The heading as the store can keep it; its ``problem`` says why nobody can be told about the message."""

    heading: Heading
    readable: bool = True


def look(words: Format, raw: bytes, settings: Mapping[str, Any]) -> Seen:
    """Read the heading of a message, cheaply; never raises for content, nor for a fault of the format."""
    try:
        heading = words.peek(raw, settings)
    except Unreadable as error:
        text = str(error)
        pointer = "It was stored; look at it under Messages, unreadable."
        return Seen(Heading(problem=Problem("unreadable", text[:1].upper() + text[1:] + ".", pointer)), readable=False)
    except Exception as error:  # a plug-in's fault is its message's trouble and nobody else's
        return Seen(Heading(problem=fault("reading", error)), readable=False)
    bad = [name for name in _TEXTS if not _storable(getattr(heading, name))]
    return Seen(_without(heading, bad) if bad else heading)


def fault(doing: str, error: Exception) -> Problem:
    """Say that the hub itself failed; the error's kind is told, its text could quote content."""
    return Problem(
        "fault",
        f"The hub failed at {doing} this message ({type(error).__name__}).",
        "It was kept as it came. Tell the hub's operator its id: once the fault is mended it can be replayed.",
        status=500,
    )


def _storable(value: object) -> bool:
    """PostgreSQL keeps every character but NUL, and no half of a surrogate pair."""
    if value is None:
        return True
    if not isinstance(value, str):
        return False
    return value.isprintable() or ("\0" not in value and not any("\ud800" <= character <= "\udfff" for character in value))


def _without(heading: Heading, bad: list[str]) -> Heading:
    problem = Problem(
        "unstorable-text",
        f"The {_TEXTS[bad[0]]} of this message holds a character that no text may hold: NUL, or half a surrogate pair.",
        "Remove it at the sender and send the message again. This one was kept as it came.",
    )
    blank: dict[str, Any] = dict.fromkeys(bad)
    return replace(heading, problem=problem, **blank)

"""What event types are: which of them are questions, which answer one, and the nearest to a name nobody knows."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import cache

from carelane.models.schemas import model_events

_ANSWER = "Response"
_ASKING = ("Query", "Request")


@cache
def questions(model: str) -> Mapping[str, str]:
    """Return the event types of a model that ask for an answer, each with the event type that answers it."""
    events = model_events().get(model, ())
    named = {event: event + _ANSWER for event in events if event + _ANSWER in events}
    return named | {event: _ANSWER for event in events if event in _ASKING and _ANSWER in events}


def is_question(model: str | None, event: str | None) -> bool:
    """Say whether an event type asks for an answer, which no one-way delivery can give."""
    return event in questions(model or "")


def nearest(name: str, known: Sequence[str]) -> tuple[str, ...]:
    """Return up to three known names that somebody who wrote this one may have meant, the best first."""
    spellings = {one.casefold(): one for one in known}
    return tuple(spellings[one] for one in get_close_matches(name[:100].casefold(), spellings, 3, 0.6))

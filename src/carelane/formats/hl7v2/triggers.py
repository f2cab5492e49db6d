"""Which data model and event a message carries: MSH-9 and the trigger table, with the few choices that need content."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from carelane.formats.hl7v2.message import Message

_TABLE = Path(__file__).parent / "maps" / "triggers.yaml"


@dataclass(frozen=True, slots=True)
class Trigger:
    """One line of the table."""

    model: str
    structure: str
    events: tuple[str, ...] = ()
    canceled: str | None = None
    rule: str | None = None
    hold: str | None = None


@cache
def trigger_table() -> Mapping[str, Mapping[str, Trigger]]:
    """Return code → trigger → line; the trigger ``*`` stands for every other trigger of a code without a map."""
    loaded = yaml.safe_load(_TABLE.read_text())
    return {code: _family(code, family) for code, family in loaded.items()}


def _family(code: str, family: Mapping[str, object]) -> Mapping[str, Trigger]:
    model, structure = str(family["model"]), str(family.get("structure", ""))
    events = family.get("events")
    if not isinstance(events, dict):
        return {"*": Trigger(model, structure, hold=f"there is no map for {code} messages yet; subscribe natively")}
    return {name: _line(model, structure, line) for name, line in events.items()}


def _line(model: str, structure: str, line: Mapping[str, object]) -> Trigger:
    event = line.get("event")
    events = tuple(event) if isinstance(event, list) else (str(event),) if event else ()
    text = {name: str(line[name]) for name in ("canceled", "rule", "hold") if name in line}
    return Trigger(model, str(line.get("structure", structure)), events, text.get("canceled"), text.get("rule"), text.get("hold"))


def codes(message: Message) -> tuple[str, str]:
    """Return message code and trigger event; a missing trigger is taken from EVN-1 (old senders)."""
    code = (message.get("MSH", 9, 1) or "").strip().upper()
    event = (message.get("MSH", 9, 2) or "").strip().upper()
    if not event and code == "ADT":
        event = (message.get("EVN", 1) or "").strip().upper()
    return code, event


def find_trigger(code: str, event: str, overrides: Mapping[str, str] | None = None) -> Trigger | None:
    """Return the table's line; ``overrides`` is a source's own choice of event type per trigger, such as A04 → Arrival."""
    family = trigger_table().get(code)
    if family is None:
        return None
    line = family.get(event) or family.get("*")
    chosen = (overrides or {}).get(f"{code}^{event}")
    if line is not None and chosen:
        return Trigger(line.model, line.structure, (chosen,), line.canceled)
    return line


def events_of(trigger: Trigger, message: Message) -> tuple[str, ...]:
    """Return the event types of this very message."""
    if trigger.rule in _RULES:
        return _RULES[trigger.rule](trigger, message)
    return trigger.events


def canceled_event(trigger: Trigger, message: Message) -> str | None:
    """Return what a Cancel undoes: registering, not arriving, for outpatients and emergencies."""
    if trigger.rule == "cancel_arrival_or_registration" and message.get("PV1", 2) in ("O", "E"):
        return "Registration"
    return trigger.canceled


def _visit_or_patient(_: Trigger, message: Message) -> tuple[str, ...]:
    """A08 during a visit updates the visit; without one it updates the patient."""
    during = message.get("PV1", 19) or (message.get("PV1", 44) and not message.get("PV1", 45))
    return ("VisitUpdate",) if during else ("PatientUpdate",)


def _placer_number(_: Trigger, message: Message) -> tuple[str, ...]:
    """Results answer an order when a placer's number is there; else nobody asked for them."""
    placed = any(message.leaf(segment.field(2)) for name in ("OBR", "ORC") for segment in message.by_name.get(name, ()))
    return ("New",) if placed else ("NewUnsolicited",)


_RULES: Mapping[str | None, Callable[[Trigger, Message], tuple[str, ...]]] = {
    "visit_or_patient": _visit_or_patient,
    "placer_number": _placer_number,
}

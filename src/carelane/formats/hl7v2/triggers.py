"""Which data model and event a message carries: MSH-9 and the trigger table, with the few choices that need content."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import yaml

from carelane.formats.hl7v2.message import NULL, Message

_TABLE = Path(__file__).parent / "maps" / "triggers.yaml"
_BINARY = ("ED", "RP")
_PROFILES = {"Z34": "Vaccination", "Z44": "Vaccination"}


@dataclass(frozen=True, slots=True)
class Trigger:
    """One line of the table."""

    model: str
    structure: str
    events: tuple[str, ...] = ()
    canceled: str | None = None
    rule: str | None = None
    hold: str | None = None
    split: str | None = None


@cache
def trigger_table() -> Mapping[str, Mapping[str, Trigger]]:
    """Return code → trigger → line; the trigger ``*`` stands for every other trigger of a code."""
    loaded = yaml.load(_TABLE.read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506  (the safe loader, in C)
    return {code: _family(family) for code, family in loaded.items()}


def _family(family: Mapping[str, object]) -> Mapping[str, Trigger]:
    model, structure = str(family["model"]), str(family.get("structure", ""))
    events = family["events"]
    return {str(name): _line(model, structure, line) for name, line in events.items()} if isinstance(events, dict) else {}


def _line(model: str, structure: str, line: Mapping[str, object]) -> Trigger:
    event = line.get("event")
    events = tuple(event) if isinstance(event, list) else (str(event),) if event else ()
    text = {name: str(line[name]) for name in ("canceled", "rule", "hold", "split") if name in line}
    model, structure = str(line.get("model", model)), str(line.get("structure", structure))
    return Trigger(model, structure, events, text.get("canceled"), text.get("rule"), text.get("hold"), text.get("split"))


def codes(message: Message) -> tuple[str, str]:
    """Return message code and trigger event; a missing trigger is taken from EVN-1 (old senders), is the code's only one or the only one of the structure
    that MSH-9.3 names.
    """
    code = (message.value("MSH", 9, 1) or "").strip().upper()
    event = (message.value("MSH", 9, 2) or "").strip().upper()
    if not event and code == "ADT":
        event = (message.value("EVN", 1) or "").strip().upper()
    if not event:
        lines, structure = trigger_table().get(code, {}), (message.value("MSH", 9, 3) or "").strip().upper()
        known = [trigger for trigger, line in lines.items() if len(lines) == 1 or (structure and line.structure == structure)]
        event = known[0] if len(known) == 1 else ""
    return code, event


def find_trigger(code: str, event: str, overrides: Mapping[str, str] | None = None) -> Trigger | None:
    """Return the table's line. ``overrides`` is a source's own choice per trigger: an event (A04 → Arrival), or a model and event
    (``SIU^S12`` → ``SurgicalScheduling.New``); a trigger ``*`` stands for all of a code.
    """
    family = trigger_table().get(code)
    if family is None:
        return None
    line = family.get(event) or family.get("*")
    chosen = (overrides or {}).get(f"{code}^{event}") or (overrides or {}).get(f"{code}^*")
    if line is None or not chosen:
        return line
    model, dot, name = chosen.rpartition(".")
    if name == "*":  # another model, the event as the table has it
        return replace(line, model=model, split=None)
    return Trigger(model if dot else line.model, line.structure, (name,), line.canceled, split=line.split if not dot else None)


def resolve(trigger: Trigger, message: Message) -> Trigger:
    """Return the line with the model and events of this very message."""
    rule = _RULES.get(trigger.rule)
    return rule(trigger, message) if rule is not None else trigger


def canceled_event(trigger: Trigger, message: Message) -> str | None:
    """Return what a Cancel undoes: registering, not arriving, for outpatients and emergencies."""
    if trigger.rule == "cancel_arrival_or_registration" and message.value("PV1", 2) in ("O", "E"):
        return "Registration"
    return trigger.canceled


def _visit_or_patient(trigger: Trigger, message: Message) -> Trigger:
    """A08 during a visit updates the visit; without one it updates the patient."""
    during = message.value("PV1", 19) or (message.value("PV1", 44) and not message.value("PV1", 45))
    return replace(trigger, events=("VisitUpdate",) if during else ("PatientUpdate",))


def _placer_number(trigger: Trigger, message: Message) -> Trigger:
    """Results answer an order when a placer's number is there; else nobody asked for them."""
    if trigger.model != "Results":
        return trigger
    placed = any((message.leaf(segment.field(2)) or NULL) != NULL for name in ("OBR", "ORC") for segment in message.by_name.get(name, ()))
    return replace(trigger, events=("New",) if placed else ("NewUnsolicited",))


def _filler_status(trigger: Trigger, message: Message) -> Trigger:
    """SCH-25 (table 0278) says more than the trigger."""
    status = ((message.value("SCH", 25, 1) or "") + " " + (message.value("SCH", 25, 2) or "")).casefold().replace("-", "").replace(" ", "")
    if "noshow" in status:
        return replace(trigger, events=("NoShow",))
    return replace(trigger, events=("Cancel",)) if "cancel" in status else trigger


_ORDER_EVENTS = (
    ("New", frozenset({"NW", "SN", "PA", "CH", ""})),
    ("Cancel", frozenset({"CA", "OC", "CR", "DC", "OD", "DR", "DF"})),
)


def _ordered(control: str) -> str:
    return next((event for event, known in _ORDER_EVENTS if control in known), "Update")


def _order_control(trigger: Trigger, message: Message) -> Trigger:
    """One order is New, Update or Cancel by ORC-1 (table 0119); several travel together; an order of a drug is Medications."""
    if message.by_name.get("RXO") and trigger.model == "Order":
        return _drug_control(replace(trigger, model="Medications", split="@drugs"), message)
    orders = message.by_name.get("ORC", ())
    if len(orders) > 1 or len(message.by_name.get("OBR", ())) > 1:
        return replace(trigger, events=("GroupedOrders",))
    return replace(trigger, events=(_ordered(message.value("ORC", 1) or ""),))


def _drug_control(trigger: Trigger, message: Message) -> Trigger:
    return replace(trigger, events=(_ordered(message.value("ORC", 1) or ""),))


def _note_or_file(trigger: Trigger, message: Message) -> Trigger:
    """A document whose content is a file is Media, one of text is Notes."""
    binary = any(segment.field(2).strip().upper() in _BINARY for segment in message.by_name.get("OBX", ()))
    return replace(trigger, model="Media", split="@files") if binary and trigger.model == "Notes" else trigger


def _master_control(trigger: Trigger, message: Message) -> Trigger:
    """MFE-1, table 0180."""
    action = (message.value("MFE", 1) or "").upper()
    event = {"MUP": "Update", "MDC": "Deactivate", "MDL": "Deactivate", "MAC": "Activate"}.get(action, "New")
    return replace(trigger, events=(event,))


def _query_profile(trigger: Trigger, message: Message) -> Trigger:
    """QBP^Q11 says by its profile (MSH-21, QPD-1) what is asked for."""
    named = {message.value("MSH", 21, 1), message.value("QPD", 1, 1)}
    known = next((model for profile, model in _PROFILES.items() if profile in named), None)
    if known is None and any(name and "lab" in name.casefold() for name in named):
        return replace(trigger, model="Results", events=("Query",))
    return trigger


_RULES: Mapping[str | None, Callable[[Trigger, Message], Trigger]] = {
    "visit_or_patient": _visit_or_patient,
    "placer_number": _placer_number,
    "filler_status": _filler_status,
    "order_control": _order_control,
    "drug_control": _drug_control,
    "note_or_file": _note_or_file,
    "master_control": _master_control,
    "query_profile": _query_profile,
}


def split_event(trigger: Trigger, group: Mapping[str, list[object]], message: Message) -> str:
    """Return the event of one group of a message that is split: each order by its own ORC-1, each entry by its own MFE-1."""
    if trigger.rule in ("drug_control", "order_control"):
        return _ordered(_own(group, "ORC", message))
    if trigger.rule == "master_control":
        action = _own(group, "MFE", message)
        return {"MUP": "Update", "MDC": "Deactivate", "MDL": "Deactivate", "MAC": "Activate"}.get(action, "New")
    return trigger.events[0]


def _own(group: Mapping[str, list[object]], name: str, message: Message) -> str:
    found = group.get(name)
    text = (message.leaf(found[0].field(1)) or "") if found else ""  # type: ignore[attr-defined]
    return "" if text == NULL else text.upper()

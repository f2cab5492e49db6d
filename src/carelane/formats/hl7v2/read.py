"""HL7 v2 → documents: one per patient group and event, with everything that could not be carried over named."""

from collections.abc import Mapping
from datetime import tzinfo
from functools import cache, lru_cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from carelane.domain.errors import Unreadable
from carelane.domain.message import Converted, Issue, Leftovers
from carelane.formats.hl7v2 import queries
from carelane.formats.hl7v2.groups import STRUCTURES, patient_groups
from carelane.formats.hl7v2.leftovers import Covered, collect, listed, open_fields
from carelane.formats.hl7v2.message import Message, parse
from carelane.formats.hl7v2.overlays import InUse, overlay_in_use
from carelane.formats.hl7v2.packs import LED, ORDERED, compiled_map, map_of, misfits_of, pack_name
from carelane.formats.hl7v2.scope import Context, Scope
from carelane.formats.hl7v2.shape import fit
from carelane.formats.hl7v2.times import own_zone, to_datetime
from carelane.formats.hl7v2.triggers import Trigger, canceled_event, codes, find_trigger, resolve, split_event
from carelane.mapping.runtime import Run

# Fields that code reads rather than rows, and the set ids: never left over.
_SET_ID = frozenset({1})
_NUMBERED = ("PID", "NK1", "PV1", "AL1", "DG1", "GT1", "IN1", "OBR", "OBX", "NTE", "FT1", "PR1", "AIS", "AIG", "AIL", "AIP", "RGS", "IAM", "TXA")
_HANDLED: Mapping[str, frozenset[int]] = {
    "MSH": frozenset({1, 2, 7, 9, 18}),
    "QPD": frozenset({3, 4, 5, 6, 7, 8, 9}),
    "QRD": frozenset({8}),
    **dict.fromkeys(_NUMBERED, _SET_ID),
}
_MODES = ("P", "T")
"""MSH-11 as it is written for ``Meta.Test``."""


def read(raw: bytes, settings: Mapping[str, Any], leftovers: Leftovers = Leftovers.NONE) -> list[Converted]:
    """Convert a message into its documents, in order, with the leftovers asked for, leaf by leaf.

    Raises:
        Unreadable: no MSH, an unknown type, or a type without a map or an event; the reason says which.
        Unmappable: a required row failed, or an overlay does not fit its map or asks for too much.
    """
    return [found for found, _ in traced(raw, settings, leftovers)]


def traced(raw: bytes, settings: Mapping[str, Any], leftovers: Leftovers) -> list[tuple[Converted, Run]]:
    """The same, with what every row delivered where leftovers are carried."""
    message = parse(raw, str(settings.get("charset_fallback") or "cp1252"))
    context = _context(message, settings)
    groups = patient_groups(message, context)
    trigger, shown = trigger_of(message, settings)
    overlay = overlay_in_use(settings, len(raw), len(message.segments))
    pairs = _pairs(groups, trigger)
    whole = overlay is None and len(groups) == len(pairs) == 1
    carry = leftovers is Leftovers.CARRY or (leftovers is Leftovers.WHERE_NEEDED and not whole)
    found = [_convert(scope, event, trigger, shown, overlay, carry=carry) for scope, event in pairs]
    if trigger.model == "PatientSearch" and len(found) > 1:
        found = [queries.potential_matches(found)]
    if len(found) > 1:
        _number([one.document for one, _ in found], [scope for scope, _ in pairs])
    _share([one for one, _ in found], len(groups), trigger, context)
    if whole:
        found[0][0].parsed = context
    return found


def trigger_of(message: Message, settings: Mapping[str, Any]) -> tuple[Trigger, str]:
    """Return the line of the trigger table for a message, and its code and trigger as text.

    Raises:
        Unreadable: there is none, it has no event, or there is no map for its model.
    """
    code, event = codes(message)
    overrides = settings.get("triggers")
    trigger = find_trigger(code, event, overrides if isinstance(overrides, dict) else None)
    if trigger is None:
        raise Unreadable("MSH-9 names a message type this hub does not know")
    trigger = resolve(trigger, message)
    if not trigger.events:
        raise Unreadable(trigger.hold or f"{code}^{event} has no event in the data models")
    if pack_name(trigger.model, trigger.events[0]) is None:
        raise Unreadable(f"there is no HL7 v2 map for {trigger.model}.{trigger.events[0]}")
    return trigger, f"{code}^{event}"


def _context(message: Message, settings: Mapping[str, Any]) -> Context:
    named = settings.get("time_zone")
    zone: tzinfo | None = ZoneInfo(str(named)) if named else own_zone(message.value("MSH", 7))
    return Context(message, zone)


def _pairs(groups: list[Scope], trigger: Trigger) -> list[tuple[Scope, str]]:
    """Merges, swaps and results may name several patients: each gets a document. In other ADT the first PID counts."""
    events = trigger.events
    if trigger.rule == "two_patients":
        return [(scope, events[0]) for scope in groups]
    many = trigger.model != "PatientAdmin" or any(event in ("PatientMerge", "VisitMerge") for event in events)
    scopes = groups if many else groups[:1]
    if trigger.split is None:
        return [(scope, event) for scope in scopes for event in events]
    pairs = []
    for scope in scopes:
        for part in _parts(scope, trigger.split):
            pairs.append((part, split_event(trigger, part.segments, part.context.message)))  # type: ignore[arg-type]
    return pairs


def _number(found: list[dict[str, Any]], scopes: list[Scope]) -> None:
    """Say in each of several documents which it is: the patient's number in the message, and its own among that patient's."""
    counts: dict[int, int] = {}
    patients: dict[int, int] = {}
    for one, scope in zip(found, scopes, strict=True):
        patient = patients.setdefault(id(scope.first("PID")), len(patients) + 1)
        counts[patient] = counts.get(patient, 0) + 1
        one["Meta"]["Extensions"]["v2-part"] = {"url": "urn:carelane:extension:v2-part", "string": f"{patient}.{counts[patient]}"}


def _parts(scope: Scope, walk: str) -> list[Scope]:
    """Return one scope a group; each sees what stands outside all groups, and itself."""
    groups = STRUCTURES[walk](scope)
    if len(groups) < 2:  # of one file only its own OBX speak; what else the message says of it stays in sight
        return [scope.within({"OBX": one.segments["OBX"]}, 0, scope.members) for one in groups] if walk == "@files" and groups else [scope]
    found = []
    for group in groups:
        others = {id(segment) for one in groups if one is not group for segment in one.members}
        members = [segment for segment in scope.members if id(segment) not in others]
        found.append(scope.within(group.segments, group.number, members))
    return found


def _convert(scope: Scope, event: str, trigger: Trigger, shown: str, overlay: InUse | None, *, carry: bool) -> tuple[Converted, Run]:
    message = scope.context.message
    run = Run(issues=list(message.issues), members=scope.members, meter=overlay.meter if overlay else None)
    document: dict[str, Any] = {"Meta": _meta(scope, event, trigger, shown)}
    name = pack_name(trigger.model, event) or ""
    found = overlay.map_of(trigger.model, event) if overlay else map_of(trigger.model, event)
    if found is None:
        raise Unreadable(f"there is no HL7 v2 map for {trigger.model}.{event}")
    program = found.compiled.trace if carry else found.compiled.program
    program(queries.prepared(scope, name), document, run)
    unfitting = overlay.misfits_of(name, trigger.model, event) if overlay else misfits_of(name, trigger.model, event)
    fit(document, trigger.model, event, unfitting, run.issues)
    told = _told(scope, shown, carry=carry)
    if carry:
        orders = [group.members for group in STRUCTURES[found.orders](scope)] if found.orders and trigger.model in ORDERED else []
        left, unmapped = collect(scope, run, _handled(told), found, orders, always=trigger.model in LED)
    else:
        left, unmapped = listed(scope, run, open_fields(found.covered, _handled(told)) if overlay else _open_fields(name, told), found.every)
    extensions = document["Meta"]["Extensions"]
    extensions.update(left)
    if run.nulls:
        extensions["explicit-nulls"] = {"url": "urn:carelane:extension:explicit-nulls", "strings": sorted(set(run.nulls))}
    return Converted(document, run.issues, unmapped), run


class _Told(NamedTuple):
    """What ``Meta`` tells of a message's head: the processing mode, of EVN the trigger and the field its time is in (0: none).

    ``asked``: it is an answer that repeats its question.
    """

    mode: bool
    trigger: bool
    time: int
    asked: bool
    carry: bool


def _told(scope: Scope, shown: str, *, carry: bool) -> _Told:
    message = scope.context.message
    mode = message.segments[0].field(11)
    number = 6 if message.value("EVN", 6) else 2
    moment = message.value("EVN", number)
    return _Told(
        mode in _MODES or (mode.isalpha() and not carry),
        message.value("EVN", 1) == shown.partition("^")[2],
        number if moment and isinstance(to_datetime(moment, scope), str) else 0,
        bool(message.by_name.get("PID") and message.by_name.get("QPD")),
        carry,
    )


@cache
def _handled(told: _Told) -> Mapping[str, frozenset[int]]:
    """Return by segment the fields that code reads or ``Meta`` tells.

    Carried, MSH-7 is the sender's own: its zone is that of every time without one (HL7 v2, chapter 2, MSH-7).
    """
    head = _HANDLED["MSH"] - {7} if told.carry else _HANDLED["MSH"]
    event = frozenset(number for number in (int(told.trigger), told.time) if number)
    found = {**_HANDLED, "MSH": head | {11} if told.mode else head, "EVN": event}
    if told.asked:
        del found["QPD"]
    return found


@lru_cache(512)
def _open_fields(pack: str, told: _Told) -> Covered:
    return open_fields(compiled_map(pack).covered, _handled(told))


def _meta(scope: Scope, event: str, trigger: Trigger, shown: str) -> dict[str, Any]:
    message = scope.context.message
    moment = next((text for text in (message.value("EVN", 6), message.value("EVN", 2), message.value("MSH", 7)) if text), None)
    meta: dict[str, Any] = {"DataModel": trigger.model, "EventType": event}
    if moment and isinstance(value := to_datetime(moment, scope), str):
        meta["EventDateTime"] = value
    meta["Test"] = (message.value("MSH", 11) or "P") != "P"
    if event == "Cancel" and (canceled := canceled_event(trigger, message)):
        meta["CanceledEvent"] = canceled
    meta["Extensions"] = {"v2-trigger": {"url": "urn:carelane:extension:v2-trigger", "string": shown}}
    return meta


def _share(found: list[Converted], groups: int, trigger: Trigger, context: Context) -> None:
    """Report what concerns the whole message."""
    first_only = trigger.model == "PatientAdmin" and trigger.rule != "two_patients" and not {"PatientMerge", "VisitMerge"} & set(trigger.events)
    if groups > 1 and first_only:
        found[0].issues.append(Issue("error", "multiple-patients", source="PID", text="only the first patient of this event was read"))
        found[0].unmapped.extend(f"PID[{number}]" for number in range(2, groups + 1))
    for one in found:
        one.issues.extend(context.noted)
    if context.zoneless:
        for one in found:
            one.issues.append(Issue("information", "no-zone", source="MSH-7", text="times carry no zone; they are the sender's own clock"))

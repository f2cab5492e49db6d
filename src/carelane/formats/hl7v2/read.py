"""HL7 v2 → documents: one per patient group and event, with everything that could not be carried over named."""

from collections.abc import Mapping
from datetime import tzinfo
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from carelane.domain.errors import Unreadable
from carelane.domain.message import Converted, Issue
from carelane.formats.hl7v2.edge import Hl7v2Edge
from carelane.formats.hl7v2.groups import patient_groups
from carelane.formats.hl7v2.message import Message, Segment, parse
from carelane.formats.hl7v2.scope import Context, Scope
from carelane.formats.hl7v2.shape import fit
from carelane.formats.hl7v2.times import own_zone, to_datetime
from carelane.formats.hl7v2.triggers import Trigger, canceled_event, codes, events_of, find_trigger
from carelane.mapping.compile import Compiled, Compiler
from carelane.mapping.pack import load_pack, load_tables
from carelane.mapping.runtime import Run

_MAPS = Path(__file__).parent / "maps"
PACKS = {"PatientAdmin": "patientadmin.yaml", "Results": "results.yaml"}
_Z_LIMIT_BYTES, _Z_LIMIT_FIELDS = 64 * 1024, 200
_NAME_ONLY = frozenset({0})
# Read by code rather than by rows; never listed as left over.
_HANDLED = {"MSH": {1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 15, 16, 17, 18, 19, 21}, "EVN": {1, 2, 6}}
_SET_ID = ("PID", "NK1", "PV1", "AL1", "DG1", "GT1", "IN1", "OBR", "OBX", "NTE", "SPM")


@cache
def compiled(model: str) -> Compiled:
    """Return the compiled pack of a data model; compiled once per process."""
    return Compiler(load_pack(_MAPS / PACKS[model], load_tables(_MAPS / "tables.yaml")), Hl7v2Edge()).compile()


@cache
def _known(model: str) -> Mapping[str, frozenset[int]]:
    """Return the fields of every segment that rows or code read, the name and the set ids among them."""
    names = {name for name, _ in compiled(model).reads} | set(_HANDLED) | set(_SET_ID)
    reads = {name: {number for segment, number in compiled(model).reads if segment == name} for name in names}
    return {name: frozenset({0} | found | _HANDLED.get(name, set()) | ({1} if name in _SET_ID else set())) for name, found in reads.items()}


def read(raw: bytes, settings: Mapping[str, Any]) -> list[Converted]:
    """Convert a message into its documents, in order.

    Raises:
        Unreadable: no MSH, an unknown type, or a type without a map or an event; the reason says which.
    """
    message = parse(raw, str(settings.get("charset_fallback") or "cp1252"))
    code, event = codes(message)
    overrides = settings.get("triggers")
    trigger = find_trigger(code, event, overrides if isinstance(overrides, dict) else None)
    if trigger is None:
        raise Unreadable("MSH-9 names a message type this hub does not know")
    events = events_of(trigger, message)
    if not events or trigger.model not in PACKS:
        raise Unreadable(trigger.hold or f"there is no map for {trigger.model} yet")
    context = _context(message, settings)
    groups = patient_groups(message, context)
    pairs = _pairs(groups, events, trigger)
    found = [_convert(scope, name, trigger, f"{code}^{event}") for scope, name in pairs]
    _share(found, len(groups), {id(scope) for scope, _ in pairs}, context)
    return found


def _context(message: Message, settings: Mapping[str, Any]) -> Context:
    zone: tzinfo | None = own_zone(message.get("MSH", 7))
    if zone is None and settings.get("time_zone"):
        zone = ZoneInfo(str(settings["time_zone"]))
    return Context(message, zone)


def _pairs(groups: list[Scope], events: tuple[str, ...], trigger: Trigger) -> list[tuple[Scope, str]]:
    """Merges, swaps and results may name several patients: each gets a document. Elsewhere the first PID counts."""
    if trigger.rule == "two_patients":
        return [(scope, events[0]) for scope in groups]
    many = trigger.model == "Results" or any(event in ("PatientMerge", "VisitMerge") for event in events)
    return [(scope, event) for scope in (groups if many else groups[:1]) for event in events]


def _convert(scope: Scope, event: str, trigger: Trigger, shown: str) -> Converted:
    message = scope.context.message
    run = Run(issues=list(message.issues))
    document: dict[str, Any] = {"Meta": _meta(scope, event, trigger, shown)}
    pack = compiled(trigger.model)
    pack.program(scope, document, run)
    fit(document, trigger.model, event, run.issues)
    unmapped = _leftovers(scope, _known(trigger.model), document, run)
    if run.nulls:
        document["Meta"].setdefault("Extensions", {})["explicit-nulls"] = {"url": "urn:carelane:extension:explicit-nulls", "strings": sorted(set(run.nulls))}
    return Converted(document, run.issues, unmapped)


def _meta(scope: Scope, event: str, trigger: Trigger, shown: str) -> dict[str, Any]:
    message = scope.context.message
    moment = next((text for text in (message.get("EVN", 6), message.get("EVN", 2), message.get("MSH", 7)) if text), None)
    meta: dict[str, Any] = {"DataModel": trigger.model, "EventType": event}
    if moment and isinstance(value := to_datetime(moment, scope), str):
        meta["EventDateTime"] = value
    meta["Test"] = (message.get("MSH", 11) or "P") != "P"
    if event == "Cancel" and (canceled := canceled_event(trigger, message)):
        meta["CanceledEvent"] = canceled
    meta["Extensions"] = {"v2-trigger": {"url": "urn:carelane:extension:v2-trigger", "string": shown}}
    return meta


def _leftovers(scope: Scope, known: Mapping[str, frozenset[int]], document: dict[str, Any], run: Run) -> list[str]:
    """Z-segments go to Extensions; fields nobody asked for are named, never their values."""
    unmapped, size = [], 0
    for segment in scope.members:
        name = segment.name
        if name[0] == "Z":
            size += len(segment.text)
            if size > _Z_LIMIT_BYTES or len(segment.fields) > _Z_LIMIT_FIELDS:
                run.issues.append(Issue("warning", "truncated", source=name, text="too large for Extensions; it stays in the message as received"))
                continue
            document["Meta"].setdefault("Extensions", {}).setdefault(f"v2.{name}", []).append(_z_segment(segment, scope))
            continue
        taken = known.get(name, _NAME_ONLY)
        unmapped += [f"{name}-{number}" for number, raw in enumerate(segment.fields) if raw and number not in taken]
    return list(dict.fromkeys(unmapped))


def _z_segment(segment: Segment, scope: Scope) -> dict[str, Any]:
    separator = scope.context.message.seps.component
    shown: dict[str, Any] = {}
    for number, raw in enumerate(segment.fields):
        if number and raw:
            count = raw.count(separator) + 1
            shown[str(number)] = (
                scope.leaf(raw) if count == 1 else {str(part): text for part in range(1, count + 1) if (text := scope.leaf(raw, part)) is not None}
            )
    return shown


def _share(found: list[Converted], groups: int, used: set[int], context: Context) -> None:
    """Report what concerns the whole message."""
    if groups > len(used):
        found[0].issues.append(Issue("error", "multiple-patients", source="PID", text="only the first patient of this event was read"))
        found[0].unmapped.extend(f"PID[{number}]" for number in range(len(used) + 1, groups + 1))
    if context.zoneless:
        for one in found:
            one.issues.append(Issue("information", "no-zone", source="MSH-7", text="times carry no zone; they are the sender's own clock"))

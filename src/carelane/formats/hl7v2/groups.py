"""Which segments belong together, found tolerantly: order errors are normal, nothing may be attributed to the wrong patient."""

from collections.abc import Callable, Iterable, Mapping

from carelane.formats.hl7v2.message import Message, Segment
from carelane.formats.hl7v2.scope import Context, Scope

_HEAD = ("MSH", "SFT", "UAC", "EVN")
_ORDER_STARTS = ("ORC", "OBR")


def index(segments: Iterable[Segment]) -> dict[str, list[Segment]]:
    """Return segments under their names, in order."""
    found: dict[str, list[Segment]] = {}
    for segment in segments:
        found.setdefault(segment.name, []).append(segment)
    return found


def patient_groups(message: Message, context: Context) -> list[Scope]:
    """Return one scope per PID with what follows it, each seeing the header too; one scope when there is no second PID."""
    pids = message.by_name.get("PID", ())
    if len(pids) < 2:
        return [Scope(message.by_name, context, members=message.segments)]
    head = [segment for segment in message.segments if segment.name in _HEAD]
    groups: list[list[Segment]] = []
    for segment in message.segments:
        if segment.name == "PID":
            groups.append(list(head))
        if groups and segment.name not in _HEAD:
            groups[-1].append(segment)
    return [Scope(index(group), context, members=group) for group in groups]


def orders(scope: Scope) -> list[Scope]:
    """Return one scope per order: an ORC opens one, so does an OBR that has no ORC before it."""
    groups: list[list[Segment]] = []
    for segment in scope.members:
        opens = segment.name == "ORC" or (segment.name == "OBR" and not _just_opened(groups))
        if opens:
            groups.append([])
        if groups:
            groups[-1].append(segment)
    return [_order_scope(scope, group, number) for number, group in enumerate(groups)]


def _just_opened(groups: list[list[Segment]]) -> bool:
    return bool(groups) and groups[-1][0].name == "ORC" and not any(segment.name == "OBR" for segment in groups[-1])


def _order_scope(scope: Scope, group: list[Segment], number: int) -> Scope:
    """Notes bind to the segment before them: an order's own scope holds only the notes of ORC and OBR."""
    owner = ""
    own: list[Segment] = []
    for segment in group:
        if segment.name != "NTE":
            owner = segment.name
            own.append(segment)
        elif owner in _ORDER_STARTS:
            own.append(segment)
    empty: dict[str, list[Segment]] = {name: [] for name in ("ORC", "OBR", "NTE", "OBX", "SPM", "TQ1", "DG1", "PRT")}
    return scope.within({**empty, **index(own)}, number, group)


def results(scope: Scope) -> list[Scope]:
    """Return one scope per result: an OBX with its notes; text that runs over several OBX (same OBX-3 and OBX-4) is one."""
    found: list[list[Segment]] = []
    for segment in scope.members:
        if segment.name == "OBX":
            if found and found[-1] and _continues(found[-1][0], segment, found[-1]):
                found[-1].append(segment)
            else:
                found.append([segment])
        elif segment.name == "NTE" and found and found[-1]:
            found[-1].append(segment)
        elif segment.name == "SPM" and found:
            found.append([])
    whole = [group for group in found if group]
    return [scope.within({"NTE": [], **index(group)}, number, group) for number, group in enumerate(whole)]


def _continues(first: Segment, segment: Segment, group: list[Segment]) -> bool:
    if group[-1].name != "OBX" or segment.field(2) not in ("TX", "FT", "ED") or first.field(2) != segment.field(2):
        return False
    return first.field(3) == segment.field(3) and first.field(4) == segment.field(4)


def insurances(scope: Scope) -> list[Scope]:
    """Return one scope per IN1, with the IN2 and IN3 that follow it."""
    groups: list[list[Segment]] = []
    for segment in scope.members:
        if segment.name == "IN1":
            groups.append([segment])
        elif segment.name in ("IN2", "IN3") and groups:
            groups[-1].append(segment)
    return [scope.within({"IN2": [], "IN3": [], **index(group)}, number, group) for number, group in enumerate(groups)]


def allergies(scope: Scope) -> list[Scope]:
    """Return one scope per allergy: IAM where there are any (they say more), else AL1."""
    name = "IAM" if scope.segments.get("IAM") else "AL1"
    other = "AL1" if name == "IAM" else "IAM"
    return [scope.within({name: [segment], other: []}, number) for number, segment in enumerate(scope.segments.get(name, ()))]


STRUCTURES: Mapping[str, Callable[[Scope], list[Scope]]] = {
    "@orders": orders,
    "@results": results,
    "@insurances": insurances,
    "@allergies": allergies,
}
"""Named walks for ``each``."""

SEGMENTS_OF = {"@orders": ("ORC", "OBR"), "@results": ("OBX",), "@insurances": ("IN1",), "@allergies": ("AL1", "IAM")}
"""What a walk starts with; the first is what is written on the way back."""

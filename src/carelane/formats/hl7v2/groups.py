"""Which segments belong together, found tolerantly: order errors are normal, nothing may be attributed to the wrong patient or order."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from carelane.formats.hl7v2.message import Message, Segment
from carelane.formats.hl7v2.orders import REQUESTED, cut
from carelane.formats.hl7v2.scope import Context, Scope
from carelane.formats.hl7v2.structure import orders_of

_HEAD = ("MSH", "SFT", "UAC", "EVN", "QPD", "RCP", "MSA", "ERR", "QAK", "MFI")


def index(segments: Iterable[Segment]) -> dict[str, list[Segment]]:
    """Return segments under their names, in order."""
    found: dict[str, list[Segment]] = {}
    for segment in segments:
        found.setdefault(segment.name, []).append(segment)
    return found


def patient_groups(message: Message, context: Context) -> list[Scope]:
    """Return one scope per PID with what follows it, each seeing the header too; one scope when there is no second PID."""
    pids = message.by_name.get("PID", ())
    if len(pids) < 2 or _brings_past(message):
        return [Scope(message.by_name, context, members=message.segments)]
    head = [segment for segment in message.segments if segment.name in _HEAD]
    groups: list[list[Segment]] = []
    for segment in message.segments:
        if segment.name == "PID":
            groups.append(list(head))
        if groups and segment.name not in _HEAD:
            groups[-1].append(segment)
    return [Scope(index(group), context, members=group) for group in groups]


def _brings_past(message: Message) -> bool:
    """Whether the second PID names the patient of results of before, which come with an order."""
    shape = orders_of(message)
    if shape is None or not shape.past:
        return False
    names = [segment.name for segment in message.segments]
    first = names.index("PID")
    return any(name in ("ORC", "OBR") for name in names[first : names.index("PID", first + 1)])


def grouped(scope: Scope, starts: Sequence[str], notes_of: Sequence[str] = ()) -> list[Scope]:
    """Cut a scope into groups. The first name of ``starts`` always opens one, another only when the group has one of it already.

    A note belongs to the segment before it: a group sees as its own only the notes of ``notes_of`` (the starts when empty).
    What stands in other groups is out of sight.
    """
    groups: list[list[Segment]] = []
    for segment in scope.members:
        name = segment.name
        if name in starts and (name == starts[0] or not groups or any(one.name == name for one in groups[-1])):
            groups.append([])
        if groups:
            groups[-1].append(segment)
    return _scopes(scope, groups, {}, notes_of or starts)


def _scopes(scope: Scope, groups: Sequence[Sequence[Segment]], hidden: Mapping[str, list[Segment]], notes_of: Sequence[str]) -> list[Scope]:
    """Return the views of groups: each sees its own segments, and nothing of the others."""
    names = {segment.name for group in groups for segment in group}
    empty: dict[str, list[Segment]] = {**hidden, **{name: [] for name in (*names, "NTE")}}
    return [scope.within({**empty, **index(owned(group, notes_of))}, number, group) for number, group in enumerate(groups)]


def orders(scope: Scope) -> list[Scope]:
    """Return one scope per order (ORC, OBR), as the structure has them. Where specimens lead (OUL_R22, OML_O33), the orders behind one see it, and no other."""
    leads = next((at for at, segment in enumerate(scope.members) if segment.name in ("SPM", "ORC", "OBR")), 0)
    if not scope.members or scope.members[leads].name != "SPM":
        return _ordered(scope, scope.members)
    hidden: dict[str, list[Segment]] = {segment.name: [] for segment in scope.members[leads:]}
    parts: list[list[Segment]] = []
    for segment in scope.members[leads:]:
        if segment.name == "SPM":
            parts.append([])
        parts[-1].append(segment)
    found: list[Scope] = []
    for specimen, *rest in parts:
        start = next((at for at, segment in enumerate(rest) if segment.name in ("ORC", "OBR")), len(rest))
        for group in _ordered(scope.within(hidden), rest[start:]):
            found.append(group.within({"SPM": [specimen]}, len(found), group.members))
    return found


def _ordered(scope: Scope, members: Sequence[Segment]) -> list[Scope]:
    found = cut(members, orders_of(scope.context.message))
    for issue in found.issues:
        scope.context.noted[issue] = None
    return _scopes(scope, found.groups, {segment.name: [] for segment in found.past}, ("ORC", "OBR"))


def owned(group: Sequence[Segment], owners: Sequence[str]) -> list[Segment]:
    """Return the segments without the notes of others: a note belongs to the segment it follows."""
    owner = ""
    own: list[Segment] = []
    for segment in group:
        if segment.name != "NTE":
            owner = segment.name
            own.append(segment)
        elif owner in owners:
            own.append(segment)
    return own


def results(scope: Scope) -> list[Scope]:
    """Return one scope per result: an OBX with its notes; text that runs over several OBX (same OBX-3 and OBX-4) is one."""
    found: list[list[Segment]] = []
    for segment in scope.members:
        if segment.name == "OBX":
            if found and found[-1] and _continues(found[-1][0], segment, found[-1]):
                found[-1].append(segment)
            else:
                found.append([segment])
        elif segment.name in ("NTE", "PRT") and found and found[-1]:
            found[-1].append(segment)
        elif segment.name in ("SPM", "FT1", "TXA", "RXA", "RXE", "ORC", "OBR") and found:
            found.append([])
    whole = [group for group in found if group]
    return [scope.within({"NTE": [], **index(group)}, number, group) for number, group in enumerate(whole)]


def _continues(first: Segment, segment: Segment, group: list[Segment]) -> bool:
    if group[-1].name != "OBX" or segment.field(2) not in ("TX", "FT", "ED") or first.field(2) != segment.field(2):
        return False
    return first.field(3) == segment.field(3) and first.field(4) == segment.field(4)


def files(scope: Scope) -> list[Scope]:
    """Return one scope per file of a document message; pieces of one (same OBX-3 and OBX-4) are together."""
    return [one for one in results(scope) if one.segments["OBX"][0].field(2).strip().upper() in ("ED", "RP")]


def _led(first: str, *others: str) -> Callable[[Scope], list[Scope]]:
    """A segment with those of certain names that follow it."""

    def walk(scope: Scope) -> list[Scope]:
        groups: list[list[Segment]] = []
        last = ""
        for segment in scope.members:
            name = segment.name
            if name == first:
                groups.append([segment])
            elif groups and (name in others or (name == "NTE" and last in (first, "NTE") and "NTE" in others)):
                groups[-1].append(segment)
            last = name
        empty: dict[str, list[Segment]] = {name: [] for name in others}
        return [scope.within({**empty, **index(group)}, number, group) for number, group in enumerate(groups)]

    return walk


def allergies(scope: Scope) -> list[Scope]:
    """Return one scope per allergy, told in AL1 or in IAM. An AL1 that says nothing an IAM does not say is the same allergy."""
    told = scope.segments.get("IAM", ())
    short = [one for one in scope.segments.get("AL1", ()) if not any(_says(other, one) for other in told)]
    return [scope.within({"AL1": [], "IAM": [], segment.name: [segment]}, number) for number, segment in enumerate([*short, *told])]


def _says(told: Segment, short: Segment) -> bool:
    """Whether an IAM says all that an AL1 does: kind, substance, severity, reactions and date."""
    return bool(short.field(3)) and all(short.field(one) in ("", told.field(other)) for one, other in ((2, 2), (3, 3), (4, 4), (5, 5), (6, 11)))


_KINDS = ("RXO", "RXE", "RXD", "RXG", "RXA")
"""What tells a drug, in the order a message tells it (chapter 4A): as asked for, as the pharmacy encodes it, handed out, given."""
_THEIRS = ("RXR", "TQ1", "TQ2", "RXC")
"""What each of those has of its own, as the order has its timing."""


def drugs(scope: Scope) -> list[Scope]:
    """Return one scope per drug order. It sees route, timing and components of the drug as encoded, else of the order, else as it was asked for."""
    groups: list[list[Segment]] = []
    for segment in scope.members:
        name, known = segment.name, {one.name for one in groups[-1]} if groups else set()
        if name == "ORC" or (name in ("RXO", "RXE") and (not groups or name in known or (name == "RXO" and "RXE" in known))):
            groups.append([])
        if groups:
            groups[-1].append(segment)
    found = _scopes(scope, groups, {}, ("ORC", "RXE", "RXO", "RXR", "RXD"))
    if any(one.segments.get("RXO") and one.segments.get("RXE") for one in found):
        scope.context.noted[REQUESTED] = None
    return [one.within(_of("RXE", one), one.number, one.members) if one.segments.get("RXE") else one for one in found]


def doses(scope: Scope) -> list[Scope]:
    """Return one scope per dose given. An ORC speaks for every RXA behind it; RXR stands behind the doses it is of, and is none of the order's."""
    orders: list[tuple[list[Segment], list[list[Segment]]]] = []
    for segment in scope.members:
        if segment.name == "ORC" or (segment.name == "RXA" and not orders):
            orders.append(([], []))
        if segment.name == "RXA":
            orders[-1][1].append([])
        if orders:
            head, given = orders[-1]
            (given[-1] if given else head).append(segment)
    empty: dict[str, list[Segment]] = {name: [] for name in ("NTE", *(segment.name for head, given in orders for one in (head, *given) for segment in one))}
    found: list[Scope] = []
    for head, given in orders:
        theirs = [[segment for segment in dose if segment.name == "RXR"] for dose in given]
        unclaimed = [] if any(segment.name in _KINDS for segment in head) else [segment for segment in head if segment.name == "RXR"]
        for at, dose in enumerate(given or [[]]):
            seen = index(owned([*head, *dose], ("ORC", "RXA")))
            route = next((one for one in theirs[at:] if one), unclaimed)
            found.append(scope.within({**empty, **seen, "RXR": route}, len(found), dose if at else [*head, *dose]))
    return found


def _of(kind: str, order: Scope) -> dict[str, list[Segment]]:
    """Return what stands behind a segment of an order and is its own; of what it has none, that of the order itself, then that of the request."""
    parts: dict[str, list[Segment]] = {"": []}
    owner = ""
    for segment in order.members:
        owner = segment.name if segment.name in ("ORC", *_KINDS) else owner
        parts.setdefault(owner, []).append(segment)
    seen = {}
    for name in _THEIRS:
        theirs = ([one for one in parts.get(by, ()) if one.name == name] for by in (kind, "ORC", *_KINDS))
        seen[name] = next((one for one in theirs if one), [])
    return seen


def _started(*starts: str, notes_of: Sequence[str] = ()) -> Callable[[Scope], list[Scope]]:
    return lambda scope: grouped(scope, starts, notes_of)


STRUCTURES: Mapping[str, Callable[[Scope], list[Scope]]] = {
    "@orders": orders,
    "@results": results,
    "@files": files,
    "@insurances": _led("IN1", "IN2", "IN3"),
    "@allergies": allergies,
    "@doses": doses,
    "@drugs": drugs,
    "@charges": _started("FT1"),
    "@services": _led("AIS", "NTE"),
    "@people": _led("AIP", "NTE"),
    "@places": _led("AIL", "NTE"),
    "@things": _led("AIG", "NTE"),
    "@masters": _started("MFE"),
    "@referrers": _led("PRD", "CTD"),
    "@procedures": _led("PR1", "ROL"),
    "@authorized": _led("AUT", "CTD"),
    "@hits": _started("PID"),
}
"""Named walks for ``each``."""

SEGMENTS_OF = {
    "@orders": ("ORC", "OBR"), "@results": ("OBX",), "@files": ("OBX",), "@insurances": ("IN1",), "@allergies": ("AL1", "IAM"), "@doses": ("ORC", "RXA"),
    "@drugs": ("ORC", "RXE", "RXO"), "@charges": ("FT1",), "@services": ("AIS",), "@people": ("AIP",), "@places": ("AIL",), "@things": ("AIG",),
    "@masters": ("MFE",), "@referrers": ("PRD",), "@procedures": ("PR1",), "@authorized": ("AUT",), "@hits": ("PID",),
}  # fmt: skip
"""What a walk starts with; the first is what is written on the way back."""

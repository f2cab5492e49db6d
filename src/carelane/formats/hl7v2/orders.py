"""Where one order ends and the next begins: as its structure says, ORC before OBR or behind it; what senders do otherwise is tolerated and told."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from carelane.domain.message import Issue
from carelane.formats.hl7v2.message import NULL, Segment
from carelane.formats.hl7v2.structure import Orders

_BETWEEN = ("NTE", "PRT", "TQ1", "TQ2")
"""What may stand between the two segments that are one order's."""
_PREVIOUS = "PR"
"""ORC-1, table 0119: results of before, sent with a new order."""
MISPLACED = Issue("information", "segment-out-of-order", source="ORC", text="ORC and OBR do not stand as the message structure has them; paired as they stand")
UNKNOWN = Issue("information", "unknown-structure", source="MSH-9", text="no such structure in the standard; each ORC was read as the start of an order")
REQUESTED = Issue(
    "information", "request-and-encoded-order", source="RXO", text="the drug is told as the pharmacy encoded it (RXE); what was asked for otherwise is not told"
)
PAST = Issue("information", "results-of-before", source="OBR", text="results of before that came with an order; they are no orders")


@dataclass(slots=True)
class Cut:
    """The segments of each order, those of results of before, and what was odd."""

    groups: list[list[Segment]] = field(default_factory=list)
    past: list[Segment] = field(default_factory=list)
    issues: list[Issue] = field(default_factory=list)


def cut(members: Sequence[Segment], shape: Orders | None) -> Cut:
    """Cut segments into orders. What stands before the first is in none."""
    found = Cut()
    known = shape or Orders()
    before = fresh = False
    for at, segment in enumerate(members):
        name = segment.name
        if known.past and found.groups and name in ("PID", "ORC"):
            fresh, before = name == "PID", name == "PID" or (before and fresh) or segment.field(1) == _PREVIOUS
        if before:
            found.past.append(segment)
        elif _opens(members, at, found, known):
            found.groups.append([segment])
        elif found.groups:
            found.groups[-1].append(segment)
    if found.past:
        found.issues.append(PAST)
    if shape is None and len(found.groups) > 1:
        found.issues.append(UNKNOWN)
    return found


def _opens(members: Sequence[Segment], at: int, found: Cut, shape: Orders) -> bool:
    """Whether an order begins here."""
    name = members[at].name
    group = found.groups[-1] if found.groups else []
    if name == "OBR":
        joins = bool(group) and all(one.name != "OBR" for one in group)
        if joins and shape.first == "OBR":
            found.issues.append(MISPLACED)
        return not joins
    if name != "ORC":
        return False
    behind = _behind(group) and _is_of(members, at, group, shape)
    if _behind(group) and behind == (shape.first == "ORC"):
        found.issues.append(MISPLACED)
    return not behind


def _behind(group: Sequence[Segment]) -> bool:
    """Whether nothing but the OBR of an order, with its notes, stands before this place."""
    return bool(group) and group[0].name == "OBR" and all(one.name in _BETWEEN for one in group[1:])


def _is_of(members: Sequence[Segment], at: int, group: Sequence[Segment], shape: Orders) -> bool:
    """Whether an ORC right behind an OBR is of the same order: as the structure has it, unless their numbers or the next segments say otherwise."""
    following = next((one for one in members[at + 1 :] if one.name not in _BETWEEN), None)
    request = following if following is not None and following.name == "OBR" else None
    mine, next_ = _alike(members[at], group[0]), _alike(members[at], request) if request is not None else None
    if shape.first == "OBR":
        return not (mine is False and next_)
    if request is None:
        return mine is not False if shape.requested else bool(mine)
    return bool(mine) and next_ is False


def _alike(one: Segment, other: Segment) -> bool | None:
    """Whether ORC and OBR have the same placer or filler number; None where they have none in common to compare."""
    found = None
    for number in (2, 3):
        first, second = (segment.field(number).split(segment.seps.component)[0] for segment in (one, other))
        if first and second and NULL not in (first, second):
            if first == second:
                return True
            found = False
    return found

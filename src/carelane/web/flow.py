"""Lays out the visual flow of one connection: our endpoints left, the partner's right, one curve a subscription."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from carelane.domain.ids import OrgId
from carelane.domain.views import LaneView

WIDTH, BOX_WIDTH, BOX_HEIGHT, GAP, TOP = 1000, 270, 58, 26, 12
_CURVE_GAP = 34


@dataclass(frozen=True, slots=True)
class Box:
    """An endpoint."""

    name: str
    kind: str
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Curve:
    """A subscription: its path, where its label stands, which way it points."""

    lane: LaneView
    path: str
    label_x: float
    label_y: float
    outward: bool
    color: int


@dataclass
class Flow:
    """One connected partner with everything between us."""

    partner: str
    boxes: list[Box] = field(default_factory=list)
    curves: list[Curve] = field(default_factory=list)
    lanes: list[LaneView] = field(default_factory=list)
    height: int = 0


def flows(lanes: Sequence[LaneView], org: OrgId) -> list[Flow]:
    """Return one flow per partner, in the partners' order of name."""
    partners: dict[str, list[LaneView]] = {}
    for lane in lanes:
        partner = lane.dest_org if lane.org_id == org else lane.source_org
        partners.setdefault(partner, []).append(lane)
    return [_flow(partner, found, org) for partner, found in sorted(partners.items())]


def _flow(partner: str, lanes: list[LaneView], org: OrgId) -> Flow:
    ours = _names(lanes, org, mine=True)
    theirs = _names(lanes, org, mine=False)
    models = sorted({lane.data_model for lane in lanes})
    rows = max(len(ours), len(theirs))
    height = max(TOP * 2 + rows * (BOX_HEIGHT + GAP), TOP * 2 + len(lanes) * (_CURVE_GAP + 8))
    flow = Flow(partner, lanes=lanes, height=height)
    left = _column(flow, ours, 0, height)
    right = _column(flow, theirs, WIDTH - BOX_WIDTH, height)
    for number, lane in enumerate(lanes):
        flow.curves.append(_curve(lane, number, len(lanes), left, right, org, models.index(lane.data_model) % 6))
    return flow


def _names(lanes: list[LaneView], org: OrgId, *, mine: bool) -> list[tuple[str, str]]:
    found = []
    for lane in lanes:
        sends = (lane.org_id == org) == mine
        found.append((lane.source, "source") if sends else (lane.destination, "destination"))
    return list(dict.fromkeys(found))


def _column(flow: Flow, names: list[tuple[str, str]], x: int, height: int) -> dict[tuple[str, str], int]:
    used = len(names) * BOX_HEIGHT + (len(names) - 1) * GAP
    y = (height - used) // 2
    middles = {}
    for key in names:
        flow.boxes.append(Box(key[0], key[1], x, y))
        middles[key] = y + BOX_HEIGHT // 2
        y += BOX_HEIGHT + GAP
    return middles


def _curve(
    lane: LaneView,
    number: int,
    count: int,
    left: dict[tuple[str, str], int],
    right: dict[tuple[str, str], int],
    org: OrgId,
    color: int,
) -> Curve:
    outward = lane.org_id == org
    near = left[(lane.source, "source") if outward else (lane.destination, "destination")]
    far = right[(lane.destination, "destination") if outward else (lane.source, "source")]
    offset = (number - (count - 1) / 2) * min(_CURVE_GAP, 46 / max(count, 1))
    bend = (number - (count - 1) / 2) * _CURVE_GAP
    x1, x2 = BOX_WIDTH + 6, WIDTH - BOX_WIDTH - 12
    middle = (x1 + x2) / 2
    y1, y2, ym = near + offset, far + offset, (near + far) / 2 + bend
    forth = f"M {x1} {y1:.1f} C {x1 + 90} {y1:.1f} {middle - 130} {ym:.1f} {middle} {ym:.1f} S {x2 - 90} {y2:.1f} {x2} {y2:.1f}"
    back = f"M {x2} {y2:.1f} C {x2 - 90} {y2:.1f} {middle + 130} {ym:.1f} {middle} {ym:.1f} S {x1 + 90} {y1:.1f} {x1} {y1:.1f}"
    return Curve(lane, forth if outward else back, middle, ym, outward, color)

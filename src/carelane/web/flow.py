"""Lays out the visual flow of one connection: our endpoints left, the partner's right, one curve a subscription."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from carelane.domain.office import Subscription

WIDTH, BOX_WIDTH, BOX_HEIGHT, GAP, TOP = 1000, 270, 58, 26, 12
MOST_IN_ONE = 16
"""More curves than this are told apart by data model, one collapsible flow each."""
_CURVE_GAP = 40
_COLORS = 6

Key = tuple[str, UUID]


@dataclass(frozen=True, slots=True)
class Box:
    """An endpoint."""

    name: str
    kind: str
    uid: UUID
    mine: bool
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Curve:
    """A subscription: its path, where its label stands, which way it points."""

    row: Subscription
    path: str
    label_x: float
    label_y: float
    color: int


@dataclass
class Flow:
    """Subscriptions drawn together; ``title`` is their data model when they are one group of several."""

    title: str
    rows: list[Subscription]
    boxes: list[Box] = field(default_factory=list)
    curves: list[Curve] = field(default_factory=list)
    height: int = 0

    @property
    def crowded(self) -> bool:
        """Too many curves for a label each: what one says is shown while it is pointed at or focused."""
        return len(self.rows) > MOST_IN_ONE

    @property
    def troubled(self) -> int:
        """How many of them are held or retrying."""
        return sum(row.flow in ("held", "retrying") for row in self.rows)


def flows(rows: Sequence[Subscription]) -> list[Flow]:
    """Return one flow, or one per data model where one would be a tangle."""
    models = sorted({row.data_model for row in rows})
    if len(rows) <= MOST_IN_ONE:
        return [_flow("", list(rows), models)] if rows else []
    return [_flow(model, [row for row in rows if row.data_model == model], models) for model in models]


def _flow(title: str, rows: list[Subscription], models: list[str]) -> Flow:
    near, far = _ends(rows, near=True), _ends(rows, near=False)
    count = max(len(near), len(far))
    flow = Flow(title, rows)
    height = flow.height = max(TOP * 2 + count * (BOX_HEIGHT + GAP), 0 if flow.crowded else TOP * 2 + len(rows) * (_CURVE_GAP + 4))
    left = _column(flow, near, 0, height)
    right = _column(flow, far, WIDTH - BOX_WIDTH, height)
    for number, row in enumerate(rows):
        draw = _straight if flow.crowded else _curve
        flow.curves.append(draw(row, number, len(rows), left, right, models.index(row.data_model) % _COLORS, height))
    return flow


def _ends(rows: Sequence[Subscription], *, near: bool) -> dict[Key, tuple[str, bool]]:
    """Return the endpoints of one side, in order, with their names and whether they are ours."""
    found: dict[Key, tuple[str, bool]] = {}
    for row in rows:
        starts = row.outward == near
        key = ("source", row.source_uid) if starts else ("destination", row.destination_uid)
        found[key] = (row.source, row.mine_source) if starts else (row.destination, row.mine_destination)
    return found


def _column(flow: Flow, ends: dict[Key, tuple[str, bool]], x: int, height: int) -> dict[Key, int]:
    used = len(ends) * BOX_HEIGHT + (len(ends) - 1) * GAP
    y = (height - used) // 2
    middles = {}
    for (kind, uid), (name, mine) in ends.items():
        flow.boxes.append(Box(name, kind, uid, mine, x, y))
        middles[kind, uid] = y + BOX_HEIGHT // 2
        y += BOX_HEIGHT + GAP
    return middles


def _straight(row: Subscription, number: int, count: int, left: dict[Key, int], right: dict[Key, int], color: int, height: int) -> Curve:
    """The shortest way, for a drawing with many: the ends of a box's curves lie close together, never on one point."""
    near, far = _sides(row, left, right)
    offset = (number / max(count - 1, 1) - 0.5) * (BOX_HEIGHT - 16)
    x1, x2 = BOX_WIDTH + 6, WIDTH - BOX_WIDTH - 12
    middle, y1, y2 = (x1 + x2) / 2, near + offset, far + offset
    start, end = ((x1, y1), (x2, y2)) if row.outward else ((x2, y2), (x1, y1))
    path = f"M {start[0]} {start[1]:.1f} C {middle} {start[1]:.1f} {middle} {end[1]:.1f} {end[0]} {end[1]:.1f}"
    return Curve(row, path, middle, min(max((y1 + y2) / 2, TOP + 16), height - TOP - 16), color)


def _sides(row: Subscription, left: dict[Key, int], right: dict[Key, int]) -> tuple[int, int]:
    source, destination = ("source", row.source_uid), ("destination", row.destination_uid)
    return (left[source], right[destination]) if row.outward else (left[destination], right[source])


def _curve(row: Subscription, number: int, count: int, left: dict[Key, int], right: dict[Key, int], color: int, height: int) -> Curve:
    near, far = _sides(row, left, right)
    offset = (number - (count - 1) / 2) * min(_CURVE_GAP, (BOX_HEIGHT - 12) / max(count, 1))
    x1, x2 = BOX_WIDTH + 6, WIDTH - BOX_WIDTH - 12
    middle, lane_height = (x1 + x2) / 2, (height - TOP * 2) / count
    y1, y2, ym = near + offset, far + offset, TOP + lane_height * (number + 0.5)
    forth = f"M {x1} {y1:.1f} C {x1 + 90} {y1:.1f} {middle - 130} {ym:.1f} {middle} {ym:.1f} S {x2 - 90} {y2:.1f} {x2} {y2:.1f}"
    back = f"M {x2} {y2:.1f} C {x2 - 90} {y2:.1f} {middle + 130} {ym:.1f} {middle} {ym:.1f} S {x1 + 90} {y1:.1f} {x1} {y1:.1f}"
    return Curve(row, forth if row.outward else back, middle, ym, color)

import itertools
from datetime import UTC, datetime
from uuid import UUID, uuid5

from carelane.domain.office import Subscription
from carelane.web.flow import BOX_HEIGHT, MOST_IN_ONE, flows

SPACE = UUID(int=7)


def row(number: int, *, outward: bool = True, source: str = "s", destination: str = "d", model: str = "PatientAdmin") -> Subscription:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return Subscription(
        uuid5(SPACE, str(number)), number, f"n{number}", model, "datamodel", "development", "active", False, UUID(int=1), "connected", "Bright", UUID(int=2), outward,
        False, source, uuid5(SPACE, source), destination, uuid5(SPACE, destination), outward, not outward, False, 168, now, now, 5, 3, 3, 0, None, None, None, None,
        None, None, 1,
    )  # fmt: skip


def test_our_endpoints_are_left_and_the_arrow_points_the_way_data_travels():
    out, back = flows([row(1)])[0], flows([row(1, outward=False)])[0]
    assert [("s", 0, True), ("d", 730, False)] == [(box.name, box.x, box.mine) for box in out.boxes]
    assert [("d", 0, True), ("s", 730, False)] == [(box.name, box.x, box.mine) for box in back.boxes]
    starts = [flow.curves[0].path.split()[1] for flow in (out, back)]
    assert float(starts[0]) < 500 < float(starts[1])


def test_an_endpoint_used_by_many_subscriptions_is_drawn_once_and_boxes_do_not_overlap():
    flow = flows([row(n, source=f"s{n % 5}") for n in range(40)])[0]
    left = sorted(box.y for box in flow.boxes if box.x == 0)
    assert (5, 1) == (len(left), len([box for box in flow.boxes if box.x]))
    assert all(after - before >= BOX_HEIGHT for before, after in itertools.pairwise(left))


def test_everything_fits_into_the_drawing_and_labels_do_not_overlap():
    flow = flows([row(n, destination=f"d{n}") for n in range(MOST_IN_ONE)])[0]
    assert all(0 <= box.y <= flow.height - BOX_HEIGHT for box in flow.boxes)
    assert all(15 <= curve.label_y <= flow.height - 15 for curve in flow.curves)
    assert all(after.label_y - before.label_y >= 30 for before, after in itertools.pairwise(flow.curves))


def test_many_subscriptions_are_told_apart_by_data_model():
    models = ("Order", "PatientAdmin", "Results")
    found = flows([row(n, model=models[n % 3]) for n in range(200)])
    assert list(models) == [flow.title for flow in found]
    assert 200 == sum(len(flow.curves) for flow in found)
    assert [""] == [flow.title for flow in flows([row(n, model=models[n % 3]) for n in range(MOST_IN_ONE)])]


def test_a_crowd_is_as_high_as_its_endpoints_and_no_two_curves_lie_on_each_other():
    flow = flows([row(n, source=f"s{n % 10}", destination=f"d{n // 10}", outward=n % 3 != 0) for n in range(100)])[0]
    assert flow.crowded
    assert flow.height <= 12 * 2 + 20 * (BOX_HEIGHT + 26)
    assert all(0 <= curve.label_y - 15 and curve.label_y + 15 <= flow.height for curve in flow.curves)
    assert 100 == len({curve.path for curve in flow.curves})


def test_nothing_to_draw_is_no_flow():
    assert [] == flows([])

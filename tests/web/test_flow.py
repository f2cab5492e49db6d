import itertools

from carelane.domain.ids import LaneId, OrgId
from carelane.domain.views import LaneView
from carelane.web.flow import BOX_HEIGHT, flows


def lane(number: int, *, org: int = 1, dest: int = 2, source: str = "s", destination: str = "d", model: str = "PatientAdmin") -> LaneView:
    return LaneView(LaneId(number), org, dest, f"n{number}", model, "development", source, "North", destination, "Bright", "webhook", 5, 3, 0,
                    None, None, None, None, None)  # fmt: skip


def test_one_flow_per_partner_seen_from_either_end():
    lanes = [lane(1)]
    assert ("Bright", "North") == (flows(lanes, OrgId(1))[0].partner, flows(lanes, OrgId(2))[0].partner)


def test_our_endpoints_are_left_and_the_arrow_points_the_way_data_travels():
    out, back = flows([lane(1)], OrgId(1))[0], flows([lane(1)], OrgId(2))[0]
    assert (("s", 0), True) == ((out.boxes[0].name, out.boxes[0].x), out.curves[0].outward)
    assert (("d", 0), False) == ((back.boxes[0].name, back.boxes[0].x), back.curves[0].outward)


def test_an_endpoint_used_by_many_subscriptions_is_drawn_once_and_boxes_do_not_overlap():
    flow = flows([lane(n, source=f"s{n % 5}") for n in range(40)], OrgId(1))[0]
    left = sorted(box.y for box in flow.boxes if box.x == 0)
    assert (5, 1) == (len(left), len([box for box in flow.boxes if box.x]))
    assert all(after - before >= BOX_HEIGHT for before, after in itertools.pairwise(left))


def test_everything_fits_into_the_drawing():
    flow = flows([lane(n, destination=f"d{n}") for n in range(30)], OrgId(1))[0]
    assert all(0 <= box.y <= flow.height - BOX_HEIGHT for box in flow.boxes)
    assert all(0 <= curve.label_y <= flow.height for curve in flow.curves)

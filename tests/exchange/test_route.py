import pytest

from carelane.domain.endpoint import Destination, Route, Snapshot, Source
from carelane.domain.message import Heading, Problem
from carelane.exchange.route import route
from carelane.kit.ids import uuid7

UIDS = {number: uuid7() for number in (1, 2, 3)}
SOURCE = Source(1, uuid7(), 1, "feed", "development", "http", "datamodel", {})
SNAPSHOT = Snapshot(
    sources={1: SOURCE},
    destinations={
        1: Destination(1, UIDS[1], 2, "theirs", "development", "webhook", "datamodel", {}),
        2: Destination(2, UIDS[2], 1, "ours", "production", "webhook", "datamodel", {}),
        3: Destination(3, UIDS[3], 9, "a stranger's", "development", "webhook", "datamodel", {}),
    },
    routes={(1, "PatientAdmin"): (Route(1, 10, 1, 1, "PatientAdmin"), Route(2, 11, 1, 4, "PatientAdmin"))},
    destination_uids={uid: number for number, uid in UIDS.items()},
)


def heading(*destinations: str, model: str | None = "PatientAdmin", addressed: bool = True) -> Heading:
    return Heading(data_model=model, event_type="Arrival", destinations=destinations if addressed else None)


def test_a_message_without_an_address_goes_to_every_subscription_of_its_model():
    assert (10, 11) == route(heading(addressed=False), SOURCE, SNAPSHOT).lanes


def test_an_addressed_message_goes_there_only():
    assert (10,) == route(heading(f"dst_{UIDS[1].hex}"), SOURCE, SNAPSHOT).lanes


@pytest.mark.parametrize(
    ("found", "code", "status"),
    [
        (heading(), "destination-missing", 400), (heading(f"dst_{UIDS[2].hex}"), "wrong-environment", 403), (heading("nonsense"), "no-subscription", 404),
        (heading(f"dst_{UIDS[3].hex}"), "no-subscription", 404), (heading(f"dst_{uuid7().hex}"), "no-subscription", 404),
        (heading(addressed=False, model="Results"), "no-subscription", 404),
    ],
)  # fmt: skip
def test_what_goes_nowhere_says_why_and_what_to_do(found, code, status):
    problem = route(found, SOURCE, SNAPSHOT).problem
    assert (code, status, True) == (problem.code, problem.status, bool(problem.pointer))


@pytest.mark.parametrize(("addressed", "place"), [(True, "/Meta/EventType"), (False, "MSH^1^9")])
def test_a_question_goes_nowhere_for_no_answer_would_come_back(addressed, place):
    asked = Heading(data_model="PatientAdmin", event_type="CensusQuery", destinations=(f"dst_{UIDS[1].hex}",) if addressed else None)
    found = route(asked, SOURCE, SNAPSHOT)
    assert ((), "question", 501, place) == (found.lanes, found.problem.code, found.problem.status, found.problem.location)


def test_what_the_heading_already_refuses_goes_nowhere():
    problem = Problem("nul-bytes", "There are NUL bytes.")
    assert ((), problem) == ((found := route(Heading(data_model="PatientAdmin", problem=problem), SOURCE, SNAPSHOT)).lanes, found.problem)


def test_a_message_of_no_data_model_is_refused_rather_than_taken_and_lost():
    assert "no-data-model" == route(heading(addressed=False, model=None), SOURCE, SNAPSHOT).problem.code


def test_one_destination_that_cannot_be_reached_stops_all_of_them():
    assert () == route(heading(f"dst_{UIDS[1].hex}", "nonsense"), SOURCE, SNAPSHOT).lanes


def test_a_strangers_destination_looks_like_none_at_all():
    one, other = (route(heading(text), SOURCE, SNAPSHOT).problem for text in (f"dst_{UIDS[3].hex}", f"dst_{uuid7().hex}"))
    assert one == other

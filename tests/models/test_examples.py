import pytest

from carelane.models.examples import example
from carelane.models.schemas import check, model_events

EVENTS = [(model, event) for model, events in model_events().items() for event in events]


@pytest.mark.parametrize(("model", "event"), EVENTS)
def test_every_event_type_has_an_example_that_meets_its_schema(model, event):
    assert [] == check(example(model, event), model, event)


@pytest.mark.parametrize(("model", "event"), EVENTS)
def test_an_example_is_marked_as_a_test(model, event):
    assert example(model, event)["Meta"]["Test"] is True

"""What is required is there, empty where nobody said it; what was said is never touched."""

import copy

import orjson

from carelane.formats.datamodel.format import FORMAT
from carelane.models.examples import example
from carelane.models.required import with_required
from carelane.models.schemas import check, model_events


def without(document, *path):
    found = copy.deepcopy(document)
    place = found
    for step in path[:-1]:
        place = place[step]
    del place[path[-1]]
    return found


def codes(document):
    return [issue.code for issue in check(document, "Results", "NewUnsolicited")]


def test_a_missing_required_text_is_there_and_empty():
    whole = example("Results", "NewUnsolicited")
    lacking = without(whole, "Orders", 0, "ApplicationOrderID")
    found = with_required(lacking, "Results", "NewUnsolicited")
    assert "required-missing" in codes(lacking) and "required-missing" not in codes(found)
    assert "" == found["Orders"][0].pop("ApplicationOrderID") and found == lacking
    assert "ApplicationOrderID" not in lacking["Orders"][0]


def test_a_missing_required_object_is_there_with_what_it_requires():
    found = with_required({"Meta": {"DataModel": "Order", "EventType": "New"}, "Patient": {"Identifiers": []}}, "Order", "New")
    assert isinstance(found["Order"], dict) and "" == found["Order"]["ID"]


def test_what_a_sender_told_is_neither_changed_nor_shared_with_what_is_added():
    lacking = without(example("Results", "NewUnsolicited"), "Orders", 0, "ApplicationOrderID")
    before = copy.deepcopy(lacking)
    found = with_required({**lacking, "Patient": None}, "Results", "NewUnsolicited")
    found["Patient"]["Identifiers"].append({"ID": "8"})
    assert before == lacking and [] == with_required({**lacking, "Patient": None}, "Results", "NewUnsolicited")["Patient"]["Identifiers"]


def test_a_closed_set_is_not_guessed_at():
    whole = example("Results", "NewUnsolicited")
    found = with_required(without(whole, "Orders", 0, "Status"), "Results", "NewUnsolicited")
    assert "Status" not in found["Orders"][0]


def test_a_document_that_lacks_nothing_stays_as_it_is():
    for model in ("PatientAdmin", "Results", "Clinical Summary"):
        for event in model_events()[model]:
            assert example(model, event) == with_required(example(model, event), model, event)


def test_a_destination_gets_required_members_unless_it_wants_them_left_out_and_both_times_they_are_reported():
    lacking = without(example("Results", "NewUnsolicited"), "Orders", 0, "ApplicationOrderID")
    for settings, there in (({}, True), ({"required": "leave"}, False)):
        body, issues = FORMAT.write(lacking, settings, "M1")
        assert there == ("ApplicationOrderID" in orjson.loads(body)["Orders"][0])
        assert "required-missing" in [issue.code for issue in issues]

from datetime import UTC, datetime

import pytest

from carelane.domain.errors import Unreadable
from carelane.domain.message import Outcome
from carelane.formats.datamodel.format import FORMAT, parse

GOOD = b'{"Meta": {"DataModel": "patient-admin", "EventType": "arrival", "Destinations": [{"ID": "dst_1"}]}, "Patient": {"Identifiers": [{"ID": "7"}]}}'


def test_names_are_compared_without_case_spaces_and_hyphens():
    heading = FORMAT.peek(GOOD, {})
    assert ("PatientAdmin", "Arrival", ("dst_1",), (("patient", "7"),)) == (heading.data_model, heading.event_type, heading.destinations, heading.search)


@pytest.mark.parametrize(
    ("raw", "location"),
    [(b"{}", "/Meta"), (b'{"Meta": 1}', "/Meta"), (b'{"Meta": {}}', "/Meta/DataModel"), (b'{"Meta": {"DataModel": "PatientAdmin"}}', "/Meta/EventType")],
)
def test_a_missing_meta_is_a_problem_that_points(raw, location):
    assert location == FORMAT.peek(raw, {}).problem.location


@pytest.mark.parametrize("raw", [b"", b"[]", b"1", b"{", b"\xff", b'{"a": ' * 100_000])
def test_what_is_no_json_object_is_unreadable(raw):
    with pytest.raises(Unreadable):
        FORMAT.peek(raw, {})


def test_nesting_has_a_limit():
    with pytest.raises(Unreadable, match="deeper"):
        parse(b'{"a": ' * 300 + b"1" + b"}" * 300)


def test_breaches_are_issues_and_in_strict_mode_a_refusal():
    raw = b'{"Meta": {"DataModel": "PatientAdmin", "EventType": "Arrival"}, "Patient": {}}'
    assert ["required-missing"] == [issue.code for issue in FORMAT.read(raw, {})[0].issues]
    with pytest.raises(Unreadable, match="/Patient"):
        FORMAT.read(raw, {"strict": True})


def test_the_answer_has_a_log_entry_per_destination():
    raw = GOOD.replace(b'[{"ID": "dst_1"}]', b'[{"ID": "dst_1"}, {"ID": "dst_2"}]')
    reply = parse(FORMAT.acknowledge(raw, Outcome.STORED, None, datetime.now(UTC), "msg_1"))
    assert [{"ID": "msg_1"}, {"ID": "msg_1"}] == reply["Meta"]["Logs"]


def test_hostile_json_never_crashes(shared):
    for path in sorted((shared / "hostile-json").iterdir()):
        raw = path.read_bytes()
        try:
            accepted = bool(FORMAT.peek(b'{"Meta": {"DataModel": "X", "EventType": "Y"}, "x": ' + raw + b"}", {}))
        except Unreadable:
            accepted = False
        if path.name.startswith("y_"):
            assert accepted, path.name
        if path.name.startswith("n_"):
            assert not accepted, path.name

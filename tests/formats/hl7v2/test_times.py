from datetime import timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from carelane.formats.hl7v2.message import parse
from carelane.formats.hl7v2.scope import Context, Scope
from carelane.formats.hl7v2.times import from_iso, instant, to_date, to_datetime
from carelane.mapping.edge import Odd

MESSAGE = parse(b"MSH|^~\\&|A\r")


def scope(hours: int | None = None) -> Scope:
    zone = timezone(timedelta(hours=hours)) if hours is not None else None
    return Scope({}, Context(MESSAGE, zone))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("2026", "2026"), ("202601", "2026-01"), ("20260102", "2026-01-02"), ("202601020304+0000", "2026-01-02T03:04:00.000Z"),
     ("20260102030405.678-0600", "2026-01-02T09:04:05.678Z"), ("20260102030405", "2026-01-02T03:04:05.000"), ("20260102240000+0000", "2026-01-03T00:00:00.000Z")],
)  # fmt: skip
def test_precision_and_zone_are_kept(text, expected):
    assert expected == to_datetime(text, scope())


def test_a_time_without_a_zone_takes_the_messages():
    assert "2026-01-02T09:04:05.000Z" == to_datetime("20260102030405", scope(-6))


def test_a_birth_date_is_never_shifted():
    assert "2026-01-02" == to_date("20260102233000-0800", scope())


@pytest.mark.parametrize(
    "text", ["20261301", "20260230", "yesterday", "2026010", "00000000", "99991231", "20260102250000", "٢٠٢٦", "99991231235900-0500", "00010101003000+0100"]
)
def test_what_is_no_date_is_dropped_and_reported(text):
    found = to_datetime(text, scope())
    assert isinstance(found, Odd) and (None, "bad-date") == (found.value, found.code)


def test_a_time_in_a_zone_with_summer_time_is_told_in_utc():
    zone = Scope({}, Context(MESSAGE, ZoneInfo("America/Chicago")))
    assert ("2026-01-02T09:04:05.000Z", "2026-07-02T08:04:05.000Z") == (to_datetime("20260102030405", zone), to_datetime("20260702030405", zone))


@pytest.mark.parametrize(("one", "other"), [("20260102030405-0600", "20260102090405Z"), ("20260102030405", "20260102030405.0"), ("20260102", "20260102")])
def test_two_ways_of_writing_one_moment_are_the_same_instant(one, other):
    assert instant(one) == instant(other) is not None


@pytest.mark.parametrize("text", ["tomorrow", "20260102250000", "99991231240000", "99991231235900-0500"])
def test_what_is_no_time_is_no_instant(text):
    assert instant(text) is None


@pytest.mark.parametrize("text", ["2026", "202601", "20260102", "20260102030405+0000", "20260102030405.67+0000"])
def test_times_go_there_and_back(text):
    assert text == from_iso(to_datetime(text, scope()), None)

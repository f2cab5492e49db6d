"""What keeps messages out is told once, and once that it is over."""

import structlog

from carelane.ops.logs import IntakeLog


def test_a_trouble_of_the_intake_is_told_when_it_begins_changes_and_ends():
    with structlog.testing.capture_logs() as told:
        log = IntakeLog()
        log.note("")
        log.note("database-away")
        log.note("database-away")
        log.note("database-full")
        log.note("")
    assert [("intake.refusing", "database-away"), ("intake.refusing", "database-full"), ("intake.well", "database-full is over")] == [
        (found["event"], found["detail"]) for found in told
    ]

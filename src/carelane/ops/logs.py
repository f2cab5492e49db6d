"""Logs: one JSON line an event, named here, with ids and never content."""

import logging
import sys

import structlog

EVENTS = {
    "hub.started": "the hub takes messages",
    "hub.stopping": "draining",
    "hub.cut": "what was left was not waited for any longer",
    "hub.stopped": "everything is closed",
    "sends.cut": "the grace ended before these sends did",
    "store.waiting": "the database does not answer yet",
    "store.restarting": "the database is stopped and started afresh",
    "store.stopping": "the database still writes what it holds",
    "store.revived": "the database was restarted",
    "listener.trouble": "a source's port could not be opened; it is tried again",
    "listener.well": "the trouble of a source's port is over",
    "listener.not_noted": "troubles of ports could not be written for carelane check",
    "mllp.no-cr": "a message ended without the last CR; it was taken and marked",
    "mllp.cut": "a message was cut off by the start of the next; it was refused",
    "mllp.end-inside": "a message held an end block; it was refused",
    "mllp.cut-off": "a connection was closed in the middle of a message; nothing of it was taken",
    "mllp.junk": "bytes outside of messages were skipped; more than 64 KiB of them close the connection",
    "mllp.too-large": "a message over the size limit closed its connection",
    "mllp.slow": "a started message did not arrive whole in time; its connection was closed",
    "mllp.too-many": "one connection too many was closed",
    "mllp.stranger": "a connection from an address that may not connect was closed",
    "node.chore_failed": "a background task failed and is tried again",
    "turn.failed": "a lane stands until it is read again",
    "worker.died": "it is started again",
    "worker.killed": "it did not end after the cut",
    "leases.not_given_back": "the next node waits",
    "mail.not_configured": "there is no mail server; this would have been sent",
    "mail.failed": "the mail server did not take it",
    "retention.dropped": "these days were old enough",
    "retention.kept": "old enough, but still needed: release, skip or dismiss what keeps it",
    "intake.refusing": "no message is taken until this is over",
    "intake.well": "messages are taken again",
}


def configure(*, pretty: bool) -> None:
    """Set up logging for a process: readable on a terminal, JSON otherwise."""
    renderer: structlog.types.Processor = structlog.dev.ConsoleRenderer() if pretty else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[structlog.processors.add_log_level, structlog.processors.TimeStamper(fmt="iso", utc=True), renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
    )


def tell(event: str, detail: str = "") -> None:
    """Write one event of ``EVENTS``."""
    structlog.get_logger().info(event, about=EVENTS.get(event, ""), detail=detail)


class IntakeLog:
    """Tells why no message is taken when that begins or changes, and when it is over; not each time somebody looks."""

    def __init__(self) -> None:
        self._told = ""

    def note(self, trouble: str) -> None:
        """Take what there is now; empty when messages are taken."""
        if trouble != self._told:
            tell("intake.refusing" if trouble else "intake.well", trouble or f"{self._told} is over")
            self._told = trouble

"""Logs: one JSON line an event, named here, with ids and never content."""

import logging
import sys

import structlog

EVENTS = {
    "hub.started": "the hub takes messages",
    "hub.stopping": "draining",
    "hub.stopped": "everything is closed",
    "store.revived": "the database was restarted",
    "listener.trouble": "a source's port could not be opened",
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
    "leases.not_given_back": "the next node waits",
    "mail.not_configured": "there is no mail server; this would have been sent",
    "mail.failed": "the mail server did not take it",
    "disk.low": "no message is taken until there is space",
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

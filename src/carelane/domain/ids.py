"""The types of our ids. Numbers are rows of the catalogue; messages have time-ordered UUIDs."""

from typing import NewType
from uuid import UUID

OrgId = NewType("OrgId", int)
SourceId = NewType("SourceId", int)
DestinationId = NewType("DestinationId", int)
ConnectionId = NewType("ConnectionId", int)
SubscriptionId = NewType("SubscriptionId", int)
LaneId = NewType("LaneId", int)
MessageId = NewType("MessageId", UUID)

PREFIXES = {
    "organization": "org",
    "environment": "env",
    "source": "src",
    "destination": "dst",
    "connection": "con",
    "subscription": "sub",
    "lane": "lane",
    "message": "msg",
    "delivery": "dlv",
    "attempt": "att",
    "user": "usr",
    "key": "key",
}
"""What each kind of id starts with when people see it."""


def delivery_id(lane: LaneId, seq: int) -> str:
    """Return the stable id of a delivery: it never changes over retries, so receivers can drop repeats."""
    return f"dlv_{lane}_{seq}"

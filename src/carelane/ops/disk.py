"""Watches free space: the hub stops taking messages well before the database runs out of room."""

import shutil
from pathlib import Path

from carelane.domain.message import Problem

FULL = Problem("disk-low", "The hub is short of disk space and takes no messages.", "Free space on the hub's disk; it goes on by itself.", status=503)

NO_ROOM = Problem(
    "database-full", "The hub's database has no space left and takes no messages.", "Free space on the database's disk; the hub goes on by itself.", status=503
)


def short_of_space(folder: Path, low_water_bytes: int) -> Problem | None:
    """Return the problem to answer senders with while space is short."""
    return FULL if shutil.disk_usage(folder).free < low_water_bytes else None

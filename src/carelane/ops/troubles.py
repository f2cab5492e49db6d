"""What the running hub could not open, kept in its data folder so that ``carelane check`` beside it can say so."""

import os
from collections.abc import Iterable
from pathlib import Path

import orjson

_FILE = "listeners.json"


def note_troubles(folder: Path, troubles: Iterable[tuple[int, str]]) -> str | None:
    """Write the troubles of sources, by number; return the kind of error when the folder cannot be written."""
    path = folder / _FILE
    try:
        beside = path.with_suffix(f".{os.getpid()}")
        beside.write_bytes(orjson.dumps({"pid": os.getpid(), "troubles": {str(source): text for source, text in troubles}}))
        beside.replace(path)
    except OSError as error:
        return type(error).__name__
    return None


def read_troubles(folder: Path) -> dict[int, str]:
    """Return the troubles of the hub that runs on this folder; none where no hub runs, or all is well."""
    try:
        found = orjson.loads((folder / _FILE).read_bytes())
        return {int(source): text for source, text in found["troubles"].items()} if _lives(found["pid"]) else {}
    except (OSError, ValueError, KeyError):
        return {}


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except PermissionError:  # somebody else's, and alive
        return True
    except ProcessLookupError:
        return False
    return True

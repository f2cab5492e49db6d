"""Overlays: an organization's own changes to a built-in map, row by row, checked when they are loaded.

An overlay file names the pack and its changes; each refers to a row by its stable id::

    overlay: lakeside-adt
    version: "3"
    pack: v2-patientadmin
    changes:
    - disable: pid.19
    - replace: pid.8
      with: {target: Patient.Demographics.Sex, source: PID-8, map: sex, unmapped: "default:Unknown"}
    - after: pv1.19
      insert: {id: local.zpd.3, target: Visit.Extensions.study, source: ZPD-3, extension: true}
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson
import yaml

from carelane.domain.errors import PackBroken
from carelane.mapping.pack import Pack, Row, row_of

_KEYS = {"overlay", "version", "pack", "changes"}
_CHANGES = ({"disable"}, {"replace", "with"}, {"after", "insert"})
SETTING = "overlay"


@dataclass(frozen=True, slots=True)
class Overlay:
    """A named, versioned list of changes to one pack; ``changes`` is canonical JSON, so that equal overlays are one."""

    name: str
    version: str
    pack: str
    changes: bytes

    @property
    def title(self) -> str:
        """Name and version."""
        return f"{self.name}.{self.version}"


def load_overlay(path: Path) -> Overlay:
    """Read an overlay file.

    Raises:
        PackBroken: with the file, the change and the reason.
    """
    try:
        return parse_overlay(path.read_text(), path.name)
    except OSError as error:
        raise PackBroken(path.name, "(file)", error.strerror or "it cannot be read") from None


@lru_cache(64)
def parse_overlay(text: str, file: str = "overlay") -> Overlay:
    """Read an overlay.

    Raises:
        PackBroken: with the file, the change and the reason.
    """
    try:
        loaded = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise PackBroken(file, "(file)", f"no valid YAML: {str(error).splitlines()[0]}") from None
    if not isinstance(loaded, dict):
        raise PackBroken(file, "(file)", "expected overlay, version, pack and changes at the top")
    for key in loaded:
        if key not in _KEYS:
            raise PackBroken(file, "(overlay)", f"unknown key {key}; known are {', '.join(sorted(_KEYS))}")
    for key in _KEYS:
        if key not in loaded:
            raise PackBroken(file, "(overlay)", f"{key} is missing")
    changes = loaded["changes"]
    if not isinstance(changes, list):
        raise PackBroken(file, "(overlay)", "changes is a list")
    for number, change in enumerate(changes, 1):
        if not isinstance(change, dict) or set(change) not in _CHANGES:
            raise PackBroken(file, f"change {number}", "write disable: <row id>, replace: <row id> with: {…}, or after: <row id> insert: {…}")
    return Overlay(str(loaded["overlay"]), str(loaded["version"]), str(loaded["pack"]), orjson.dumps(changes, option=orjson.OPT_SORT_KEYS))


def overlay_of(settings: Mapping[str, Any]) -> Overlay | None:
    """Return the overlay an endpoint's settings carry.

    Raises:
        PackBroken: it is malformed.
    """
    text = settings.get(SETTING)
    return parse_overlay(str(text)) if text else None


def apply_overlay(pack: Pack, overlay: Overlay) -> Pack:
    """Return a pack with an overlay's changes; a pack the overlay is not for comes back as it is.

    Raises:
        PackBroken: a change names a row that does not exist, or makes one that is not well formed.
    """
    if overlay.pack != pack.name:
        return pack
    rows: Sequence[Row] = pack.rows
    for change in orjson.loads(overlay.changes):
        identity = str(change.get("disable") or change.get("replace") or change.get("after"))
        if not _has(rows, identity):
            raise PackBroken(overlay.name, identity, f"{pack.name} has no row of this id")
        rows = _changed(rows, identity, change, overlay)
    return replace(pack, version=f"{pack.version}+{overlay.title}", rows=tuple(rows))


def _has(rows: Sequence[Row], identity: str) -> bool:
    return any(row.id == identity or _has(row.rows, identity) for row in rows)


def _changed(rows: Sequence[Row], identity: str, change: Mapping[str, Any], overlay: Overlay) -> tuple[Row, ...]:
    found: list[Row] = []
    for row in rows:
        if row.id != identity:
            found.append(replace(row, rows=_changed(row.rows, identity, change, overlay)) if row.rows else row)
        elif "replace" in change:
            found.append(row_of(overlay.name, {**change["with"], "id": identity}))
        elif "insert" in change:
            found += [row, row_of(overlay.name, change["insert"])]
    return tuple(found)

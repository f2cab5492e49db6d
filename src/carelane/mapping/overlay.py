"""Overlays: an organization's own changes to a built-in map, row by row, checked and bounded when they are read.

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

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson

from carelane.domain.errors import PackBroken
from carelane.mapping.expression import count_terms
from carelane.mapping.pack import Pack, Row, row_of
from carelane.mapping.strict_yaml import MOST_BYTES, MOST_NAME, MOST_TEXT, Lines, NotPlain, read_plain

MOST_CHANGES = 300
MOST_ROWS = 300
MOST_TERMS = 1_000
MOST_NAMES = 12
SETTING = "overlay"
_KEYS = {"overlay", "version", "pack", "changes"}
_CHANGES = ({"disable"}, {"replace", "with"}, {"after", "insert"})
_TEXTS = ("id", "target", "via", "map", "when", "each", "unmapped", "ig", "note")


@dataclass(frozen=True, slots=True)
class Overlay:
    """A named, versioned list of changes to one pack; ``changes`` is canonical JSON, so that equal overlays are one."""

    name: str
    version: str
    pack: str
    changes: bytes
    lines: Mapping[str, int] = field(default_factory=dict, compare=False)
    """In which line of the text each row it makes begins, by the row's id; those nested in it stand under its id."""

    @property
    def title(self) -> str:
        """Name and version."""
        return f"{self.name}.{self.version}"

    def line_of(self, row: str) -> int:
        """Return the line in which a row it makes begins, or the row that is in; 0 for one of the pack."""
        while row and row not in self.lines:
            row = row.rpartition(".")[0]
        return self.lines.get(row, 0)


def load_overlay(path: Path) -> Overlay:
    """Read an overlay file.

    Raises:
        PackBroken: with the file, the line or the change, and the reason.
    """
    return parse_overlay(read_text(path), path.name)


def read_text(path: Path) -> str:
    """Return the text of an overlay file; raises ``PackBroken`` where it cannot be read or is too long."""
    try:
        with path.open("rb") as file:
            return file.read(MOST_BYTES + 1).decode()
    except UnicodeDecodeError as error:
        raise PackBroken(path.name, "(file)", f"byte {error.start + 1} is no UTF-8") from None
    except OSError as error:
        raise PackBroken(path.name, "(file)", error.strerror or "it cannot be read") from None


def parse_overlay(text: str, file: str = "overlay") -> Overlay:
    """Read an overlay. What it costs is bounded: by the bounds of ``strict_yaml``, and by how many rows and terms it may have.

    Raises:
        PackBroken: with the file, the line, the change or row, and the reason with the bound.
    """
    try:
        loaded = read_plain(text)
    except NotPlain as error:
        raise PackBroken(file, "(file)", str(error)) from None
    if not isinstance(loaded, dict):
        raise PackBroken(file, "(file)", "expected overlay, version, pack and changes at the top")
    for key in loaded:
        if key not in _KEYS:
            raise PackBroken(file, "(overlay)", f"unknown key {key}; known are {', '.join(sorted(_KEYS))}")
    for key in _KEYS:
        if key not in loaded:
            raise PackBroken(file, "(overlay)", f"{key} is missing")
    name, version, pack = (_named(file, key, loaded[key]) for key in ("overlay", "version", "pack"))
    changes = loaded["changes"]
    if not isinstance(changes, list):
        raise PackBroken(file, "(overlay)", "changes is a list")
    lines = _check_changes(file, changes)
    return Overlay(name, version, pack, orjson.dumps(changes, option=orjson.OPT_SORT_KEYS), lines)


def _named(file: str, key: str, value: Any) -> str:
    if isinstance(value, dict | list | None) or len(str(value)) > MOST_NAME or not str(value).isprintable():
        raise PackBroken(file, "(overlay)", f"{key} is a text of at most {MOST_NAME} characters in one line")
    return str(value)


def _check_changes(file: str, changes: Sequence[Any]) -> Mapping[str, int]:
    """Check the shape and the number of everything, before a row is made of it; return the lines of the rows."""
    lines: dict[str, int] = {}
    rows = terms = 0
    if len(changes) > MOST_CHANGES:
        raise PackBroken(file, "(overlay)", f"it has {len(changes):,} changes; an overlay has at most {MOST_CHANGES}")
    for number, change in enumerate(changes, 1):
        where = f"change {number}" + (f" (line {change.line})" if isinstance(change, Lines) else "")
        if not isinstance(change, Lines) or set(change) not in _CHANGES:
            raise PackBroken(file, where, "write disable: <row id>, replace: <row id> with: {…}, or after: <row id> insert: {…}")
        identity = next(change[verb] for verb in ("disable", "replace", "after") if verb in change)
        if not isinstance(identity, str) or not 0 < len(identity) <= MOST_NAME:
            raise PackBroken(file, where, f"a row is named by its id, a text of at most {MOST_NAME} characters")
        if "disable" in change:
            continue
        made = change["with"] if "with" in change else change["insert"]
        for row, place in _rows_of(file, made, where):
            rows, terms = rows + 1, terms + _terms_of(file, row, place)
            if rows > MOST_ROWS:
                raise PackBroken(file, place, f"this is one row too many: an overlay makes at most {MOST_ROWS}")
            if terms > MOST_TERMS:
                raise PackBroken(
                    file, place, f"the sources and conditions of an overlay have at most {MOST_TERMS:,} paths and texts, up to here it has {terms:,}"
                )
        lines[identity if "replace" in change else str(made.get("id"))] = made.line
    return lines


def _rows_of(file: str, made: Any, place: str) -> Iterator[tuple[Lines, str]]:
    """Yield a row of an overlay and the rows in it, each with how an error calls it."""
    if not isinstance(made, Lines):
        raise PackBroken(file, place, "a row is a list of names and values")
    name = made.get("id") or made.get("target")
    here = f"{name} (line {made.line})" if isinstance(name, str) else f"{place}, line {made.line}"
    yield made, here[: 2 * MOST_NAME]
    nested = made.get("rows", [])
    if not isinstance(nested, list):
        raise PackBroken(file, here, "rows is a list of rows; a fragment's name stands only in built-in packs")
    for one in nested:
        yield from _rows_of(file, one, here)


def _terms_of(file: str, row: Lines, place: str) -> int:
    """Check what a row is made of, and count its paths and texts."""
    for key in _TEXTS:
        value = row.get(key)
        most = MOST_TEXT if key in ("when", "unmapped", "note") else MOST_NAME
        if value is not None and not (isinstance(value, str) and len(value) <= most):
            raise PackBroken(file, place, f"{key} is a text of at most {most:,} characters; put quotes around numbers")
    if str(row.get("target", "")).count(".") >= MOST_NAMES:
        raise PackBroken(file, place, f"target has at most {MOST_NAMES} names joined by dots")
    paths: list[Any] = []
    for key in ("source", "owner"):
        found = row.get(key, [])
        found = found if isinstance(found, list) else [found]
        if any(isinstance(path, str) and len(path) > MOST_NAME for path in found):
            raise PackBroken(file, place, f"a path of {key} has at most {MOST_NAME} characters")
        paths += found
    try:
        return len(paths) + (count_terms(row["when"]) if row.get("when") else 0)
    except ValueError as error:
        raise PackBroken(file, place, str(error)) from None


def overlay_of(settings: Mapping[str, Any]) -> str | None:
    """Return the text of the overlay an endpoint's settings carry."""
    text = settings.get(SETTING)
    return text if isinstance(text, str) and text.strip() else None


def apply_overlay(pack: Pack, overlay: Overlay) -> Pack:
    """Return a pack with an overlay's changes; a pack the overlay is not for comes back as it is. Rows without a change stay the same objects.

    Raises:
        PackBroken: a change names a row that does not exist, or makes one that is not well formed.
    """
    if overlay.pack != pack.name:
        return pack
    rows = pack.rows
    for change in orjson.loads(overlay.changes):
        identity = str(change.get("disable") or change.get("replace") or change.get("after"))
        changed = _changed(rows, identity, change, overlay)
        if changed is None:
            raise PackBroken(overlay.name, identity, f"{pack.name} has no row of this id")
        rows = changed
    _refuse_twins(rows, overlay, set())
    return replace(pack, version=f"{pack.version}+{overlay.title}", rows=rows)


def _refuse_twins(rows: tuple[Row, ...], overlay: Overlay, seen: set[str]) -> None:
    for row in rows:
        if row.id in seen:
            raise PackBroken(overlay.name, row.id, f"another row of {overlay.pack} has this id")
        seen.add(row.id)
        _refuse_twins(row.rows, overlay, seen)


def _changed(rows: tuple[Row, ...], identity: str, change: Mapping[str, Any], overlay: Overlay) -> tuple[Row, ...] | None:
    """Return the rows with one change; None where none of them, nor any under them, has the id."""
    for at, row in enumerate(rows):
        if row.id == identity:
            return (*rows[:at], *_instead(row, change, overlay), *rows[at + 1 :])
        if row.rows and (inner := _changed(row.rows, identity, change, overlay)) is not None:
            return (*rows[:at], replace(row, rows=inner), *rows[at + 1 :])
    return None


def _instead(row: Row, change: Mapping[str, Any], overlay: Overlay) -> tuple[Row, ...]:
    if "replace" in change:
        return (row_of(overlay.name, {**change["with"], "id": row.id}),)
    return (row, row_of(overlay.name, change["insert"])) if "insert" in change else ()

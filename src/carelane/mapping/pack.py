"""Reads map packs: YAML files of rows and translation tables. Whatever is wrong is an error that names file, row and reason."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from carelane.domain.errors import PackBroken

_ROW_KEYS = {"id", "target", "source", "via", "map", "when", "each", "rows", "rev", "unmapped", "value", "required", "extension", "single", "ig", "note"}
_PACK_KEYS = {"pack", "version", "family", "events", "order", "rows"}
_MISSES = ("value", "null", "error")


@dataclass(frozen=True, slots=True)
class Row:
    """One mapping rule. ``source`` lists paths, the first valued one wins; ``rows`` are nested under ``each``."""

    id: str
    target: str = ""
    source: tuple[str, ...] = ()
    via: str | None = None
    map: str | None = None
    when: str | None = None
    each: str | None = None
    rows: tuple["Row", ...] = ()
    rev: bool = True
    unmapped: str = "value"
    value: Any = None
    required: bool = False
    extension: bool = False
    single: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A translation set: source codes to document values, and the way back (the first code of each value)."""

    forward: Mapping[str, str]
    back: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Pack:
    """A named, versioned set of rows for one data model."""

    name: str
    version: str
    family: str
    file: str
    rows: tuple[Row, ...]
    order: tuple[str, ...] = ()
    tables: Mapping[str, Table] = field(default_factory=dict)


def load_pack(path: Path, tables: Mapping[str, Table]) -> Pack:
    """Read one pack.

    Raises:
        PackBroken: with the file, the row and the reason.
    """
    loaded = _load(path)
    _refuse_unknown(path.name, "(pack)", loaded, _PACK_KEYS)
    for key in ("pack", "version", "family", "rows"):
        if key not in loaded:
            raise PackBroken(path.name, "(pack)", f"{key} is missing")
    seen: set[str] = set()
    rows = tuple(_row(path.name, entry, seen, "") for entry in loaded["rows"])
    return Pack(str(loaded["pack"]), str(loaded["version"]), str(loaded["family"]), path.name, rows, tuple(loaded.get("order", ())), tables)


def load_tables(path: Path) -> Mapping[str, Table]:
    """Read translation sets: name → {source code: document value}.

    Raises:
        PackBroken: with the file, the table and the reason.
    """
    tables = {}
    for name, pairs in _load(path).items():
        if not isinstance(pairs, dict) or not pairs:
            raise PackBroken(path.name, str(name), "a table is a list of code: value pairs")
        if not all(isinstance(code, str) and isinstance(value, str) for code, value in pairs.items()):
            raise PackBroken(path.name, str(name), "codes and values are texts; put quotes around N, Y, yes, no and numbers")
        back: dict[str, str] = {}
        for code, value in pairs.items():
            back.setdefault(value, code)
        tables[str(name)] = Table(pairs, back)
    return tables


def _load(path: Path) -> dict[str, Any]:
    try:
        loaded = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise PackBroken(path.name, "(file)", f"no valid YAML: {str(error).splitlines()[0]}") from None
    if not isinstance(loaded, dict):
        raise PackBroken(path.name, "(file)", "expected names and values at the top")
    return loaded


def _row(file: str, entry: Any, seen: set[str], prefix: str) -> Row:
    if not isinstance(entry, dict):
        raise PackBroken(file, prefix or "?", "a row is a list of names and values")
    _refuse_unknown(file, str(entry.get("id", prefix or "?")), entry, _ROW_KEYS)
    identity = str(entry.get("id") or f"{prefix}.{entry.get('target', '?')}")
    if identity in seen:
        raise PackBroken(file, identity, "another row has this id")
    if not prefix and "id" not in entry:
        raise PackBroken(file, identity, "id is missing: overlays and tests refer to it")
    seen.add(identity)
    nested: Sequence[Any] = entry.get("rows", ())
    if ("each" in entry) != bool(nested):
        raise PackBroken(file, identity, "each and rows belong together")
    if "target" not in entry:
        raise PackBroken(file, identity, "target is missing")
    miss = str(entry.get("unmapped", "value"))
    if miss not in _MISSES and not miss.startswith("default:"):
        raise PackBroken(file, identity, f"unmapped is one of {', '.join(_MISSES)} or default:<value>")
    source = entry.get("source", ())
    if not isinstance(source, str) and not (isinstance(source, list | tuple) and all(isinstance(one, str) for one in source)):
        raise PackBroken(file, identity, "source is a path or a list of paths; put quotes around .1 and the like")
    return Row(
        id=identity,
        target=str(entry["target"]),
        source=(source,) if isinstance(source, str) else tuple(source),
        via=entry.get("via"),
        map=entry.get("map"),
        when=entry.get("when"),
        each=entry.get("each"),
        rows=tuple(_row(file, row, seen, identity) for row in nested),
        rev=bool(entry.get("rev", True)),
        unmapped=miss,
        value=entry.get("value"),
        required=bool(entry.get("required")),
        extension=bool(entry.get("extension")),
        single=bool(entry.get("single")),
    )


def _refuse_unknown(file: str, row: str, entry: Mapping[str, Any], known: set[str]) -> None:
    for key in entry:
        if key not in known:
            near = difflib.get_close_matches(str(key), sorted(known), 1)
            raise PackBroken(file, row, f"unknown key {key}" + (f"; did you mean {near[0]}?" if near else f"; known are {', '.join(sorted(known))}"))

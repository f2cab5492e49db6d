"""Reads map packs: YAML files of rows and translation tables. Whatever is wrong is an error that names file, row and reason."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from carelane.domain.errors import PackBroken

_ROW_KEYS = {
    "id",
    "target",
    "source",
    "via",
    "map",
    "when",
    "each",
    "rows",
    "rev",
    "unmapped",
    "value",
    "required",
    "extension",
    "single",
    "owner",
    "ig",
    "note",
}
_PACK_KEYS = {"pack", "version", "family", "order", "include", "rows"}
_SHARED, _FRAGMENTS, _CLOSED = "shared", "fragments.yaml", "closed"
_FAST: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MISSES = ("value", "null", "error")


@dataclass(frozen=True, slots=True)
class Row:
    """One mapping rule. ``source`` lists paths, the first valued one wins; ``rows`` are nested under ``each``.

    ``owner`` lists a path for each of ``source``: only the sources of the first valued one are read. So a unit is taken from where its number came from,
    and a code's system from where the code did; where no owner has a value, the first valued source wins as ever.
    """

    id: str
    target: str = ""
    source: tuple[str, ...] = ()
    via: str | None = None
    map: str | None = None
    when: str | None = None
    each: str | None = None
    rows: tuple["Row", ...] = ()
    rev: bool = True
    unmapped: str = ""
    value: Any = None
    required: bool = False
    extension: bool = False
    single: bool = False
    owner: tuple[str, ...] = ()
    ig: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A translation set: source codes to document values, and the way back (the first code of each value).

    A ``closed`` one leads to a closed set: a code it does not know has no value there.
    """

    forward: Mapping[str, str]
    back: Mapping[str, str]
    closed: bool = False


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
    """Read one pack, with the shared rows it includes before its own.

    Raises:
        PackBroken: with the file, the row and the reason.
    """
    loaded = _load(path)
    _refuse_unknown(path.name, "(pack)", loaded, _PACK_KEYS)
    for key in ("pack", "version", "family", "rows"):
        if key not in loaded:
            raise PackBroken(path.name, "(pack)", f"{key} is missing")
    reader = _Reader(path)
    entries = [(f"{name}.yaml", entry) for name in loaded.get("include", ()) for entry in reader.included(str(name))]
    rows = tuple(reader.row(file, entry, "") for file, entry in [*entries, *((path.name, entry) for entry in loaded["rows"])])
    return Pack(str(loaded["pack"]), str(loaded["version"]), str(loaded["family"]), path.name, rows, tuple(loaded.get("order", ())), tables)


def row_of(file: str, entry: Any) -> Row:
    """Read one row that stands by itself, as in an overlay.

    Raises:
        PackBroken: it is not well formed; file, row and reason are named.
    """
    return _Reader(Path(file)).row(file, entry, "")


def load_tables(path: Path) -> Mapping[str, Table]:
    """Read translation sets: name → {source code: document value}.

    Raises:
        PackBroken: with the file, the table and the reason.
    """
    tables = {}
    loaded = dict(_load(path))
    closed = loaded.pop(_CLOSED, [])
    for name, pairs in loaded.items():
        if not isinstance(pairs, dict) or not pairs:
            raise PackBroken(path.name, str(name), "a table is a list of code: value pairs")
        if not all(isinstance(code, str) and isinstance(value, str) for code, value in pairs.items()):
            raise PackBroken(path.name, str(name), "codes and values are texts; put quotes around N, Y, yes, no and numbers")
        back: dict[str, str] = {}
        for code, value in pairs.items():
            back.setdefault(value, code)
        tables[str(name)] = Table(pairs, back, name in closed)
    return tables


@cache
def _loaded(path: Path, _changed: int) -> dict[str, Any]:
    try:
        loaded = yaml.load(path.read_text(), _FAST)  # noqa: S506  (the safe loader, in C where there is one)
    except yaml.YAMLError as error:
        raise PackBroken(path.name, "(file)", f"no valid YAML: {str(error).splitlines()[0]}") from None
    if not isinstance(loaded, dict):
        raise PackBroken(path.name, "(file)", "expected names and values at the top")
    return loaded


def _load(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise PackBroken(path.name, "(file)", "there is no such file")
    return _loaded(path, path.stat().st_mtime_ns)


class _Reader:
    """Reads the rows of one pack, wherever they are written."""

    def __init__(self, path: Path) -> None:
        self._folder = path.parent / _SHARED
        self._seen: set[str] = set()

    def included(self, name: str) -> Sequence[Any]:
        """Return the entries of a shared file."""
        found: Sequence[Any] = _load(self._folder / f"{name}.yaml").get("rows", ())
        return found

    def row(self, file: str, entry: Any, prefix: str) -> Row:
        """Read one row and those under it."""
        if not isinstance(entry, dict):
            raise PackBroken(file, prefix or "?", "a row is a list of names and values")
        _refuse_unknown(file, str(entry.get("id", prefix or "?")), entry, _ROW_KEYS)
        identity = self._identity(file, entry, prefix)
        for key in ("target", "via", "map", "when", "each"):
            if not isinstance(entry.get(key, ""), str):
                raise PackBroken(file, identity, f"{key} is a text; put quotes around numbers")
        if ("each" in entry) != bool(entry.get("rows", ())):
            raise PackBroken(file, identity, "each and rows belong together")
        if "target" not in entry:
            raise PackBroken(file, identity, "target is missing")
        miss = str(entry.get("unmapped", ""))
        if miss and miss not in _MISSES and not miss.startswith("default:"):
            raise PackBroken(file, identity, f"unmapped is one of {', '.join(_MISSES)} or default:<value>")
        source, owner = _paths(file, identity, entry, "source"), _paths(file, identity, entry, "owner")
        if owner and len(owner) != len(source):
            raise PackBroken(file, identity, "owner has a path for each of source")
        return Row(
            id=identity,
            target=str(entry["target"]),
            source=source,
            via=entry.get("via"),
            map=entry.get("map"),
            when=entry.get("when"),
            each=entry.get("each"),
            rows=tuple(self.row(file, row, identity) for row in self._nested(file, identity, entry.get("rows", ()))),
            rev=bool(entry.get("rev", True)),
            unmapped=miss,
            value=entry.get("value"),
            required=bool(entry.get("required")),
            extension=bool(entry.get("extension")),
            single=bool(entry.get("single")),
            owner=owner,
            ig=str(entry.get("ig", "")),
        )

    def _identity(self, file: str, entry: Mapping[str, Any], prefix: str) -> str:
        own = entry.get("id")
        identity = (
            str(own)
            if own and (not prefix or "." in str(own))
            else f"{prefix}.{own or entry.get('target', '?')}"
            if prefix
            else str(own or entry.get("target", "?"))
        )
        if identity in self._seen:
            raise PackBroken(file, identity, "another row has this id")
        if not prefix and "id" not in entry:
            raise PackBroken(file, identity, "id is missing: overlays and tests refer to it")
        self._seen.add(identity)
        return identity

    def _nested(self, file: str, identity: str, rows: Any) -> Sequence[Any]:
        """Rows under an ``each`` stand there or are named: a fragment several packs use."""
        if not isinstance(rows, str):
            return rows if isinstance(rows, list | tuple) else ()
        fragments = _load(self._folder / _FRAGMENTS)
        if rows not in fragments:
            raise PackBroken(file, identity, f"there is no fragment {rows}; known are {', '.join(sorted(fragments))}")
        found: Sequence[Any] = fragments[rows]
        return found


def _paths(file: str, row: str, entry: Mapping[str, Any], key: str) -> tuple[str, ...]:
    found = entry.get(key, ())
    if isinstance(found, str):
        return (found,)
    if not isinstance(found, list | tuple) or not all(isinstance(one, str) for one in found):
        raise PackBroken(file, row, f"{key} is a path or a list of paths; put quotes around .1 and the like")
    return tuple(found)


def _refuse_unknown(file: str, row: str, entry: Mapping[str, Any], known: set[str]) -> None:
    for key in entry:
        if key not in known:
            near = difflib.get_close_matches(str(key), sorted(known), 1)
            raise PackBroken(file, row, f"unknown key {key}" + (f"; did you mean {near[0]}?" if near else f"; known are {', '.join(sorted(known))}"))

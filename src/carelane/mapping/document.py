"""Paths into a document (``Patient.Demographics.LastName``, ``Patient.Notes[]``) compiled to closures."""

import re
from collections.abc import Callable, Mapping
from typing import Any

_PATH = re.compile(r"[A-Za-z_][\w-]*(\.[A-Za-z_][\w-]*)*(\[\])?")

LEFTOVER = "v2."
"""How the names of extensions begin that carry what no row of an HL7 v2 map delivered."""

WHOLE = "*"
"""The path of the object itself: what is put there, an object, is merged into it."""

Put = Callable[[dict[str, Any], Any], None]
Get = Callable[[dict[str, Any]], Any]


def compile_put(path: str) -> Put:
    """Return a function that sets the value at a path, making the objects on the way; ``[]`` at the end appends.

    Raises:
        ValueError: the path is malformed.
    """
    if path == WHOLE:
        return _merge
    _check(path)
    if path.endswith("[]"):
        return _appender(path)
    *parents, last = path.split(".")

    def put(document: dict[str, Any], value: Any) -> None:
        for name in parents:
            inner = document.get(name)
            if inner is None:
                inner = document[name] = {}
            document = inner
        document[last] = value

    def put_here(document: dict[str, Any], value: Any) -> None:
        document[last] = value

    return put if parents else put_here


def _appender(path: str) -> Put:
    *parents, last = path.removesuffix("[]").split(".")

    def append(document: dict[str, Any], value: Any) -> None:
        for name in parents:
            document = document.setdefault(name, {})
        found = document.setdefault(last, [])
        if isinstance(value, list):
            found.extend(value)
        elif value is not None:
            found.append(value)

    return append


def compile_get(path: str) -> Get:
    """Return a function that reads the value at a path; None where anything on the way is missing.

    Raises:
        ValueError: the path is malformed.
    """
    if path == WHOLE:
        return lambda document: document
    _check(path)
    names = path.removesuffix("[]").split(".")
    if len(names) == 1:
        only = names[0]
        return lambda document: document.get(only) if isinstance(document, dict) else None

    def get(document: Any) -> Any:
        for name in names:
            if not isinstance(document, dict):
                return None
            document = document.get(name)
            if document is None:
                return None
        return document

    return get


def _merge(document: dict[str, Any], value: Any) -> None:
    document.update(value)


def _check(path: str) -> None:
    if not _PATH.fullmatch(path):
        raise ValueError(f"target {path!r} is no path; write names joined by dots, such as Patient.Demographics.Sex")


def without_leftovers(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document without its leftovers; Z-segments stay: a receiver gets no standard field that no map asked for."""
    meta = document.get("Meta")
    extensions = meta.get("Extensions") if isinstance(meta, dict) else None
    if not isinstance(meta, dict) or not isinstance(extensions, dict) or not any(_is_leftover(name) for name in extensions):
        return dict(document)
    return {**document, "Meta": {**meta, "Extensions": {name: value for name, value in extensions.items() if not _is_leftover(name)}}}


def _is_leftover(name: str) -> bool:
    return name.startswith(LEFTOVER) and not name.startswith(LEFTOVER + "Z")

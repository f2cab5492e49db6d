"""What of a document's object does not come back from its resource stands there in an extension, leaf by leaf, and is put back on the way."""

from collections.abc import Iterator, Mapping
from typing import Any

URL = "urn:carelane:extension:remains"
_ABSENT = "absent"
_MOST_GAP = 1000
_KINDS = {str: "valueString", bool: "valueBoolean", int: "valueDecimal", float: "valueDecimal"}
Path = tuple[str, ...]


def leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield the values of an object with their paths; numbers in a path count the members of a list."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from leaves(inner, (*path, str(name)))
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            yield from leaves(inner, (*path, str(at)))
    elif value is not None:
        yield path, value


def remains(original: Mapping[str, Any], back: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the extension that makes up the difference; None when there is none."""
    wanted, found = dict(leaves(original)), dict(leaves(back))
    parts: list[dict[str, Any]] = [{"url": _ABSENT, "valueString": ".".join(path)} for path in reversed(found) if path not in wanted]
    parts += [{"url": ".".join(path), _KINDS[type(value)]: value} for path, value in wanted.items() if value != "" and not _alike(found.get(path), value)]
    return {"url": URL, "extension": parts} if parts else None


def _alike(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)


def with_remains(back: dict[str, Any], resource: Mapping[str, Any]) -> dict[str, Any]:
    """Put what a resource carries back into the object read from it."""
    extensions = resource.get("extension")
    for one in extensions if isinstance(extensions, list) else ():
        parts = one.get("extension") if isinstance(one, dict) and one.get("url") == URL else None
        for part in parts if isinstance(parts, list) else ():
            if not isinstance(part, dict):
                continue
            if part.get("url") == _ABSENT:
                _drop(back, str(part.get("valueString")).split("."))
                continue
            value = next((part[name] for name in dict.fromkeys(_KINDS.values()) if name in part), None)
            if value is not None and isinstance(part.get("url"), str):
                _put(back, part["url"].split("."), value)
    return back


def _put(found: Any, path: list[str], value: Any) -> None:
    for name, after in zip(path, [*path[1:], ""], strict=True):
        fresh: Any = value if not after else [] if after.isdigit() else {}
        if isinstance(found, list):
            if not name.isdigit() or int(name) > len(found) + _MOST_GAP:
                return
            while int(name) > len(found):  # members before it that say nothing
                found.append(None)
            if int(name) == len(found):
                found.append(fresh)
            elif not after or not isinstance(found[int(name)], type(fresh)):
                found[int(name)] = fresh
            found = found[int(name)]
        elif isinstance(found, dict):
            if not after or not isinstance(found.get(name), type(fresh)):
                found[name] = fresh
            found = found[name]
        else:
            return


def _drop(found: Any, path: list[str]) -> None:
    *parents, last = path
    for name in parents:
        if isinstance(found, list) and name.isdigit() and int(name) < len(found):
            found = found[int(name)]
        elif isinstance(found, dict):
            found = found.get(name)
        else:
            return
    if isinstance(found, dict):
        found.pop(last, None)
    elif isinstance(found, list) and last.isdigit() and int(last) == len(found) - 1:
        found.pop()

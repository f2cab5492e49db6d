"""Compiled validators of the data models, and what a breach looks like: a place and a rule, never a value.

One folder per model, one JSON Schema (2020-12) per event type; ``shared.json`` holds what several models use, a model's own
``shared.json`` what its events share. ``x-reliability`` says how often senders fill a field: required, reliable, probable, possible.
"""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import orjson

from carelane.domain.message import Issue
from carelane.models.fhir import FHIR_EVENTS, RESOURCES, fhir_check

_FOLDER = Path(__file__).parent
_DEFINITIONS = "shared.json"
_SPELLED = {"ClinicalSummary": "Clinical Summary"}
_FOLDERS = {name: folder for folder, name in _SPELLED.items()}
_MOST_ISSUES = 50
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,39}", re.ASCII)  # a stranger's key that does not look like a field's name is not repeated


@cache
def model_events() -> dict[str, tuple[str, ...]]:
    """Return every model the hub offers with its event types, in the spelling they are handed out in."""
    folders = sorted(folder for folder in _FOLDER.iterdir() if (folder / _DEFINITIONS).exists() or any(folder.glob("*.json")))
    classic = {
        _SPELLED.get(folder.name, folder.name): tuple(sorted(file.stem for file in folder.glob("*.json") if file.name != _DEFINITIONS)) for folder in folders
    }
    return {**classic, **FHIR_EVENTS}


@cache
def classic_models() -> tuple[str, ...]:
    """Return the data models proper, without those that carry FHIR."""
    return tuple(name for name in model_events() if not name.startswith("FHIR."))


@cache
def _by_key() -> dict[str, str]:
    names = (*model_events(), *(f"FHIR.{name}" for name in RESOURCES))
    return {_key(name): name for name in names}


def known_model(name: str) -> str | None:
    """Return the documented spelling of any data model the hub can carry, ``FHIR.<Resource>`` among them."""
    return _by_key().get(_key(name))


def spelled(name: str, known: Sequence[str]) -> str | None:
    """Return the documented spelling of a model or event name: spaces, hyphens and case do not count."""
    wanted = _key(name)
    return next((one for one in known if _key(one) == wanted), None)


def _key(name: str) -> str:
    return name.replace(" ", "").replace("-", "").casefold()


@cache
def schema(model: str, event: str) -> dict[str, Any] | None:
    """Return an event type's schema as data, to be read only; None when there is none of this name."""
    if event not in model_events().get(model, ()) or model.startswith("FHIR."):
        return None
    found: dict[str, Any] = orjson.loads((_FOLDER / _FOLDERS.get(model, model) / f"{event}.json").read_bytes())
    return found


@cache
def definitions() -> dict[str, dict[str, Any]]:
    """Return every file of shared shapes under its ``$id``."""
    files = [_FOLDER / _DEFINITIONS, *sorted(_FOLDER.glob(f"*/{_DEFINITIONS}"))]
    loaded = [orjson.loads(file.read_bytes()) for file in files]
    return {one["$id"]: one for one in loaded}


@cache
def _registry() -> jsonschema_rs.Registry:
    return jsonschema_rs.Registry(list(definitions().items()))


@cache
def validator(model: str, event: str) -> jsonschema_rs.Draft202012Validator | None:
    """Return the compiled validator of an event type; None when the hub has no schema for it."""
    found = schema(model, event)
    return None if found is None else jsonschema_rs.Draft202012Validator(found, registry=_registry())


def check(document: Any, model: str, event: str) -> list[Issue]:
    """Return each breach of the event type's schema, with a JSON pointer; an empty list when it fits or has no schema.

    A key no schema names is kept and reported once as information.
    """
    if model.startswith("FHIR."):
        return fhir_check(document)
    whole = _with_names(model, event)
    if whole is None or whole.is_valid(document):
        return []
    return [*_breaches(document, model, event), *_strangers(document, model, event)]


@cache
def _with_names(model: str, event: str) -> jsonschema_rs.Draft202012Validator | None:
    """Return a validator that takes a document of an event type only when it also has no key the schema does not name: nothing to report, in one look."""
    found = schema(model, event)
    if found is None:
        return None
    shapes: dict[str, Any] = {}
    return jsonschema_rs.Draft202012Validator({"allOf": [found, _named(names_of(model, event), shapes)], "$defs": shapes}, registry=_registry())


def _named(tree: dict[str, Any], shapes: dict[str, Any]) -> dict[str, Any] | bool:
    """Write a tree of names as a rule for an object or a list of objects; ``shapes`` collects one definition a tree."""
    if not tree:
        return True
    name = str(id(tree))
    if name not in shapes:
        shapes[name] = {}
        known = {key: key == "Extensions" or _named(inner, shapes) for key, inner in tree.items()}
        shapes[name] = {"properties": known, "additionalProperties": False}
    rule = {"$ref": f"#/$defs/{name}"}
    return {**rule, "items": rule}


def _breaches(document: Any, model: str, event: str) -> list[Issue]:
    rules, issues = validator(model, event), []
    for error in rules.iter_errors(document) if rules is not None else ():
        pointer = "".join(f"/{part}" for part in error.instance_path)
        rule = str(error.schema_path[-1]) if error.schema_path else "schema"
        if rule == "const" and pointer.startswith("/Meta/"):
            continue  # another spelling of the model's or event's name: the caller has already told which one is meant
        code = {"required": "required-missing", "enum": "unknown-value"}.get(rule, "schema")
        issues.append(Issue("warning", code, target=pointer or "/", text=f"does not meet {rule} of {model}.{event}"))
        if len(issues) >= _MOST_ISSUES:
            break
    return issues


@cache
def names_of(model: str, event: str) -> dict[str, Any]:
    """Return the tree of names an event type knows: name → its own names, empty where anything goes."""
    found = schema(model, event)
    return _tree(found, {}) if found else {}


def _tree(rule: dict[str, Any], seen: dict[str, dict[str, Any]]) -> dict[str, Any]:
    reference = rule.get("$ref")
    if reference:
        if reference in seen:
            return seen[reference]
        file, _, path = reference.partition("#/$defs/")
        names = seen[reference] = {}
        names.update(_tree(definitions()[file]["$defs"][path], seen))
        return names
    items = rule.get("items")
    if isinstance(items, dict) and "properties" not in rule:
        return _tree(items, seen)
    return {name: _tree(inner, seen) for name, inner in (rule.get("properties") or {}).items()}


def _strangers(document: Any, model: str, event: str) -> Iterator[Issue]:
    seen: set[str] = set()
    waiting: list[tuple[Any, dict[str, Any], str]] = [(document, names_of(model, event), "")]
    while waiting and len(seen) < _MOST_ISSUES:
        value, known, place = waiting.pop()
        if isinstance(value, list):
            waiting.extend((one, known, place) for one in value if isinstance(one, dict))
        elif isinstance(value, dict) and known:
            for name, inner in value.items():
                if name not in known:
                    where = f"{place}/{name if _NAME.fullmatch(name) else '…'}"
                    if where not in seen:
                        seen.add(where)
                        yield Issue("information", "unknown-key", target=where, text=f"{model}.{event} has no such field; it is kept")
                elif name != "Extensions" and isinstance(inner, dict | list):
                    waiting.append((inner, known[name], f"{place}/{name}"))

"""Compiled validators of the data models, and what a breach looks like: a place and a rule, never a value."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import orjson

from carelane.domain.message import Issue

_FOLDER = Path(__file__).parent
_SHARED = "urn:carelane:models:shared.json"
_MOST_ISSUES = 50


@cache
def model_events() -> dict[str, tuple[str, ...]]:
    """Return every model with its event types, in the spelling they are handed out in."""
    return {folder.name: tuple(sorted(file.stem for file in folder.glob("*.json"))) for folder in sorted(_FOLDER.iterdir()) if any(folder.glob("*.json"))}


def spelled(name: str, known: Sequence[str]) -> str | None:
    """Return the documented spelling of a model or event name: spaces, hyphens and case do not count."""
    wanted = name.replace(" ", "").replace("-", "").casefold()
    return next((one for one in known if one.replace(" ", "").replace("-", "").casefold() == wanted), None)


@cache
def _registry() -> jsonschema_rs.Registry:
    return jsonschema_rs.Registry([(_SHARED, orjson.loads((_FOLDER / "shared.json").read_bytes()))])


@cache
def validator(model: str, event: str) -> jsonschema_rs.Draft202012Validator | None:
    """Return the compiled validator of an event type; None when the hub has no schema for it."""
    file = _FOLDER / model / f"{event}.json"
    if model not in model_events() or event not in model_events()[model]:
        return None
    return jsonschema_rs.Draft202012Validator(orjson.loads(file.read_bytes()), registry=_registry())


def check(document: Any, model: str, event: str) -> list[Issue]:
    """Return each breach of the event type's schema, with a JSON pointer; an empty list when it fits or has no schema."""
    rules = validator(model, event)
    if rules is None or rules.is_valid(document):
        return []
    issues = []
    for error in rules.iter_errors(document):
        pointer = "".join(f"/{part}" for part in error.instance_path)
        rule = str(error.schema_path[-1]) if error.schema_path else "schema"
        code = "required-missing" if rule == "required" else "schema"
        issues.append(Issue("warning", code, target=pointer or "/", text=f"does not meet {rule} of {model}.{event}"))
        if len(issues) >= _MOST_ISSUES:
            break
    return issues

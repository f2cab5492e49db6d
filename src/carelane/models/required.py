"""What an event type requires and a sender did not tell, as receivers that insist on it can take it: there, and empty. Nothing is made up."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from carelane.models.schemas import definitions, schema, validator


def with_required(document: Mapping[str, Any], model: str, event: str) -> dict[str, Any]:
    """Return a document with every required member: texts, lists and objects that are missing are empty; what has a closed set stays missing."""
    rules, whole = validator(model, event), dict(document)
    if rules is None or rules.is_valid(whole):
        return whole
    found: dict[str, Any] = _filled(whole, _wants_of(model, event))
    return found


@dataclass(frozen=True, slots=True)
class _Wants:
    """What an object, or every object of a list, must have: the kinds of its members by name, and what the objects below it must have."""

    members: Mapping[str, type] = field(default_factory=dict)
    below: Mapping[str, "_Wants"] = field(default_factory=dict)
    items: "_Wants | None" = None


def _filled(value: Any, wants: _Wants | None) -> Any:
    """Return a value with what it must have: the very same where nothing is missing, else a copy as far down as there is something to add."""
    if wants is None:
        return value
    if isinstance(value, list):
        items = [_filled(one, wants.items) for one in value]
        return items if any(one is not other for one, other in zip(items, value, strict=True)) else value
    if not isinstance(value, dict):
        return value
    added = {name: kind() for name, kind in wants.members.items() if value.get(name) is None}
    found = {**value, **added} if added else value
    for name, inner in wants.below.items():
        old = found.get(name)
        if old is not None and (new := _filled(old, inner)) is not old:
            found = {**found, name: new}
    return found


@cache
def _wants_of(model: str, event: str) -> _Wants | None:
    return _wants(schema(model, event) or {})


def _wants(rule: dict[str, Any]) -> _Wants | None:
    """Return what a rule requires; None where that is nothing, all the way down."""
    rule = _resolved(rule)
    properties = rule.get("properties", {})
    members = {name: kind for name in rule.get("required", ()) if (kind := _kind(_resolved(properties.get(name, {})))) is not None}
    below = {name: wants for name, inner in properties.items() if (wants := _wants(inner)) is not None}
    items = _wants(rule["items"]) if "items" in rule else None
    return _Wants(members, below, items) if members or below or items else None


def _resolved(rule: dict[str, Any]) -> dict[str, Any]:
    reference = rule.get("$ref")
    if not reference:
        return rule
    file, _, path = str(reference).partition("#/$defs/")
    return {**definitions()[file]["$defs"][path], **{key: one for key, one in rule.items() if key != "$ref"}}


def _kind(rule: Mapping[str, Any]) -> type | None:
    kinds = rule.get("type")
    kind = kinds if isinstance(kinds, str) else next((one for one in kinds or () if one != "null"), None)
    return None if "enum" in rule or "const" in rule else {"string": str, "object": dict, "array": list}.get(str(kind))

"""What an event type requires and a sender did not tell, as receivers that insist on it can take it: there, and empty. Nothing is made up."""

import copy
from collections.abc import Mapping
from typing import Any

from carelane.models.schemas import definitions, schema, validator


def with_required(document: Mapping[str, Any], model: str, event: str) -> dict[str, Any]:
    """Return a document with every required member: texts, lists and objects that are missing are empty; what has a closed set stays missing."""
    rules, whole = validator(model, event), dict(document)
    if rules is None or rules.is_valid(whole):
        return whole
    found = copy.deepcopy(whole)
    _fill(schema(model, event) or {}, found)
    return found


def _fill(rule: dict[str, Any], value: Any) -> None:
    rule = _resolved(rule)
    if isinstance(value, list):
        for one in value:
            _fill(rule.get("items", {}), one)
    elif isinstance(value, dict):
        properties = rule.get("properties", {})
        for name in rule.get("required", ()):
            empty = _empty(_resolved(properties.get(name, {}))) if value.get(name) is None else None
            if empty is not None:
                value[name] = empty
        for name, inner in value.items():
            if name in properties and isinstance(inner, dict | list):
                _fill(properties[name], inner)


def _resolved(rule: dict[str, Any]) -> dict[str, Any]:
    reference = rule.get("$ref")
    if not reference:
        return rule
    file, _, path = str(reference).partition("#/$defs/")
    return {**definitions()[file]["$defs"][path], **{key: one for key, one in rule.items() if key != "$ref"}}


def _empty(rule: Mapping[str, Any]) -> Any:
    kinds = rule.get("type")
    kind = kinds if isinstance(kinds, str) else next((one for one in kinds or () if one != "null"), None)
    if "enum" in rule or "const" in rule:
        return None
    return {"string": "", "object": {}, "array": []}.get(str(kind))

"""Write the reference page of every data model from its schemas, examples and maps: python -m tests.models.reference."""

from pathlib import Path
from typing import Any

import orjson

from carelane.domain.errors import Unmappable
from carelane.formats.fhir.direct.write import plan_of
from carelane.formats.fhir.write import bundle_of
from carelane.formats.hl7v2.packs import pack_name, pack_of
from carelane.formats.hl7v2.triggers import trigger_table
from carelane.models.examples import example
from carelane.models.fhir import FHIR_EVENTS, notification
from carelane.models.schemas import classic_models, definitions, model_events, schema

FOLDER = Path(__file__).parents[2] / "docs" / "reference" / "models"
_MOST_DEPTH = 9
_COMMON = "urn:carelane:models:shared.json#/$defs/"


def file_of(model: str) -> str:
    """Return the name of a model's page."""
    return model.lower().replace(" ", "-") + ".md"


def index() -> str:
    """Return the page that lists all models."""
    lines = [f"| [{model}]({file_of(model)}) | {', '.join(model_events()[model])} |" for model in classic_models()]
    fhir = [f"| {group} | {', '.join(events)} |" for group, events in FHIR_EVENTS.items()]
    return (
        "# Data models\n\nMade from the schemas by `python -m tests.models.reference`. Every message is JSON in a `Meta` envelope that names its model and event.\n"
        'A FHIR subscription carries `{"Meta": {…}, "Resource": {…}}`; any `FHIR.<Resource>` of R4 can be subscribed to as well.\n\n'
        "| Model | Events |\n|---|---|\n" + "\n".join(lines) + "\n\n## FHIR notifications\n\n| Model | Notifications |\n|---|---|\n" + "\n".join(fhir) + "\n"
    )


def page(model: str) -> str:
    """Return one model's page."""
    parts = [
        f"# {model}\n\nMade from the schemas by `python -m tests.models.reference`. **r** required · **!** reliable · **+** probable; the rest is possible.\n"
    ]
    shared: dict[tuple[str, ...], list[str]] = {}
    for event in model_events()[model]:
        shared.setdefault(tuple(_fields(_properties(model, event), "", ())), []).append(event)
    for fields, events in shared.items():
        parts.append("## " + " · ".join(events) + "\n")
        parts += [f"**{event}**: {(schema(model, event) or {})['description']}{_maps(model, event)}\n" for event in events]
        parts.append("| Field | | Type | Meaning |\n|---|---|---|---|\n" + "\n".join(fields) + "\n")
        shown = orjson.dumps(example(model, events[0]), option=orjson.OPT_INDENT_2).decode()
        parts.append(f"<details><summary>Example: {events[0]}</summary>\n\n```json\n{shown}\n```\n\n</details>\n")
    return "\n".join(parts)


def shapes() -> str:
    """Return the page of the shapes that several models use."""
    parts = ["# Shapes used by several models\n\nMade from the schemas by `python -m tests.models.reference`.\n"]
    for name, shape in definitions()["urn:carelane:models:shared.json"]["$defs"].items():
        rows = _fields({key: rule for key, rule in shape["properties"].items() if "description" in rule}, "", ())
        parts.append(f"## {name}\n\n| Field | | Type | Meaning |\n|---|---|---|---|\n" + "\n".join(rows) + "\n")
    return "\n".join(parts)


def _properties(model: str, event: str) -> dict[str, Any]:
    return {name: rule for name, rule in (schema(model, event) or {})["properties"].items() if name not in ("Meta", "Extensions")}


def _maps(model: str, event: str) -> str:
    triggers = [
        f"{code}^{trigger}" for code, lines in trigger_table().items() for trigger, line in lines.items() if line.model == model and event in line.events
    ]
    name = pack_name(model, event)
    told = notification(model, event)
    said = []
    if triggers:
        said.append("HL7 v2 " + ", ".join(triggers))
    elif name:
        said.append("HL7 v2 by a source's own choice of event, or by the message's content")
    if name:
        said.append(f"map `{pack_of(name).name}`")
    kinds = _resources(model, event)
    if told:
        said.append(f"FHIR `{told[0]}` {told[1]}")
    if kinds:
        said.append("FHIR resources " + ", ".join(kinds))
    return f" ({'; '.join(said)})" if said else " (no HL7 v2 message and no FHIR R4 resource)"


def _resources(model: str, event: str) -> list[str]:
    """The resource types an event becomes: as planned, or as its example does."""
    if plan := plan_of(model, event):
        parts = [*plan.parts, *([plan.head] if plan.head else [])]
        return sorted({one.resource for one in parts} | {child.resource for one in parts for _, child in one.inner} | ({"Patient"} if plan.patient else set()))
    try:
        bundle, _ = bundle_of(example(model, event), {}, "1")
    except Unmappable:
        return []
    return sorted({entry["resource"]["resourceType"] for entry in bundle.get("entry", [])} - {"MessageHeader"})


def _fields(properties: dict[str, Any], prefix: str, seen: tuple[str, ...]) -> list[str]:
    rows = []
    for name, rule in properties.items():
        if name == "Extensions":
            continue
        inner, reference = _inner(rule)
        many = "array" in _kinds(rule)
        mark = {"required": "r", "reliable": "!", "probable": "+"}.get(rule.get("x-reliability", ""), "")
        shape = reference.rpartition("/")[2] if reference.startswith(_COMMON) else ""
        named = (
            f"[{shape}](shapes.md#{shape.lower()})" if shape else "object" if inner else ", ".join(one for one in _kinds(rule) if one not in ("null", "array"))
        )
        kind = (f"list of {named or 'text'}" if many else named) or "any"
        values = [str(one) for one in rule.get("enum", ()) if one is not None]
        rows.append(
            f"| `{prefix}{name}{'[]' if many else ''}` | {mark} | {kind} | {rule.get('description', '')}{' One of ' + ', '.join(values) + '.' if values else ''} |"
        )
        if inner and not shape and reference not in seen and len(seen) < _MOST_DEPTH:
            rows += _fields(inner, f"{prefix}{name}{'[]' if many else ''}.", (*seen, reference) if reference else seen)
    return rows


def _kinds(rule: dict[str, Any]) -> list[str]:
    kinds = rule.get("type", [])
    return kinds if isinstance(kinds, list) else [kinds]


def _inner(rule: dict[str, Any]) -> tuple[dict[str, Any], str]:
    target = rule.get("items") if isinstance(rule.get("items"), dict) else rule
    reference = (target or {}).get("$ref", "")
    if reference:
        file, _, path = reference.partition("#/$defs/")
        return definitions()[file]["$defs"][path]["properties"], reference
    return (target or {}).get("properties", {}), ""


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "README.md").write_text(index())
    (FOLDER / "shapes.md").write_text(shapes())
    for one in classic_models():
        (FOLDER / file_of(one)).write_text(page(one))

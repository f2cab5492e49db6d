"""Which row, from which field, made each value of a document: for people who check a map, and for those who ask why."""

from collections.abc import Mapping, Sequence
from typing import Any

from carelane.domain.message import Leftovers, Reason
from carelane.formats.hl7v2.message import Segment
from carelane.formats.hl7v2.overlays import overlay_in_use
from carelane.formats.hl7v2.packs import compiled_map, every_row, pack_name
from carelane.formats.hl7v2.read import traced
from carelane.mapping.pack import Pack, Row
from carelane.mapping.runtime import Hit


def explain(raw: bytes, settings: Mapping[str, Any]) -> list[list[Reason]]:
    """Return the reasons of every document of a message, in the order its rows ran.

    Raises:
        Unreadable: the message has no documents.
    """
    overlay = overlay_in_use(settings, len(raw))
    found = []
    for one, run in traced(raw, settings, Leftovers.CARRY):
        meta = one.document["Meta"]
        name = pack_name(str(meta["DataModel"]), str(meta["EventType"])) if isinstance(meta, dict) else None
        own = compiled_map(name or "").compiled.pack
        changed = overlay.changed.maps.get(name or "") if overlay else None
        pack, rows = changed.compiled.pack if changed else own, {id(row) for row in every_row(own.rows)}
        places = _places(run.members)
        targets = _targets(pack.rows, "")
        by = overlay.changed.overlay.name if overlay else ""
        found.append([_reason(hit, places, targets, pack, "" if id(hit[-1]) in rows else by) for hit in run.hits])
    return found


def _targets(rows: tuple[Row, ...], prefix: str) -> dict[str, str]:
    """Return the whole path of every row's target by row id; lists are marked with [*]."""
    found = {}
    for row in rows:
        path = f"{prefix}{row.target}"
        found[row.id] = path
        found.update(_targets(row.rows, f"{path}{'' if row.single else '[*]'}."))
    return found


def _places(members: Sequence[Segment]) -> dict[int, str]:
    """Return how a segment is called, by the identity of its fields: its name, and its number where there are several."""
    counts: dict[str, int] = {}
    found = {}
    for segment in members:
        counts[segment.name] = counts.get(segment.name, 0) + 1
        found[id(segment.fields)] = f"{segment.name}({counts[segment.name]})"
    return {mark: name.replace("(1)", "") if counts[name[:3]] == 1 else name for mark, name in found.items()}


def _reason(hit: Hit, places: Mapping[int, str], targets: Mapping[str, str], pack: Pack, overlay: str) -> Reason:
    fields, number, _, component, sub, value, row = hit
    source = f"{places.get(id(fields), fields[0] if fields else '?')}-{number}"
    if component:
        source += f".{component}" + (f".{sub}" if sub > 1 else "")
    how = []
    if row.via:
        how.append(f"function {row.via}")
    if row.map:
        code = next((key for key, shown in pack.tables[row.map].forward.items() if shown == value), "")
        how.append(f"table {row.map}" + (f": {code} means {value}" if code else ""))
    if row.when:
        how.append(f"when {row.when}")
    return Reason(targets.get(row.id, row.target), source, row.id, f"{pack.name} {pack.version}", "; ".join(how), value, overlay)

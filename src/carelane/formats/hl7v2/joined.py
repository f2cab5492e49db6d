"""Values told in pieces: text and documents over several OBX, or in several repetitions of OBX-5. A document has one value for them.

Carried along, the segments behind the first stand in ``Extensions["v2.OBX"]`` with ``"0": "joined"`` and all their fields, and OBX-5 of every piece
that is more than a line of the value's text. They are told in pieces again unless the document's value has been changed since.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import tzinfo
from typing import Any

from carelane.formats.hl7v2.escapes import STANDARD, escape
from carelane.formats.hl7v2.groups import files, results
from carelane.formats.hl7v2.message import Segment, parse
from carelane.formats.hl7v2.scope import Context, Scope
from carelane.mapping.edge import Function, Odd

JOINED = "joined"
PLAIN = ("TX", "FT", "ST", "")
_LOOSE = str.maketrans("", "", "-:TZ")
Rebuild = Callable[[Any], str]


def pieces(scope: Scope, value: str | None) -> list[list[Segment]]:
    """Return the OBX that make one value together, where they are several or OBX-5 repeats. ``value`` names the function that reads it."""
    found = [segment for segment in scope.members if segment.name == "OBX"]
    separator = scope.context.message.seps.repetition
    if value is None or not found:
        return []
    if value == "document_file":
        parts = [[segment for segment in one.members if segment.name == "OBX"] for one in files(scope)]
        return [group for group in parts if len(group) > 1 or separator in group[0].field(5)]
    if value != "observation_value":  # a note: the message has one
        return [found] if len(found) > 1 or separator in found[0].field(5) else []
    if sum(segment.field(2) in ("TX", "FT", "ED") for segment in found) < 2 and not any(separator in segment.field(5) for segment in found):
        return []
    groups = [[segment for segment in one.members if segment.name == "OBX"] for one in results(scope)]
    return [group for group in groups if len(group) > 1 or separator in group[0].field(5)]


def is_line(segment: Segment, scope: Scope) -> bool:
    """Whether a piece is one line of the text."""
    text = segment.field(5)
    return segment.field(2) in PLAIN and scope.context.message.seps.repetition not in text and "\n" not in scope.context.unescaped(text)


def apart(
    lines: Sequence[str], parts: Sequence[Mapping[str, Any]], value: Function, rebuild: Rebuild, zone: tzinfo | None, *, spread: bool
) -> tuple[int, list[str]] | None:
    """Return how many of the OBX written from here on the carried parts stand for, and OBX-5 of each; None when the document tells something else now.

    ``spread`` says that a text is written line by line, as a note is.
    """
    kind = str(parts[0].get("2", _field(lines[0], 2)))
    if kind in PLAIN and value.read is not None:
        return _by_line(lines, parts, rebuild, spread=spread)
    if not all("5" in part for part in parts):
        return None
    raws = [rebuild(part["5"]) for part in parts]
    written = _told([(_field(lines[0], 2), _field(lines[0], 5))], value, zone)
    return (1, raws) if _told([(kind, raw) for raw in raws], value, zone) == written else None


def _by_line(lines: Sequence[str], parts: Sequence[Mapping[str, Any]], rebuild: Rebuild, *, spread: bool) -> tuple[int, list[str]] | None:
    carried = [_lines(rebuild(part["5"])) if "5" in part else None for part in parts]
    total = sum(1 if one is None else len(one) for one in carried)
    for used in {1, total} if spread else {1}:
        told = [text for line in lines[:used] for text in _lines(_field(line, 5))]
        if len(told) != total:
            continue
        raws, at = [], 0
        for part, own in zip(parts, carried, strict=True):
            if own is not None and told[at : at + len(own)] != own:
                return None
            raws.append(escape(told[at], STANDARD, formatted=True) if own is None else rebuild(part["5"]))
            at += 1 if own is None else len(own)
        return used, raws
    return None


def _lines(raw: str) -> list[str]:
    """The lines of a text field: repetitions, and line breaks in them."""
    scope = _scope([("TX", raw)], None)
    return [line for text in scope.repetitions(raw) for line in scope.text(text).split("\n")]


def _told(observations: Sequence[tuple[str, str]], value: Function, zone: tzinfo | None) -> str:
    """What a reader makes of OBX-2 and OBX-5; of what it cannot read, the text."""
    scope = _scope(observations, zone)
    found = value.read(None, scope)
    found = found.value if isinstance(found, Odd) else found
    return str(found or scope.leaf(observations[0][1]) or "").translate(_LOOSE)


def _scope(observations: Sequence[tuple[str, str]], zone: tzinfo | None) -> Scope:
    message = parse("\r".join(["MSH|^~\\&|||||||||||2.7||||||UNICODE UTF-8", *(f"OBX||{kind}|||{raw}" for kind, raw in observations)]).encode())
    return Scope(message.by_name, Context(message, zone), members=message.segments)


def _field(line: str, number: int) -> str:
    fields = line.split(STANDARD.field, number + 1)
    return fields[number] if number < len(fields) else ""


def numbered(lines: Sequence[str]) -> list[str]:
    """Number the results of every order, and the notes of everything, anew."""
    out: list[str] = []
    results = notes = 0
    for line in lines:
        name, *fields = line.split(STANDARD.field)
        results = results + 1 if name == "OBX" else results if name in ("NTE", "PRT") else 0
        notes = notes + 1 if name == "NTE" else 0
        if name in ("OBX", "NTE") and fields and fields[0].isdigit():
            fields[0] = str(results if name == "OBX" else notes)
        out.append(STANDARD.field.join([name, *fields]))
    return out

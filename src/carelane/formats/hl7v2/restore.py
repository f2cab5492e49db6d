"""Puts leftovers back into written segments: missing leaves where they were, segments nobody mapped after the one they followed.

What rows have written stays as they wrote it: the document may have been changed on purpose. Only what means the same as the
sender's own text (table 0085 has three codes for *Final*, a time can be told in any zone) gives way to that text.
"""

from collections.abc import Mapping, Sequence
from datetime import tzinfo
from itertools import takewhile
from typing import Any

from carelane.formats.hl7v2.collector import AFTER, ONCE
from carelane.formats.hl7v2.copies import without_copies
from carelane.formats.hl7v2.escapes import STANDARD, escape
from carelane.formats.hl7v2.functions import FUNCTIONS, emails, phone
from carelane.formats.hl7v2.joined import JOINED, apart, numbered
from carelane.formats.hl7v2.message import NULL, parse
from carelane.formats.hl7v2.packs import Map, Way
from carelane.formats.hl7v2.scope import Context, Scope
from carelane.formats.hl7v2.times import instant, own_zone
from carelane.mapping.document import LEFTOVER as PREFIX
from carelane.mapping.edge import Odd

_MAPPED = "0"
_TELECOM = (FUNCTIONS["phone"], FUNCTIONS["mobile"], FUNCTIONS["emails"])
_FORMATTED = ("OBX", "NTE")
Ways = Mapping[int, Way]


def restore(lines: list[str], extensions: Mapping[str, Any], found_by: Map) -> list[str]:
    """Return the lines with every leftover of ``Meta.Extensions`` in its place."""
    found = {name.removeprefix(PREFIX): entries for name, entries in extensions.items() if name.startswith(PREFIX) and isinstance(entries, list)}
    head = next((one for one in found.pop("MSH", []) if isinstance(one, dict)), {})
    if not found:
        return lines
    lines = list(lines)
    new: list[tuple[str, str]] = []
    came: dict[int, Mapping[str, Any]] = {}
    for name, entries in found.items():
        places = [at for at, line in enumerate(lines) if line[:3] == name]
        own = 0
        for number, entry in enumerate(entries):
            if not isinstance(entry, dict) or entry.get(AFTER) == JOINED:
                continue
            if (AFTER in entry and not (name in ONCE and places)) or (own >= len(places) and entry):
                new.append((str(entry.get(AFTER, "")), _line(name, "", entry, {})))
                continue
            if own < len(places):
                came[places[own]] = entry
                chain = list(takewhile(lambda one: isinstance(one, dict) and one.get(AFTER) == JOINED, entries[number + 1 :]))
                own += _placed(lines, places[own:], [entry, *chain], found_by, own_zone(str(head.get("7", ""))))
    without_copies(lines, came)
    whole = [line for text in lines if text for line in text.split("\r")]
    out = _inserted(whole, new)
    return numbered(out) if len(whole) > len(lines) or any(line[:3] in ("OBX", "NTE") for _, line in new) else out


def _placed(lines: list[str], places: Sequence[int], parts: Sequence[Mapping[str, Any]], found_by: Map, zone: tzinfo | None) -> int:
    """Put the leftovers of a segment back, and the segments that were joined to it behind it; return how many lines that was."""
    first, name = places[0], lines[places[0]][:3]
    entry, ways = parts[0], found_by.written
    told = found_by.value if name == "OBX" and (len(parts) > 1 or _is_apart(entry.get("5"))) else None
    if told is None:
        lines[first] = _line(name, lines[first], entry, ways)
        return 1
    spread = told == "document_text"
    found = apart([lines[at] for at in places], parts, FUNCTIONS[told], rebuilt, zone, spread=spread)
    others = {key: value for key, value in entry.items() if key not in ("2", "5")}
    if found is None:
        lines[first] = _line(name, lines[first], others, ways)
        return 1
    used, raws = found
    head = _with(_line(name, lines[first], others, ways), 5, raws[0])
    whole = [_with(head, 2, str(entry["2"])) if "2" in entry else head]
    whole += [
        _with(_line(name, "", {key: value for key, value in part.items() if key != "5"}, {}), 5, raw) for part, raw in zip(parts[1:], raws[1:], strict=True)
    ]
    for at in places[:used]:
        lines[at] = ""
    lines[first] = "\r".join(whole)
    return used


def rebuilt(value: Any) -> str:
    """Return the raw text of a field as leftovers carry it: a text, its components, or a list of its repetitions."""
    return _merged("", value, {}, formatted=True)


def _is_apart(value: Any) -> bool:
    """Whether OBX-5 was told in a way that the document's value does not tell: several repetitions, or a text behind the code's own place."""
    return isinstance(value, list) or (isinstance(value, dict) and "2" not in value and "9" in value)


def _with(line: str, number: int, raw: str) -> str:
    fields = line.split(STANDARD.field)
    fields += [""] * (number + 1 - len(fields))
    fields[number] = raw
    return STANDARD.field.join(fields)


def _inserted(lines: list[str], new: list[tuple[str, str]]) -> list[str]:
    """Insert segments after the ones they followed, and after the notes of those; several after one keep their order."""
    waiting = list(new)
    out: list[str] = []
    counts: dict[str, int] = {"MSH": 1}

    def put(line: str) -> str:
        out.append(line)
        name = line[:3]
        counts[name] = counts.get(name, 0) + 1
        return f"{name} {counts[name]}"

    def follow(mark: str) -> None:
        for place in [one for one in waiting if one[0] == mark]:
            if place in waiting:
                waiting.remove(place)
                follow(put(place[1]))

    owner = "MSH 1"
    for line in lines:
        if line[:3] == "NTE":
            follow(put(line))
            continue
        follow(owner)
        owner = put(line)
    follow(owner)
    while waiting:
        follow(put(waiting.pop(0)[1]))
    return out


def _line(name: str, line: str, entry: Mapping[str, Any], ways: Mapping[tuple[str, int], Ways]) -> str:
    fields = line.split(STANDARD.field) if line else [name]
    for key, value in entry.items():
        if not key.isdigit() or key == AFTER:
            continue
        number = int(key)
        if number > 1000:
            continue
        while len(fields) <= number:
            fields.append("")
        fields[number] = _merged(fields[number], value, ways.get((name, number), {}), formatted=name in _FORMATTED)
    return STANDARD.field.join(fields).rstrip(STANDARD.field)


def _merged(raw: str, value: Any, ways: Ways, *, formatted: bool) -> str:
    way = ways.get(1)
    whole = way is not None and way.function is not None and way.function.takes == "raw"
    if not isinstance(value, list):
        return _one(raw, value, ways, whole=whole, formatted=formatted)
    written = [text for text in raw.split(STANDARD.repetition) if text] if raw else []
    texts = [_repetition("", one, {}, formatted=formatted) if one is not None else "" for one in value]
    mapped = [isinstance(one, dict) and _MAPPED in one for one in value]
    found = _matched(texts, mapped, written, way, whole=whole)
    out = []
    for one, came, is_mapped, here in zip(value, texts, mapped, found, strict=True):
        if not is_mapped:
            out.append(came)
        elif here is not None:
            out.append(_one(here, one, ways, whole=whole, formatted=formatted) if came else here)
        elif came in out:  # told twice, read once
            out.append(came)
    return STANDARD.repetition.join([*out, *written]).rstrip(STANDARD.repetition)


def _matched(texts: Sequence[str], mapped: Sequence[bool], written: list[str], way: Way | None, *, whole: bool) -> list[str | None]:
    """Take the written repetition of each that came: the one that means the same, then of what is left the next."""
    found: list[str | None] = [None] * len(texts)
    for at, came in enumerate(texts):
        if mapped[at] and whole and came:
            found[at] = next((text for text in written if _same(text, came, way)), None)
            if (here := found[at]) is not None:
                written.remove(here)
    for at, came in enumerate(texts):
        if mapped[at] and found[at] is None and written and not (whole and came):
            found[at] = written.pop(0)
    return found


def _one(raw: str, value: Any, ways: Ways, *, whole: bool, formatted: bool) -> str:
    if whole and raw:
        came = _repetition("", value, {}, formatted=formatted)
        return came if _same(raw, came, ways.get(1)) else raw
    return _repetition(raw, value, ways, formatted=formatted)


def _repetition(raw: str, value: Any, ways: Ways, *, formatted: bool) -> str:
    components = raw.split(STANDARD.component) if raw else []
    for key, one in value.items() if isinstance(value, dict) else [("1", value)]:
        if not str(key).isdigit() or not 0 < int(key) <= 1000:
            continue
        at = int(key) - 1
        while len(components) <= at:
            components.append("")
        subs = components[at].split(STANDARD.subcomponent) if components[at] else []
        for inner, text in one.items() if isinstance(one, dict) else [("1", one)]:
            if not str(inner).isdigit() or not 0 < int(inner) <= 1000:
                continue
            while len(subs) < int(inner):
                subs.append("")
            here, came = subs[int(inner) - 1], NULL if text == NULL else escape(str(text), STANDARD, formatted=formatted)
            if not here or _same(here, came, ways.get(at + 1)):
                subs[int(inner) - 1] = came
        components[at] = STANDARD.subcomponent.join(subs)
    return STANDARD.component.join(components)


def _same(written: str, came: str, way: Way | None) -> bool:
    """Whether two texts of a field mean the same."""
    if way is None:
        return False
    if way.table is not None:
        return way.table.forward.get(came, way.default or came) == way.table.forward.get(written, written)
    if way.function is None:
        return False
    if way.function is FUNCTIONS["datetime"]:
        return instant(written) == instant(came) is not None
    return bool(_meaning(written, way) == _meaning(came, way))


def _meaning(text: str, way: Way) -> Any:
    scope = Scope({}, Context(_BARE))
    if way.function in _TELECOM:
        return phone(text, scope), emails(text, scope)
    value = way.function.read(text, scope) if way.function is not None else text
    return value.value if isinstance(value, Odd) else value


_BARE = parse(b"MSH|^~\\&|")

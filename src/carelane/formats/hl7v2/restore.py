"""Puts leftovers back into written segments: missing leaves where they were, segments nobody mapped after the one they followed.

What rows have written stays as they wrote it: the document may have been changed on purpose. Only what means the same as the
sender's own text (table 0085 has three codes for *Final*, a time can be told in any zone) gives way to that text.
"""

from collections.abc import Mapping
from typing import Any

from carelane.formats.hl7v2.escapes import STANDARD, escape
from carelane.formats.hl7v2.functions import FUNCTIONS, emails, phone
from carelane.formats.hl7v2.message import NULL, parse
from carelane.formats.hl7v2.packs import Way
from carelane.formats.hl7v2.scope import Context, Scope
from carelane.formats.hl7v2.times import instant
from carelane.mapping.document import LEFTOVER as PREFIX
from carelane.mapping.edge import Odd

AFTER = _MAPPED = "0"
_TELECOM = (FUNCTIONS["phone"], FUNCTIONS["mobile"], FUNCTIONS["emails"])
_FORMATTED = ("OBX", "NTE")
_ONCE = ("PID", "PD1", "PV1", "PV2")
"""Segments a patient group has once: one that rows wrote for another reason is the same one."""
Ways = Mapping[tuple[str, int], Way]


def restore(lines: list[str], extensions: Mapping[str, Any], ways: Ways) -> list[str]:
    """Return the lines with every leftover of ``Meta.Extensions`` in its place."""
    found = {name.removeprefix(PREFIX): entries for name, entries in extensions.items() if name.startswith(PREFIX) and isinstance(entries, list)}
    found.pop("MSH", None)
    if not found:
        return lines
    lines = list(lines)
    new: list[tuple[str, str]] = []
    for name, entries in found.items():
        places = [at for at, line in enumerate(lines) if line[:3] == name]
        own = 0
        for entry in entries:
            if not isinstance(entry, dict):
                continue
            if (AFTER in entry and not (name in _ONCE and places)) or (own >= len(places) and entry):
                new.append((str(entry.get(AFTER, "")), _line(name, "", entry, {})))
                continue
            if own < len(places):
                lines[places[own]] = _line(name, lines[places[own]], entry, ways)
            own += 1
    return _inserted(lines, new)


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
            put(line)
            continue
        follow(owner)
        owner = put(line)
    follow(owner)
    while waiting:
        follow(put(waiting.pop(0)[1]))
    return out


def _line(name: str, line: str, entry: Mapping[str, Any], ways: Ways) -> str:
    fields = line.split(STANDARD.field) if line else [name]
    for key, value in entry.items():
        if not key.isdigit() or key == AFTER:
            continue
        number = int(key)
        if number > 1000:
            continue
        while len(fields) <= number:
            fields.append("")
        fields[number] = _merged(fields[number], value, ways.get((name, number)), formatted=name in _FORMATTED)
    return STANDARD.field.join(fields).rstrip(STANDARD.field)


def _merged(raw: str, value: Any, way: Way | None, *, formatted: bool) -> str:
    whole = way is not None and way.function is not None and way.function.takes == "raw"
    if not isinstance(value, list):
        return _one(raw, value, way, whole=whole, formatted=formatted)
    written = [text for text in raw.split(STANDARD.repetition) if text] if raw else []
    out = []
    for one in value:
        if not (isinstance(one, dict) and _MAPPED in one):
            out.append(_repetition("", one, None, formatted=formatted) if one is not None else "")
            continue
        came = _repetition("", one, None, formatted=formatted)
        here = next((text for text in written if whole and _same(text, came, way)), None)
        if here is None and written and not whole:
            here = written[0]
        if here is None and whole and not came and written:
            here = written[0]
        if here is not None:
            written.remove(here)
            out.append(_one(here, one, way, whole=whole, formatted=formatted) if came else here)
    return STANDARD.repetition.join([*out, *written]).rstrip(STANDARD.repetition)


def _one(raw: str, value: Any, way: Way | None, *, whole: bool, formatted: bool) -> str:
    if whole and raw:
        came = _repetition("", value, None, formatted=formatted)
        return came if _same(raw, came, way) else raw
    return _repetition(raw, value, way, formatted=formatted)


def _repetition(raw: str, value: Any, way: Way | None, *, formatted: bool) -> str:
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
            if not here or (at == 0 and _same(here, came, way)):
                subs[int(inner) - 1] = came
        components[at] = STANDARD.subcomponent.join(subs)
    if way is not None and way.first is not None and isinstance(value, str | dict):
        _unmoved(components, way.first[2] - 1, [at - 1 for at in way.others], value)
    return STANDARD.component.join(components)


def _unmoved(components: list[str], first: int, others: list[int], value: Any) -> None:
    """A text that was read from another component because the first was empty stands there again, and only there."""
    came = set(value) if isinstance(value, dict) else {"1"}
    for other in others:
        if str(other + 1) in came and str(first + 1) not in came and max(first, other) < len(components) and components[first] == components[other]:
            components[first] = ""


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

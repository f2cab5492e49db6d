"""Writes HL7 v2: segments and groups grow as rows put values into them, and come out in the structure's order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from carelane.formats.hl7v2.escapes import STANDARD, Separators, escape
from carelane.formats.hl7v2.message import NULL
from carelane.mapping.runtime import Meter

Repetition = list[list[str]]
"""Components, each a list of sub-components."""


@dataclass
class Builder:
    """One level of a message under construction: its segments, and the groups below it."""

    seps: Separators = STANDARD
    segments: dict[str, dict[int, list[Repetition]]] = field(default_factory=dict)
    branches: dict[str, list["Builder"]] = field(default_factory=dict)
    root: str = ""
    context: Any = None
    """What functions that write need beside the value; the format's own."""
    meter: Meter | None = None
    """Only for maps with an overlay: how much it may still write."""
    _focus: Repetition | None = None

    def put(self, name: str, number: int, component: int, sub: int, value: Any) -> None:
        """Set one leaf of the first repetition."""
        fields = self.segments.get(name)
        if fields is None:
            fields = self.segments[name] = {}
        repetitions = fields.get(number)
        if repetitions is None:
            repetitions = fields[number] = [[]]
        text = value if type(value) is str else _text(value)
        if self.meter is not None:
            self.meter.spend(len(text))
        _set(repetitions[0], component, sub, text)

    def put_field(self, name: str, number: int, value: Any) -> None:
        """Set whole repetitions: one as a list of components, several as a list of those."""
        many = value if value and isinstance(value[0], list) and any(isinstance(part, list) for part in value[0]) else [value]
        repetitions = [self._spent(_components(one)) for one in many]
        found = self.segments.setdefault(name, {}).setdefault(number, [])
        if found == [[]]:
            found.clear()
        found.extend(repetitions)

    def put_leaf(self, component: int, sub: int, value: Any) -> None:
        """Set one leaf of the repetition this builder stands in."""
        if self._focus is not None:
            text = _text(value)
            self.spend(len(text))
            _set(self._focus, component, sub, text)

    def put_repetition(self, value: Sequence[Any]) -> None:
        """Set the repetition this builder stands in."""
        if self._focus is not None:
            self._focus[:] = self._spent(_components(value))

    def spend(self, steps: int) -> None:
        """Take steps off an overlay's meter; raises ``Exhausted`` when there are none left."""
        if self.meter is not None:
            self.meter.spend(steps)

    def _spent(self, repetition: Repetition) -> Repetition:
        if self.meter is not None:
            self.meter.spend(sum(len(part) for component in repetition for part in component))
        return repetition

    def repetition(self, name: str, number: int, _count: int) -> "Builder":
        """Open one more repetition of a field."""
        new: Repetition = []
        self.segments.setdefault(name, {}).setdefault(number, []).append(new)
        return Builder(self.seps, context=self.context, meter=self.meter, _focus=new)

    def branch(self, name: str, number: int) -> "Builder":
        """Open one more segment or group, numbered in its set id where the standard has one in field 1."""
        child = Builder(self.seps, root=name, context=self.context, meter=self.meter)
        self.branches.setdefault(name, []).append(child)
        if name in _SET_ID:
            child.put(name, 1, 1, 1, str(number + 1))
        return child

    def text(self, name: str, repetitions: Sequence[Repetition]) -> str:
        """Return the text of a field of a segment."""
        return self._field(list(repetitions), formatted=name in _FORMATTED)

    def lines(self, order: Sequence[str]) -> list[str]:
        """Return the segments in a structure's order; what the order does not name comes last."""
        out: list[str] = []
        self._lines(_ranks(_noted(order)), _ranks(order), out)
        return out

    def _lines(self, ranks: Mapping[str, int], inner: Mapping[str, int], out: list[str]) -> None:
        names = list(dict.fromkeys((*self.segments, *self.branches)))
        if len(names) > 1:
            root, last = self.root, len(ranks)
            names.sort(key=lambda name: -1 if name == root else ranks.get(name, last))
        for name in names:
            if name in self.segments:
                out.append(self._line(name, self.segments[name]))
            for child in self.branches.get(name, ()):
                child._lines(inner, inner, out)

    def _line(self, name: str, fields: dict[int, list[Repetition]]) -> str:
        last = max(fields, default=0)
        formatted = name in _FORMATTED
        texts = [self._field(fields[number], formatted=formatted) if number in fields else "" for number in range(1, last + 1)]
        return self.seps.field.join([name, *texts]).rstrip(self.seps.field)

    def _field(self, repetitions: list[Repetition], *, formatted: bool) -> str:
        if not repetitions:
            return ""
        seps = self.seps
        texts = []
        for repetition in repetitions:
            components = []
            for parts in repetition:
                if len(parts) == 1:
                    components.append(_escaped(parts[0], seps, formatted=formatted))
                else:
                    components.append(seps.subcomponent.join([_escaped(part, seps, formatted=formatted) for part in parts]))
            texts.append(components[0] if len(components) == 1 else seps.component.join(components).rstrip(seps.component))
        return texts[0] if len(texts) == 1 else seps.repetition.join(texts)


_SET_ID = frozenset({"NK1", "AL1", "DG1", "GT1", "IN1", "OBR", "OBX", "NTE", "PID", "PR1", "FT1", "AIS", "AIG", "AIL", "AIP"})
_FORMATTED = ("OBX", "NTE")


def _text(value: Any) -> str:
    if value is True or value is False:
        return "Y" if value else "N"
    return str(value)


def _components(value: Any) -> Repetition:
    if isinstance(value, str):
        return [[value]]
    return [part if isinstance(part, list) else ["" if part is None else _text(part)] for part in value]


def _escaped(text: str, seps: Separators, *, formatted: bool) -> str:
    return text if not text or text == NULL or text.isalnum() else escape(text, seps, formatted=formatted)


def _ranks(order: Sequence[str]) -> dict[str, int]:
    return {name: at for at, name in reversed(list(enumerate(order)))}


def _set(repetition: Repetition, component: int, sub: int, text: str) -> None:
    if not repetition and component == sub == 1:
        repetition.append([text])
        return
    while len(repetition) < component:
        repetition.append([""])
    parts = repetition[component - 1]
    while len(parts) < sub:
        parts.append("")
    parts[sub - 1] = text


def _noted(order: Sequence[str]) -> Sequence[str]:
    """A message's own notes stand behind its patient, before any group."""
    if "PID" not in order or "NTE" not in order or order.index("NTE") < order.index("PID"):
        return order
    behind = "PD1" if "PD1" in order else "PID"
    rest = [name for name in order if name != "NTE"]
    at = rest.index(behind) + 1
    return [*rest[:at], "NTE", *rest[at:]]

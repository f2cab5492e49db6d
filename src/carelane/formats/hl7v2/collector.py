"""What comes back from a document segment by segment, and what does not: the entry each segment leaves in ``Extensions["v2.…"]``; see ``leftovers``."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from carelane.formats.hl7v2.copies import EMPTY
from carelane.formats.hl7v2.joined import JOINED, is_line
from carelane.formats.hl7v2.message import NULL, Segment
from carelane.formats.hl7v2.packs import ABOUT_A_PATIENT, ASKED, Map, Way
from carelane.formats.hl7v2.scope import Scope
from carelane.mapping.runtime import Hit, Run

AFTER = "0"
_MAPPED = "0"
_LOOSE = str.maketrans("", "", " -:.TZ()/,\n")
_NONE: frozenset[int] = frozenset()
_HEADS = ("MSH", "EVN")
"""Segments whose first field is no set id."""
ONCE = ("PID", "PD1", "PV1", "PV2")
"""Segments a patient group has once: one that rows wrote for another reason is the same one."""
_TOLD = (("MSH", 7), ("MSH", 11))
"""Fields that ``Meta`` tells in its own way, so that nothing of them is unmapped."""

Taken = dict[tuple[int, int], list[Hit]]
Ways = Mapping[str, Way]


class Collector:
    """Goes through the segments of one patient group."""

    def __init__(self, scope: Scope, run: Run, found_by: Map) -> None:
        self._scope = scope
        self._always = ("MSH", "EVN", "PID") if scope.context.message.get("MSH", 9) in ABOUT_A_PATIENT else ("MSH", "EVN")
        self._ways = found_by.ways
        self._as = {"RXO": "RXE"} if scope.context.message.get("MSH", 9) in ASKED else {}
        self.unmapped: dict[str, None] = {}
        self._taken: Taken = {}
        self._touched = run.touched
        self._empty: dict[int, list[tuple[int, int]]] = {}
        self._inherited: dict[str, set[int]] = {}
        """Fields by segment that some of that name have from another segment, such as the time of a result from its order."""
        for hit in run.hits:
            self._taken.setdefault((id(hit[0]), hit[1]), []).append(hit)
            first = found_by.firsts.get(hit[6].id)
            if first is not None and (hit[1] != first[1] or (hit[3] and hit[3] != first[2])):
                self._moved(hit, first)
        seps = scope.context.message.seps
        self._component, self._repetition, self._sub = seps.component, seps.repetition, seps.subcomponent

    def heads(self, orders: Sequence[Sequence[Segment]]) -> tuple[set[int], set[int]]:
        """Of the groups that become orders, return the identities of those ORC that lead one, and of the first segments of those without."""
        read = {mark for mark, _ in self._taken}
        led: set[int] = set()
        bare: set[int] = set()
        for group in orders:
            if any(id(segment.fields) in read for segment in group):
                (led if group[0].name == "ORC" else bare).add(id(group[0]))
        return led, bare

    def _moved(self, hit: Hit, first: tuple[str, int, int]) -> None:
        """Note the place a row will write though it read another: of the same segment, or of one that a patient group has once."""
        name, number, component = first
        fields = hit[0] if hit[0][0] == name else next((one.fields for one in self._scope.segments.get(name, ())), None) if name in ONCE else None
        if fields is not None:
            self._empty.setdefault(id(fields), []).append((number, component if hit[3] else 0))
        elif name not in ONCE:
            self._inherited.setdefault(name, set()).add(number)

    def numbers(self, orders: Sequence[Sequence[Segment]]) -> None:
        """Note the order numbers only one of ORC and OBR has: the other will be given them."""
        for group in orders:
            head, request = (next((one for one in group if one.name == name), None) for name in ("ORC", "OBR"))
            for number in (2, 3) if head is not None and request is not None else ():
                for one, other in ((head, request), (request, head)):
                    if not one.field(number) and other.field(number):  # type: ignore[union-attr]
                        self._empty.setdefault(id(one.fields), []).append((number, 0))  # type: ignore[union-attr]

    def _mark(self, entry: dict[str, Any], fields: list[str], number: int, component: int) -> None:
        """Mark a place in a segment's entry as one that came empty."""
        raw = fields[number] if number < len(fields) else ""
        if raw == NULL:  # it comes back as it is
            return
        if not raw:
            entry[str(number)] = EMPTY
            return
        parts = raw.split(self._component)
        text = parts[component - 1] if 0 < component <= len(parts) else ""
        left = entry.get(str(number), {})
        if self._repetition in raw or not component or text[:1] not in ("", self._sub) or isinstance(left, list):
            return
        whole = left if isinstance(left, dict) else {"1": left}
        inner = whole.get(str(component))
        whole[str(component)] = {"1": EMPTY, **inner} if isinstance(inner, dict) else EMPTY
        entry[str(number)] = whole

    def entry(self, segment: Segment, handled: frozenset[int]) -> tuple[dict[str, Any], bool]:
        """Return a segment's leftover fields, and whether any row or code used the segment."""
        entry: dict[str, Any] = {}
        name, fields = segment.name, segment.fields
        mark, used, plain = id(fields), name in self._always, name[0] != "Z"
        for number, raw in enumerate(fields):
            if not raw or not number or (number in handled and (number != 1 or raw.isdigit() or name in _HEADS)):
                continue
            hits = self._taken.get((mark, number))
            if hits is None:
                entry[str(number)] = shown(raw, self._scope)
                if plain and (name, number) not in _TOLD:
                    self.unmapped[f"{name}-{number}"] = None
                continue
            used = used or any(self._written(hit, name) for hit in hits)
            left = NULL if raw == NULL else self._left(raw, hits, name, number)
            if left is not None:
                entry[str(number)] = left
        used = used or mark in self._touched
        for number, component in (*self._empty.get(mark, ()), *((number, 0) for number in self._inherited.get(name, ()))):
            self._mark(entry, fields, number, component)
        if not used and 1 in handled and len(fields) > 1 and fields[1]:
            entry["1"] = shown(fields[1], self._scope)
        return entry, used

    def _left(self, raw: str, hits: Sequence[Hit], name: str, number: int) -> Any:
        """Return what is left over of a field that rows read; None when all of it comes back."""
        hit = hits[0]
        if hit[4] and self._component not in raw and self._repetition not in raw and self._sub not in raw:
            back = self._plain(hit, name, number) or self._comes_back(hit, raw, name, number)
            return None if back else self._scope.context.unescaped(raw)
        return self._field(raw, hits, name, number)

    def piece(self, segment: Segment, left: dict[str, Any], *, joined: bool) -> dict[str, Any]:
        """Return the entry of an OBX that tells a part of a value: the first keeps what is left over, the others stand for themselves."""
        whole: dict[str, Any] = {str(number): shown(raw, self._scope) for number, raw in enumerate(segment.fields) if number and raw}
        entry = {**whole, AFTER: JOINED} if joined else {**left, **{key: text for key, text in whole.items() if key in ("2", "5")}}
        if is_line(segment, self._scope):
            entry.pop("5", None)
        return entry

    def _written(self, hit: Hit, name: str) -> bool:
        """Whether the way back of what was delivered writes into a segment of this name."""
        way = self._ways.get(hit[6].id)
        return way is not None and way.back and (way.first is None or way.first[0] == self._as.get(name, name))

    def _plain(self, hit: Hit, name: str, number: int) -> bool:
        """Whether the way back certainly writes this leaf again."""
        way = self._ways[hit[6].id]
        return way.plain and (way.first is None or way.first == (name, number, hit[3]))

    def _comes_back(self, hit: Hit, raw: str, name: str, number: int) -> bool:
        """Whether the way back writes this leaf again, in this place and as it was."""
        way = self._ways.get(hit[6].id)
        if way is None or not way.back or (way.first is not None and way.first != (name, number, hit[3])):
            return False
        if way.function is None or way.function.write is None:
            return True
        return bool(way.function.write(hit[5], None) == raw)

    def _field(self, raw: str, hits: Sequence[Hit], name: str, number: int) -> Any:
        if not self._repetition or self._repetition not in raw:
            return self._one(raw, hits, name, number)
        repetitions = raw.split(self._repetition)
        whole = [hit for hit in hits if hit[2] == raw and not hit[4]]
        if whole and len(whole) == len(hits) and all(self._whole(hit, raw, name, number) for hit in whole):
            return None
        left: list[Any] = []
        for text in repetitions:
            concerned = [hit for hit in hits if hit[2] in (text, raw)]
            one = self._one(text, concerned, name, number) if text else None
            if concerned and text:
                one = {_MAPPED: "mapped", **(one if isinstance(one, dict) else {} if one is None else {"1": one})}
            left.append(one)
        if all(one is None or one == {_MAPPED: "mapped"} for one in left):
            return None
        while left and left[-1] is None:
            left.pop()
        return left

    def _one(self, text: str, hits: Sequence[Hit], name: str, number: int) -> Any:
        """Return what is left of one repetition: all of it when a function read it and does not write the same again, else its single leaves."""
        if not hits:
            self.unmapped[f"{name}-{number}"] = None
            return _shown_repetition(text, self._scope)
        read = next((hit for hit in hits if not hit[4] and not hit[3]), None)
        if read is not None and self._whole(read, text, name, number):
            return None
        certain = [hit[3] for hit in hits if hit[4] == 1 and self._plain(hit, name, number)]
        known = _Known(hits, self._ways)
        left: dict[str, Any] = {}
        for at, component in enumerate(text.split(self._component), 1):
            if not component or (at in certain and self._sub not in component):
                continue
            subs = component.split(self._sub) if self._sub in component else (component,)
            kept = {str(sub): raw for sub, raw in enumerate(subs, 1) if raw and not self._leaf(raw, at, sub, len(subs), known, name, number)}
            if kept and read is None:
                shown = {sub: self._scope.context.unescaped(raw) for sub, raw in kept.items()}
                left[str(at)] = shown["1"] if len(subs) == 1 else shown
        return left or None if read is None else self._marked(_shown_repetition(text, self._scope), read)

    def _marked(self, shown: Any, read: Hit) -> Any:
        """A function that writes one component marks it where the repetition has none: it was made of others."""
        function = self._ways[read[6].id].function
        if function is not None and function.at > 1:
            shown = shown if isinstance(shown, dict) else {"1": shown}
            shown.setdefault(str(function.at), EMPTY)
        elif isinstance(shown, dict) and function is not None and function.put is not None and len(function.parts or ()) == 1:
            for part in function.parts or ():
                shown.setdefault(str(part), EMPTY)
        return shown

    def _leaf(self, raw: str, at: int, sub: int, subs: int, known: "_Known", name: str, number: int) -> bool:
        """Whether a leaf comes back by itself; one that no row delivered is noted."""
        by = known.leaves.get((at, sub)) or (known.leaves_of.get(at) if subs == 1 else None)
        if by is not None:
            return self._plain(by, name, number) or self._comes_back(by, raw, name, number)
        if not known.delivers(at, sub, self._scope.context.unescaped(raw)):
            self.unmapped[f"{name}-{number}.{at}"] = None
        return False

    def _whole(self, hit: Hit, text: str, name: str, number: int) -> bool:
        """Whether the function that read this text writes the very same again, in this field."""
        way = self._ways.get(hit[6].id)
        if way is None or not way.back or way.function is None or (way.first is not None and way.first[:2] != (name, number)):
            return False
        if way.function.put is not None:
            alone = self._component * (way.function.at - 1) + text.rpartition(self._component)[2] == text if self._component else True
            return alone or (way.function.at == 1 and (way.function.parts is None or self._verbatim(text, hit[5])))
        if way.function.write is None or hit[5] == NULL:
            return False
        return written(way.function.write(hit[5], None)) == _values(text, self._scope)

    def _verbatim(self, text: str, value: Any) -> bool:
        """Whether a repetition was delivered as one text, with the delimiters in it."""
        wanted = self._scope.context.unescaped(text)
        return any(wanted in {line, whole} for whole in _texts(value) for line in whole.split("\n"))


class _Known:
    """What the hits of one repetition delivered: leaves read one by one, and what functions made of the whole."""

    __slots__ = ("_all", "_parts", "_texts", "leaves", "leaves_of")

    def __init__(self, hits: Sequence[Hit], ways: Ways) -> None:
        self.leaves: dict[tuple[int, int], Hit] = {}
        self.leaves_of: dict[int, Hit] = {}
        self._all = False
        self._parts: set[int] = set()
        self._texts: list[tuple[int, list[str]]] = []
        for hit in hits:
            if hit[4]:
                self.leaves.setdefault((hit[3], hit[4]), hit)
                self.leaves_of.setdefault(hit[3], hit)
                continue
            function = ways[hit[6].id].function
            parts = function.parts if function is not None else _NONE
            if parts is None:
                self._all = True
            else:
                self._parts |= parts
            self._texts.append((hit[3], list(_texts(hit[5]))))

    def delivers(self, at: int, sub: int, leaf: str) -> bool:
        """Whether a function translated this leaf, or its text is in what one returned."""
        if self._all or (at in self._parts and sub == 1):
            return True
        return any(component in (0, at) and (leaf in texts or (len(leaf) > 2 and _inside(leaf, texts))) for component, texts in self._texts)


def _inside(leaf: str, texts: Sequence[str]) -> bool:
    if any(leaf in text for text in texts):
        return True
    loose = leaf.translate(_LOOSE)
    return len(loose) > 2 and any(loose in text.translate(_LOOSE) for text in texts)


def written(value: Any) -> list[list[list[str]]]:
    """Return what a function writes as repetitions of components of sub-components, without empty ends."""
    if value is None:
        return []
    if isinstance(value, str):
        return [[[value]]]
    many = value if value and isinstance(value[0], list) and any(isinstance(part, list) for part in value[0]) else [value]
    return [_trimmed([[str(leaf) for leaf in part] if isinstance(part, list) else ["" if part is None else str(part)] for part in one]) for one in many]


def _values(text: str, scope: Scope) -> list[list[list[str]]]:
    seps, unescaped = scope.context.message.seps, scope.context.unescaped
    repetitions = text.split(seps.repetition) if seps.repetition else [text]
    return [_trimmed([[unescaped(leaf) for leaf in part.split(seps.subcomponent)] for part in one.split(seps.component)]) for one in repetitions]


def _trimmed(components: list[list[str]]) -> list[list[str]]:
    while components and not any(components[-1]):
        components.pop()
    return components


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list | tuple):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _texts(one)
    elif value is not None and not isinstance(value, bool):
        yield str(value)


def shown(raw: str, scope: Scope) -> Any:
    """Return a raw field as leftovers carry it: a text, its components, or a list of its repetitions."""
    seps = scope.context.message.seps
    if seps.repetition and seps.repetition in raw:
        return [_shown_repetition(text, scope) if text else None for text in raw.split(seps.repetition)]
    return _shown_repetition(raw, scope)


def _shown_repetition(text: str, scope: Scope) -> Any:
    seps, unescaped = scope.context.message.seps, scope.context.unescaped
    if seps.component not in text and seps.subcomponent not in text:
        return unescaped(text)
    shown: dict[str, Any] = {}
    for number, component in enumerate(text.split(seps.component), 1):
        if component:
            subs = component.split(seps.subcomponent) if seps.subcomponent in component else [component]
            shown[str(number)] = unescaped(component) if len(subs) == 1 else {str(at): unescaped(sub) for at, sub in enumerate(subs, 1) if sub}
    return shown

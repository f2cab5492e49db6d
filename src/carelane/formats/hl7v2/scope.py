"""Where in a message a row is looking: the segments in sight, and the repetition if it is inside one."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo

from carelane.domain.message import Issue
from carelane.formats.hl7v2.escapes import unescape
from carelane.formats.hl7v2.message import NULL, Message, Segment, pick


@dataclass(slots=True)
class Context:
    """What stays the same over one conversion. ``zone`` is used for times that carry none: the source's own, else MSH-7's."""

    message: Message
    zone: tzinfo | None = None
    zoneless: bool = False
    noted: dict[Issue, None] = field(default_factory=dict)
    """What was odd about how segments follow one another, told once."""
    texts: dict[str, list[str]] = field(default_factory=dict)
    moments: dict[str, object] = field(default_factory=dict)
    """Times already read: the results of one panel share theirs."""
    types: tuple[Sequence[str], Counter[str]] = ((), Counter())
    """The identifiers whose types were counted last, and how many are of each."""
    uses: dict[str, str] = field(default_factory=dict)
    """What telephone numbers already looked at are for: every row that takes one kind asks of each."""
    sentinels: frozenset[str] = frozenset({"00000000", "99991231", "00000000000000", "99991231235959"})

    def unescaped(self, text: str) -> str:
        """Return a leaf's text without escapes."""
        seps = self.message.seps
        return unescape(text, seps, self.message.codec) if seps.escape in text else text

    def types_of(self, siblings: Sequence[str]) -> Counter[str]:
        """Return how many of some identifiers are of each type (CX-5); counted once however many of them ask."""
        if self.types[0] is not siblings:
            self.types = siblings, Counter(pick(text, self.message.seps.component, 5) for text in siblings)
        return self.types[1]

    def values(self, repetition: str) -> list[str]:
        """Return the first leaf of every component, unescaped, empty for an explicit null; worked out once however many rows ask."""
        found = self.texts.get(repetition)
        if found is None:
            seps = self.message.seps
            found = repetition.split(seps.component)
            if seps.subcomponent in repetition:
                found = [part.split(seps.subcomponent, 1)[0] for part in found]
            if seps.escape in repetition:
                found = [unescape(part, seps, self.message.codec) for part in found]
            if NULL in repetition:
                found = ["" if part == NULL else part for part in found]
            self.texts[repetition] = found
        return found


@dataclass(slots=True)
class Scope:
    """The view of one level: the message, a patient group, an order, a segment or a repetition."""

    segments: dict[str, list[Segment]]
    context: Context
    repetition: str = ""
    siblings: tuple[str, ...] = ()
    number: int = 0
    members: Sequence[Segment] = ()
    origin: tuple[list[str], int] = ([], 0)
    """The fields and the number of the field that ``repetition`` is part of."""

    def within(self, segments: Mapping[str, list[Segment]], number: int = 0, members: Sequence[Segment] = ()) -> "Scope":
        """Return a narrower view in which these segments stand before those of the same name around them."""
        return Scope({**self.segments, **segments}, self.context, "", (), number, members)

    def at(self, repetition: str, siblings: tuple[str, ...], number: int, origin: tuple[list[str], int]) -> "Scope":
        """Return the view inside one repetition of a field."""
        return Scope(self.segments, self.context, repetition, siblings, number, (), origin)

    def leaf(self, repetition: str, component: int = 1, subcomponent: int = 1) -> str | None:
        """Return one leaf of a repetition, unescaped; None where it is empty or an explicit null."""
        if subcomponent == 1:
            values = self.context.texts.get(repetition) or self.context.values(repetition)
            return values[component - 1] or None if component <= len(values) else None
        message = self.context.message
        text = pick(pick(repetition, message.seps.component, component), message.seps.subcomponent, subcomponent)
        return unescape(text, message.seps, message.codec) or None if text != NULL else None

    def text(self, repetition: str) -> str:
        """Return a repetition of a text field (FT, TX, ST), unescaped: it has no components, delimiters in it are the sender's own characters."""
        return self.context.unescaped(repetition)

    def repetitions(self, raw: str) -> list[str]:
        """Return the repetitions of a raw field."""
        separator = self.context.message.seps.repetition
        return raw.split(separator) if separator else [raw]

    def first(self, name: str) -> Segment | None:
        """Return the first segment of a name in sight."""
        found = self.segments.get(name)
        return found[0] if found else None


def touched(
    touches: Sequence[tuple[str, int]], scope: Scope, read: Callable[[Scope], Sequence[Segment]] | None = None
) -> list[tuple[list[str], int, str, int, int]]:
    """Return where a function that reads these fields off a scope found them: in all its members of the name, else in the first in sight.

    ``read`` says in which segments where that is not so. Field 0 stands for the repetition the scope is in.
    """
    found = []
    for name, number in touches:
        if number == 0:
            found.append((*scope.origin, scope.repetition, 0, 0))
            continue
        segments = [one for one in (scope.members if read is None else read(scope)) if one.name == name]
        segments = segments or (scope.segments.get(name, [])[:1] if read is None else [])
        found += [(one.fields, number, one.fields[number], 0, 0) for one in segments if number < len(one.fields) and one.fields[number]]
    return found

"""The HL7 v2 message: lazy, tolerant and byte-preserving.

Only what is asked for is split. Untouched messages come out as the bytes that came in; after a change only the
changed segments are written anew.
"""

import re
from functools import lru_cache

from carelane.domain.errors import Unreadable
from carelane.domain.message import Issue
from carelane.formats.hl7v2.charset import FALLBACK, decode, refuse_wide
from carelane.formats.hl7v2.escapes import STANDARD, Separators, escape, unescape

NULL = '""'
"""The explicit null (chapter 2, 2.5.3): *delete what you have*."""

MOST_SEGMENTS = 10_000
MOST_FIELDS = 1_000
_SEGMENT = re.compile(r"[A-Z][A-Z0-9]{2}")
_USUAL = frozenset({"MSH", "EVN", "PID", "PD1", "NK1", "PV1", "PV2", "AL1", "DG1", "IN1", "ORC", "OBR", "OBX", "NTE", "SPM", "TQ1", "RXA", "RXE"})
_LINE_END = re.compile(rb"\r\n|\r|\n")
_BOM = b"\xef\xbb\xbf"


class Segment:
    """One line. Fields are split on first use; numbers follow the standard (MSH-1 is the field separator)."""

    __slots__ = ("_fields", "dirty", "line", "name", "seps", "text")

    def __init__(self, text: str, seps: Separators, line: int = -1) -> None:
        self.name = text[:3]
        self.text = text
        self.seps = seps
        self.line = line
        self.dirty = False
        self._fields: list[str] | None = None

    @property
    def fields(self) -> list[str]:
        """The raw text of every field, numbered as in the standard; index 0 is the name."""
        found = self._fields
        if found is None:
            found = self.text.split(self.seps.field, MOST_FIELDS)  # what lies beyond stays together: no standard has such a field
            if self.name in _HEADERS:
                found.insert(1, self.seps.field)
            self._fields = found
        return found

    def field(self, number: int) -> str:
        """Return the raw text of a field, empty when it is absent."""
        fields = self.fields
        return fields[number] if number < len(fields) else ""

    def put(self, number: int, raw: str) -> None:
        """Replace the raw text of a field."""
        fields = self.fields
        while len(fields) <= number:
            fields.append("")
        fields[number] = raw
        self.dirty = True

    def encoded(self) -> str:
        """Write the segment from its fields."""
        if not self.dirty:
            return self.text
        fields = self.fields
        if self.name in _HEADERS:
            return fields[0] + self.seps.field + self.seps.field.join(fields[2:])
        return self.seps.field.join(fields)


_HEADERS = frozenset({"MSH", "FHS", "BHS"})


class Message:
    """A parsed message; made by ``parse``. It is cut into segments when somebody asks for them: a heading needs three or four fields."""

    __slots__ = ("_by_name", "_glanced", "_issues", "_segments", "_text", "codec", "raw", "seps")

    def __init__(self, raw: bytes, text: str, seps: Separators, codec: str, issues: list[Issue]) -> None:
        self.raw = raw
        self.seps = seps
        self.codec = codec
        self._text = text
        self._issues = issues
        self._segments: list[Segment] | None = None
        self._by_name: dict[str, list[Segment]] | None = None
        self._glanced: dict[str, list[str]] = {}

    @property
    def segments(self) -> list[Segment]:
        """Every segment, in order."""
        found = self._segments
        if found is None:
            found = self._segments = _segments(self._text.split("\r"), self.seps, self._issues)
        return found

    @property
    def issues(self) -> list[Issue]:
        """What was odd about the message and tolerated."""
        if self._segments is None:
            _ = self.segments
        return self._issues

    @property
    def by_name(self) -> dict[str, list[Segment]]:
        """Every segment under its name, in order."""
        found = self._by_name
        if found is None:
            found = {}
            for segment in self.segments:
                found.setdefault(segment.name, []).append(segment)
            self._by_name = found
        return found

    def first(self, name: str) -> Segment | None:
        """Return the first segment of a name."""
        found = self.by_name.get(name)
        return found[0] if found else None

    def get(self, segment: str, field: int, component: int = 1, subcomponent: int = 1, repetition: int = 1) -> str | None:
        """Return one leaf, unescaped; None when it is absent or empty, ``NULL`` for the explicit null."""
        raw = self.field(segment, field)
        return self.leaf(raw, component, subcomponent, repetition) if raw else None

    def value(self, segment: str, field: int, component: int = 1) -> str | None:
        """Return one leaf as ``get`` does; an explicit null is no value."""
        found = self.get(segment, field, component)
        return None if found == NULL else found

    def field(self, segment: str, number: int) -> str:
        """Return the raw text of a field of the first segment of a name, empty when it is absent."""
        if self._by_name is not None:
            named = self._by_name.get(segment)
            return named[0].field(number) if named else ""
        fields = self._glanced.get(segment)
        if fields is None:
            if self._segments is not None or (fields := self._glance(segment)) is None:
                found = self.first(segment)
                return found.field(number) if found is not None else ""
            self._glanced[segment] = fields
        elif self._segments is not None:  # by now it may have been changed
            self._glanced.clear()
            return self.field(segment, number)
        return fields[number] if number < len(fields) else ""

    def mentions(self, name: str) -> bool:
        """Say whether there may be a segment of this name; a quick no is certain."""
        return f"\r{name}" in self._text

    def _glance(self, name: str) -> list[str] | None:
        """Return the fields of the first segment of a name without cutting the whole message; None where only that can tell."""
        text, bar = self._text, self.seps.field
        at = 0 if text.startswith(name + bar) else text.find(f"\r{name}") + 1
        if at == 0 and not text.startswith(name + bar):
            return [] if text.startswith("MSH") else None
        if text[at + 3 : at + 4] != bar:  # a name without fields, or no segment at all
            return None
        end = text.find("\r", at)
        if end < 0:
            end = len(text)
        elif end + 1 < len(text) and (text[end + 4 : end + 5] != bar or not _SEGMENT.match(text, end + 1)):
            return None  # the next line starts no segment: it may belong to this one
        found = text[at:end].split(bar, MOST_FIELDS)
        if name in _HEADERS:
            found.insert(1, bar)
        return found

    def leaf(self, raw: str, component: int = 1, subcomponent: int = 1, repetition: int = 1) -> str | None:
        """Return one leaf of a raw field, unescaped."""
        if not raw:
            return None
        seps = self.seps
        if repetition > 1 or seps.repetition in raw:
            raw = pick(raw, seps.repetition, repetition)
        if component > 1 or seps.component in raw:
            raw = pick(raw, seps.component, component)
        if subcomponent > 1 or seps.subcomponent in raw:
            raw = pick(raw, seps.subcomponent, subcomponent)
        return (unescape(raw, seps, self.codec) if seps.escape in raw else raw) or None

    def set(self, segment: Segment, field: int, value: str, component: int = 1, subcomponent: int = 1, repetition: int = 1) -> None:
        """Change one leaf; everything else of the segment keeps its text."""
        seps = self.seps
        repetitions = _padded(segment.field(field), seps.repetition, repetition)
        components = _padded(repetitions[repetition - 1], seps.component, component)
        parts = _padded(components[component - 1], seps.subcomponent, subcomponent)
        parts[subcomponent - 1] = value if value == NULL else escape(value, seps)
        components[component - 1] = seps.subcomponent.join(parts)
        repetitions[repetition - 1] = seps.component.join(components)
        segment.put(field, seps.repetition.join(repetitions))

    def encode(self) -> bytes:
        """Write the message: as it came when untouched, else with only the changed segments written anew."""
        if not any(segment.dirty for segment in self.segments):
            return self.raw
        lines = _LINE_END.split(self.raw)
        ends = [found.group() for found in _LINE_END.finditer(self.raw)] + [b""]
        for segment in self.segments:
            if segment.dirty:
                prefix = _leading(lines[segment.line]) if segment.name == "MSH" else b""
                lines[segment.line] = prefix + segment.encoded().encode(self.codec)
        return b"".join(line + end for line, end in zip(lines, ends, strict=True))


def parse(raw: bytes, fallback: str = FALLBACK) -> Message:
    """Read a message, tolerating what real senders do; each oddity is an issue.

    Raises:
        Unreadable: there is no MSH, or its delimiters cannot be told.
    """
    refuse_wide(raw)
    start = len(_leading(raw))
    seps = read_separators(raw[start : start + 10])
    issues: list[Issue] = []
    if raw[start + 4 : start + 9].split(seps.field.encode("latin-1"))[0][:4] != seps.msh2[:4].encode("latin-1"):
        issues.append(Issue("warning", "bad-delimiters", source="MSH-2", text="MSH-2 is short or repeats a delimiter; read with the usual ones"))
    text, codec, trouble = decode(raw, _declared_charset(raw, start, seps), fallback)
    if trouble:
        issues.append(Issue("warning", "bad-charset", source="MSH-18", text=trouble))
    if "\n" in text:
        text = text.replace("\r\n", "\r").replace("\n", "\r")
    if len(text) > MOST_SEGMENTS and text.count("\r") >= MOST_SEGMENTS:
        raise Unreadable(f"more than {MOST_SEGMENTS} segments")
    return Message(raw, text, seps, codec, issues)


def _segments(lines: list[str], seps: Separators, issues: list[Issue]) -> list[Segment]:
    segments: list[Segment] = []
    field = seps.field
    for number, line in enumerate(lines):
        if not line:
            continue
        if (line[3:4] == field or len(line) == 3) and (line[:3] in _USUAL or _SEGMENT.match(line)):
            segments.append(Segment(line, seps, number))
            continue
        if not segments:
            if first := line.lstrip("\ufeff\x0b \t"):
                segments.append(Segment(first, seps, number))
            continue
        if not line.strip("\x1c \t"):
            continue
        segments[-1].text += "\n" + line  # a broken line: the rest of the field before it
        issues.append(Issue("warning", "continuation-line", source=segments[-1].name, text=f"line {number + 1} starts no segment; joined to the one before"))
    return segments


@lru_cache(256)
def read_separators(head: bytes) -> Separators:
    """Read MSH-1 and MSH-2.

    Raises:
        Unreadable: the bytes do not start with an MSH segment.
    """
    if head[:3] != b"MSH":
        raise Unreadable("the message does not start with an MSH segment")
    shown = head.decode("latin-1")
    field = shown[3:4]
    if not field or field.isalnum() or field in "\r\n ":
        raise Unreadable("MSH-1 names no usable field separator")
    declared = re.split(r"[\r\n]", shown[4:].split(field, 1)[0])[0]
    known = [*declared[:5], *STANDARD.msh2[len(declared) : 4]]
    if len(set(known) | {field}) != len(known) + 1:  # ``^~\\\\&`` and the like: someone's escaping went wrong, the usual ones were meant
        return Separators(field)
    return Separators(field, known[0], known[1], known[2], known[3], known[4] if len(known) > 4 else "")


def _declared_charset(raw: bytes, start: int, seps: Separators) -> str:
    """MSH is ASCII up to field 18 in practice, so it can be read before the character set is known."""
    fields = first_line(raw, start).split(seps.field, 18)
    if len(fields) < 18:
        return "UNICODE UTF-8" if raw.startswith(_BOM) else ""
    declared = fields[17].split(seps.repetition)[0]
    return declared or ("UNICODE UTF-8" if raw.startswith(_BOM) else "")


def first_line(raw: bytes, start: int) -> str:
    """Return the line that starts there, as Latin-1, so that every byte can go back as it came; 4,096 characters at most."""
    line = raw[start : start + 4096]
    if (end := line.find(b"\r")) >= 0:
        line = line[:end]
    if (end := line.find(b"\n")) >= 0:
        line = line[:end]
    return line.decode("latin-1")


def _leading(raw: bytes) -> bytes:
    """Return what stands before MSH and is tolerated: a byte-order mark, blanks, a stray start block."""
    if raw[:3] == b"MSH":
        return b""
    stripped = raw[3:] if raw.startswith(_BOM) else raw
    return raw[: len(raw) - len(stripped.lstrip(b"\x0b\r\n\t "))]


def pick(text: str, separator: str, number: int) -> str:
    """Return the n-th part of a text, empty when there are fewer."""
    if separator and separator in text:
        parts = text.split(separator, number)
        return parts[number - 1] if number <= len(parts) else ""
    return text if number == 1 else ""


def _padded(text: str, separator: str, count: int) -> list[str]:
    parts = text.split(separator) if text else [""]
    return parts + [""] * (count - len(parts))

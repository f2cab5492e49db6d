"""Reads YAML that a stranger wrote: one plain document within bounds, refused while it is scanned and before anything is built of it.

Anchors, aliases, merge keys, tags and directives are refused: a text stands for what it shows and nothing more, so what is built
has one part for each part that was read, and the cost of reading is linear in the text.
"""

import re
from collections.abc import Iterator
from typing import Any

import yaml
from yaml.resolver import Resolver

MOST_BYTES = 65_536
MOST_DEPTH = 14
MOST_PARTS = 8_192
MOST_TEXT = 4_096
MOST_NAME = 200

_PARSER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_RESOLVER: Any = Resolver()
_WHOLE = re.compile(r"[-+]?(0|[1-9]\d{0,14})")
_BROKEN = re.compile(r"[-+]?\d{0,15}\.\d{1,15}|[-+]?\d{1,15}\.\d{0,15}")
_TRUE = ("yes", "true", "on")
_TAG = "tag:yaml.org,2002:"


class NotPlain(Exception):
    """The text is not within the bounds, or no YAML: says the line, what was found and what is allowed."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}" if line else reason)
        self.line = line


class Lines(dict[str, Any]):
    """A mapping that knows in which line it began."""

    line = 0


def read_plain(text: str) -> Any:
    """Return what a text stands for: texts, numbers, true, false, null, lists and mappings of them.

    Raises:
        NotPlain: it is not within the bounds, or no YAML.
    """
    _check_size(text)
    try:
        return _Builder().build(yaml.parse(text, Loader=_PARSER))
    except yaml.reader.ReaderError as error:
        raise NotPlain(0, f"no valid YAML: it holds the character U+{_code(error.character):04X}, which no YAML may hold") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark is not None else 0
        raise NotPlain(line, f"no valid YAML: {error.problem or error.context or 'it ends too soon'}"[:200]) from None
    except yaml.YAMLError as error:
        raise NotPlain(0, f"no valid YAML: {str(error).splitlines()[0][:200]}") from None


def _check_size(text: str) -> None:
    if len(text) <= MOST_BYTES:
        try:
            size = len(text.encode())
        except UnicodeEncodeError as error:
            raise NotPlain(text.count("\n", 0, error.start) + 1, "it holds half a character (a lone surrogate); write it in UTF-8") from None
        if size <= MOST_BYTES:
            return
    raise NotPlain(0, f"it has at most {MOST_BYTES:,} bytes; leave out what is not needed, or divide it")


def _code(character: Any) -> int:
    return character if isinstance(character, int) else ord(character)


class _Builder:
    """Builds lists and mappings from events; keeps what is open on a stack of its own, so that depth costs no recursion."""

    def __init__(self) -> None:
        self._open: list[list[Any] | Lines] = []
        self._keys: list[str | None] = []
        self._parts = 0
        self._documents = 0
        self._root: Any = None

    def build(self, events: Iterator[yaml.Event]) -> Any:
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                self._document(event)
            elif isinstance(event, yaml.AliasEvent):
                raise NotPlain(_line(event), f"the alias *{_clipped(event.anchor)} is not allowed; write out what it stands for")
            elif isinstance(event, yaml.NodeEvent):
                self._part(event)
            elif isinstance(event, yaml.CollectionEndEvent):
                self._open.pop()
                self._keys.pop()
        return self._root

    def _document(self, event: yaml.DocumentStartEvent) -> None:
        self._documents += 1
        if self._documents > 1:
            raise NotPlain(_line(event), "a second document begins; write one")
        if event.version is not None or event.tags:
            raise NotPlain(_line(event), "directives (%YAML, %TAG) are not allowed; leave them out")

    def _part(self, event: Any) -> None:
        line = _line(event)
        if event.anchor is not None:
            raise NotPlain(line, f"the anchor &{_clipped(event.anchor)} is not allowed; leave it out")
        if event.tag is not None:
            raise NotPlain(line, f"the tag {_shown(event.tag)} is not allowed; leave it out")
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise NotPlain(line, f"it has more than {MOST_PARTS:,} parts (names, values, lists); divide it")
        if isinstance(event, yaml.ScalarEvent):
            self._scalar(event, line)
            return
        if len(self._open) >= MOST_DEPTH:
            raise NotPlain(line, f"it is nested deeper than {MOST_DEPTH}")
        made: list[Any] | Lines = [] if isinstance(event, yaml.SequenceStartEvent) else Lines()
        if isinstance(made, Lines):
            made.line = line
        self._place(made, line)
        self._open.append(made)
        self._keys.append(None)

    def _scalar(self, event: yaml.ScalarEvent, line: int) -> None:
        if self._open and isinstance(self._open[-1], Lines) and self._keys[-1] is None:
            self._name(event, line, self._open[-1])
            return
        if len(event.value) > MOST_TEXT:
            raise NotPlain(line, f"a text has at most {MOST_TEXT:,} characters; this one has {len(event.value):,}")
        self._place(_value(event.value, line) if event.implicit[0] else event.value, line)

    def _name(self, event: yaml.ScalarEvent, line: int, of: Lines) -> None:
        name = event.value
        if len(name) > MOST_NAME:
            raise NotPlain(line, f"a name has at most {MOST_NAME} characters; this one has {len(name):,}")
        if name == "<<" and event.implicit[0]:
            raise NotPlain(line, "the merge key << is not allowed; write out what it stands for")
        if name in of:
            raise NotPlain(line, f"the name {_shown(name)} stands there twice")
        self._keys[-1] = name

    def _place(self, value: Any, line: int) -> None:
        if not self._open:
            self._root = value
            return
        holder = self._open[-1]
        if isinstance(holder, list):
            holder.append(value)
            return
        name = self._keys[-1]
        if name is None:
            raise NotPlain(line, "a name is a text, no list and no mapping")
        holder[name], self._keys[-1] = value, None


def _value(text: str, line: int) -> Any:
    """What a text without quotes stands for; of numbers only those that everybody reads alike."""
    kind = str(_RESOLVER.resolve(yaml.ScalarNode, text, (True, False))).removeprefix(_TAG)
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() in _TRUE
    if kind == "int" and _WHOLE.fullmatch(text):
        return int(text)
    if kind == "float" and _BROKEN.fullmatch(text):
        return float(text)
    if kind in ("int", "float"):
        raise NotPlain(line, f"{_shown(text)} is no plain decimal number of at most 15 digits; put quotes around it if it is a text")
    return text


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


def _shown(text: str) -> str:
    return repr(_clipped(text))


def _clipped(text: str | None) -> str:
    return text[:40] + "…" if text and len(text) > 40 else text or ""

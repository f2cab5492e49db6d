"""HL7 escape sequences (chapter 2, 2.7): read once per leaf after splitting, written once before joining."""

import dataclasses
import re
from functools import lru_cache

_FORMATTING = {".br": "\n", ".ce": "\n", ".fi": "", ".nf": "", "H": "", "N": ""}


@dataclasses.dataclass(frozen=True, slots=True)
class Separators:
    """The delimiters a message declares in MSH-1 and MSH-2."""

    field: str = "|"
    component: str = "^"
    repetition: str = "~"
    escape: str = "\\"
    subcomponent: str = "&"
    truncation: str = ""
    plain: bool = dataclasses.field(init=False, compare=False)
    """None of them is a letter or a digit, so that a text of those alone is a single leaf."""
    marks: tuple[str, str, str, str, bool] = dataclasses.field(init=False, compare=False)
    """What maps look for: repetition, component, subcomponent, escape, and whether they are plain."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "plain", not any(one.isalnum() for one in self.msh2))
        object.__setattr__(self, "marks", (self.repetition, self.component, self.subcomponent, self.escape, self.plain))

    @property
    def msh2(self) -> str:
        """The encoding characters as they stand in MSH-2."""
        return self.component + self.repetition + self.escape + self.subcomponent + self.truncation


STANDARD = Separators()


def unescape(text: str, seps: Separators, codec: str = "utf-8") -> str:
    """Turn escape sequences into what they mean; an unknown or unclosed one stays as text."""
    escape = seps.escape
    if not escape or escape not in text:
        return text
    letters = {"F": seps.field, "S": seps.component, "T": seps.subcomponent, "R": seps.repetition, "E": escape, "P": seps.truncation or "#"}
    parts: list[str] = []
    at = 0
    while (start := text.find(escape, at)) >= 0:
        end = text.find(escape, start + 1)
        if end < 0:
            break
        inner = text[start + 1 : end]
        meant = letters.get(inner)
        if meant is None:
            meant = _rare(inner, codec)
        if meant is None:  # not an escape sequence: this character is text, the next one may open a real one
            parts.append(text[at:end])
            at = end
        else:
            parts.append(text[at:start])
            parts.append(meant)
            at = end + 1
    parts.append(text[at:])
    return "".join(parts)


def _rare(inner: str, codec: str) -> str | None:
    if inner in _FORMATTING:
        return _FORMATTING[inner]
    if inner.startswith("X") and len(inner) > 1:
        try:
            return bytes.fromhex(inner[1:]).decode(codec)
        except (ValueError, UnicodeDecodeError):
            return None
    if inner.startswith(".") and inner[1:3] in ("sp", "sk", "in", "ti"):
        count = inner[3:].strip().lstrip("+")
        times = min(int(count), 200) if count.isascii() and count.isdigit() else 1
        return {"sp": "\n", "sk": " ", "in": "", "ti": ""}[inner[1:3]] * times
    return None


@lru_cache(64)
def _special(seps: Separators) -> re.Pattern[str]:
    """What may not stand in a text as it is."""
    return re.compile("[" + re.escape(seps.escape + seps.field + seps.component + seps.repetition + seps.subcomponent) + "\r\n]")


_USUAL = _special(STANDARD)


def escape(text: str, seps: Separators, *, formatted: bool = False) -> str:
    """Write text so that it survives splitting; line ends become ``\\.br\\`` in FT and TX, hexadecimal elsewhere."""
    mark = seps.escape
    if not mark:
        return text
    if text.isalnum() or not (_USUAL if seps is STANDARD else _special(seps)).search(text):
        return text
    newline = f"{mark}.br{mark}"
    table = {
        mark: f"{mark}E{mark}",
        seps.field: f"{mark}F{mark}",
        seps.component: f"{mark}S{mark}",
        seps.repetition: f"{mark}R{mark}",
        seps.subcomponent: f"{mark}T{mark}",
        "\r": newline if formatted else f"{mark}X0D{mark}",
        "\n": newline if formatted else f"{mark}X0A{mark}",
    }
    if formatted:
        text = text.replace("\r\n", "\n")
    return "".join(table.get(character, character) for character in text)

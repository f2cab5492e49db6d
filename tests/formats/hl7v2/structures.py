"""Write HL7's message structures and required fields, as `hl7apy` keeps them, where the format reads them: python -m tests.formats.hl7v2.structures."""

from collections.abc import Iterable, Iterator
from importlib import import_module
from typing import Any

from carelane.formats.hl7v2.packs import MAPS
from carelane.formats.hl7v2.triggers import trigger_table

STRUCTURES = MAPS / "structures.txt"
REQUIRED = MAPS / "required.txt"
VERSIONS = ("2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.8", "2.8.1", "2.8.2")
_MADE = "made from hl7apy by `python -m tests.formats.hl7v2.structures`; never edit by hand."


def structures() -> str:
    """Return every structure of the codes the trigger table knows, in HL7's own notation, one line for each that some versions share."""
    codes = set(trigger_table())
    found: dict[str, dict[str, str]] = {}
    for version in VERSIONS:
        for name, (order, children, *_) in _part(version, "messages").MESSAGES.items():
            if name.split("_")[0] in codes:
                found.setdefault(name, {})[version] = notation(children, order, name)
    lines = [f"{name} {span} {text}" for name, by_version in sorted(found.items()) for span, text in _spans(by_version)]
    head = f"# Message structures by version, {_MADE}\n# [optional] {{repeating}} <GROUP its segments and groups>; between bars one of several\n"
    return head + "\n".join(lines) + "\n"


def required() -> str:
    """Return the fields a segment cannot be without, one line for each list that some versions share."""
    found: dict[str, dict[str, str]] = {}
    for version in VERSIONS:
        for name, (_, *rest) in _part(version, "segments").SEGMENTS.items():
            numbers = [field.rpartition("_")[2] for field, _, (least, _), *_ in (rest[0] if rest else ()) if least]
            if numbers:
                found.setdefault(name, {})[version] = " ".join(numbers)
    lines = [f"{name} {span} {text}" for name, by_version in sorted(found.items()) for span, text in _spans(by_version)]
    return f"# Required fields of segments by version, {_MADE}\n" + "\n".join(lines) + "\n"


def notation(children: Iterable[Any], order: str, structure: str) -> str:
    """Return a sequence of segments and groups in the notation of HL7's abstract message syntax."""
    shown = []
    for name, reference, (least, most), kind in children:
        text = name if kind == "SEG" else f"<{name.removeprefix(structure + '_')} {notation(reference[1], reference[0], structure)}>"
        text = f"{{{text}}}" if most != 1 else text
        shown.append(text if least else f"[{text}]")
    return (" | " if order == "choice" else " ").join(shown)


def _part(version: str, name: str) -> Any:
    return import_module(f"hl7apy.v{version.replace('.', '_')}.{name}")


def _spans(by_version: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Join neighbouring versions that say the same."""
    start = last = None
    for version in (*VERSIONS, ""):
        text = by_version.get(version)
        if last is not None and text != by_version[last]:
            yield (f"{start}-{last}" if start != last else last), by_version[last]
            start = last = None
        if text is not None:
            start, last = start or version, version


if __name__ == "__main__":
    STRUCTURES.write_text(structures())
    REQUIRED.write_text(required())
